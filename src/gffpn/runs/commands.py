"""Commands that repeat a run or a sweep, as words; `shlex.join` makes a line of them."""

from collections.abc import Mapping, Sequence
from typing import Any

from gffpn.runs.identity import EPOCHS
from gffpn.runs.record import SHARING_LAUNCHERS

PROGRAM = ("python", "train.py")
_OF_HYDRA = ("hydra.mode=", "hydra.sweep.dir=")
"""Overrides that are added while a sweep starts."""


def sweep_command(overrides: Sequence[str], options: Sequence[str] = ()) -> list[str]:
    """Return the command that repeats a sweep and runs only what is not finished.

    `options` are other words of the command, such as `--config-dir DIR`.
    """
    words = [word for word in _without_rerun(overrides) if not word.startswith(_OF_HYDRA)]
    return [*PROGRAM, *options, "-m", *words]


def run_command(overrides: Sequence[str], options: Sequence[str] = ()) -> list[str]:
    """Return the command that repeats one run alone, whether it was started alone or by a sweep."""
    words = _without_rerun(overrides)
    if any(word.startswith("experiments=") and word != "experiments=null" for word in words):
        # an experiment's file asks for a sweep, and a name would be the sweep's
        words = [*(word for word in words if not word.startswith("name=")), "hydra.mode=RUN"]
    return [*PROGRAM, *options, *words]


def repeatable(command: Sequence[str], plain: Mapping[str, Any], *, threads: int) -> list[str]:
    """Return the words of a command that gives a run's result again, also alone and on another machine.

    They name the epochs instead of a budget of minutes, and the number of CPU `threads` of a run that shares
    its machine with others. An empty command remains empty.
    """
    trainer, fixed = plain["trainer"], dict[str, object]()
    if trainer["minutes"] is not None:
        fixed |= {"trainer.minutes": "null"} | {key: trainer[key.partition(".")[2]] for key in EPOCHS}
    if plain["choice"]["launcher"] in SHARING_LAUNCHERS and trainer["threads"] is None:
        fixed["trainer.threads"] = threads
    words = [word for word in command if word.partition("=")[0] not in fixed]
    return [*words, *(f"{key}={value}" for key, value in fixed.items())] if command else []


def _without_rerun(words: Sequence[str]) -> list[str]:
    """Leave out `rerun=`, with which a repeated command would run again what is finished."""
    return [str(word) for word in words if not word.startswith("rerun=")]
