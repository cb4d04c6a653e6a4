"""Commands that repeat a run or a sweep, as words; `shlex.join` makes a line of them."""

from collections.abc import Sequence

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


def _without_rerun(words: Sequence[str]) -> list[str]:
    """Leave out `rerun=`, with which a repeated command would run again what is finished."""
    return [str(word) for word in words if not word.startswith("rerun=")]
