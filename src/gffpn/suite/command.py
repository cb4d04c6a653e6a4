"""Commands that repeat a run or a sweep, as words that a shell takes after quoting."""

from collections.abc import Sequence

from hydra.conf import HydraConf

PROGRAM = ("python", "train.py")
_OURS = ("hydra.mode=", "hydra.sweep.dir=")


def sweep_command(hydra: HydraConf) -> list[str]:
    """Return the command that repeats a sweep and runs only what is not finished."""
    given = [*hydra.overrides.task, *hydra.overrides.hydra]
    kept = [
        word for word in _without_rerun(given) if not word.startswith(("hydra.mode=", "hydra.sweep.dir="))
    ]
    return [*PROGRAM, *_config_dirs(hydra), "-m", *kept]


def run_command(hydra: HydraConf) -> list[str]:
    """Return the command that repeats one run alone, whether it was started alone or by a sweep."""
    task = _without_rerun(hydra.overrides.task)
    # an experiment's file asks for a sweep, and `name` would be the sweep's
    sweeps = any(word.startswith("experiments=") and word != "experiments=null" for word in task)
    named = [word for word in task if not word.startswith("name=")] if sweeps else task
    return [*PROGRAM, *_config_dirs(hydra), *named, *(["hydra.mode=RUN"] if sweeps else [])]


def _without_rerun(words: Sequence[str]) -> list[str]:
    """Leave out `rerun=`, with which a repeated command would run again what is finished."""
    return [str(word) for word in words if not word.startswith("rerun=")]


def _config_dirs(hydra: HydraConf) -> list[str]:
    given = [source.path for source in hydra.runtime.config_sources if source.provider == "command-line"]
    return [word for path in given for word in ("--config-dir", path)]
