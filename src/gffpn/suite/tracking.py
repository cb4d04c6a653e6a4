"""Weights & Biases: online with an account, offline by itself without one."""

import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Literal

import wandb
from lightning.pytorch.loggers import CSVLogger, Logger, WandbLogger
from omegaconf import DictConfig
from wandb import Run

from gffpn.config.resolve import resolved
from gffpn.machine import processes
from gffpn.runs.folder import RunFolder
from gffpn.runs.identity import digest_of

FINISH_TIMEOUT = 300.0
"""Seconds that a finished run waits for its upload; what is left over stays on disk for `wandb sync`."""

Mode = Literal["online", "offline", "disabled"]

# what stands in logger.wandb; null: online with an account, else offline
MODES: Mapping[str, Mode | None] = {
    "auto": None,
    "online": "online",
    "offline": "offline",
    "off": "disabled",
}
# WANDB_MODE's values, the older names among them, and what they mean
ENVIRONMENT_MODES: dict[str, Mode] = {
    "online": "online",
    "run": "online",
    "offline": "offline",
    "dryrun": "offline",
    "disabled": "disabled",
}


def wandb_mode(asked: str) -> Mode:
    """The mode of W&B; WANDB_MODE, where it is set, decides.

    Raises ValueError for a mode that is none of `MODES`, or a WANDB_MODE that is none of W&B's.
    """
    if asked not in MODES:
        raise ValueError(f"logger.wandb: got {asked!r}, expected one of {list(MODES)}")
    environment = os.environ.get("WANDB_MODE")
    if environment:
        if environment not in ENVIRONMENT_MODES:
            raise ValueError(f"WANDB_MODE: got {environment!r}, expected one of {list(ENVIRONMENT_MODES)}")
        return ENVIRONMENT_MODES[environment]
    return MODES[asked] or ("online" if _has_account() else "offline")


def _has_account() -> bool:
    try:
        return bool(wandb.login(prompt=False))
    except Exception as error:  # a key that is refused, or nobody there to ask
        _warn(f"W&B has no account for this run ({error}); it is logged offline")
        return False


class Tracker(WandbLogger):
    """Lightning's logger, less its power to end a run: where W&B fails, it is left alone from then on.

    metrics.csv and metrics.json hold every figure, with or without W&B.
    """

    def __init__(self, run: Run) -> None:
        super().__init__(experiment=run)
        self._lost = False

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self._try(super().log_metrics, metrics, step)

    def log_image(self, key: str, images: list[Any], step: int | None = None, **kwargs: Any) -> None:
        self._try(super().log_image, key, images, step, **kwargs)

    def finalize(self, status: str) -> None:
        self._try(super().finalize, status)

    def _try(self, call: Callable[..., Any], *values: Any, **named: Any) -> None:
        if self._lost:
            return
        try:
            call(*values, **named)
        except Exception as error:
            self._lost = True
            _warn(f"W&B takes no more data ({error}); the run goes on without it")


def wandb_logger(
    settings: DictConfig, folder: RunFolder, *, config: dict[str, Any], group: str
) -> Tracker | None:
    """A logger whose run id is stable: a run that resumes goes on in the same W&B run.

    An account that cannot be reached makes it an offline run; None where W&B does not start at all.
    """
    mode = wandb_mode(settings.wandb)
    directory = folder.path / "wandb"
    directory.mkdir(parents=True, exist_ok=True)

    def start(mode: Mode) -> Run:
        name = folder.path.name
        run = wandb.init(
            name=name,
            id=digest_of(name),
            dir=directory,
            project=settings.project,
            entity=settings.entity,
            group=group,
            tags=[*settings.tags, config["choice"]["neck"], config["choice"]["data"]],
            config=config,
            mode=mode,
            resume="allow" if mode == "online" else None,
            settings=wandb.Settings(silent=True, console="off", finish_timeout=FINISH_TIMEOUT),
        )
        # W&B's own steps count calls and begin again when a run resumes offline
        run.define_metric("trainer/global_step")
        run.define_metric("*", step_metric="trainer/global_step", step_sync=True)
        return run

    run = _first_that_starts(start, mode)
    if run is not None and run.offline:
        print(
            f"W&B is offline; to upload this run: wandb sync {directory / 'wandb' / 'offline-run-*'}",
            flush=True,
        )
    return None if run is None else Tracker(run)


def _first_that_starts(start: Callable[[Mode], Run], mode: Mode) -> Run | None:
    for attempt in dict.fromkeys((mode, "offline" if mode == "online" else mode)):
        try:
            return start(attempt)
        except Exception as error:
            _warn(f"W&B does not start {attempt} ({error})")
            _forget()
    _warn("the run goes on without W&B")
    return None


def finish() -> None:
    """End the W&B run, without which the runs of a sweep merge into one.

    Called in a `finally`, it marks the run as failed if an exception is on its way.
    """
    try:
        wandb.finish(exit_code=0 if sys.exc_info()[0] is None else 1)
    except Exception as error:
        _warn(f"W&B did not end the run well ({error})")
        _forget()


def _forget() -> None:
    """Let go of a W&B process that no longer answers, so that the next run of a sweep starts its own."""
    with suppress(Exception):
        wandb.teardown()


def _warn(message: str) -> None:
    print(f"WARNING: {message}", file=sys.stderr, flush=True)


def build_loggers(config: DictConfig, folder: RunFolder, *, group: str) -> list[Logger]:
    """CSV always, one folder an attempt (the logger deletes the file that it resumes); W&B as configured."""
    attempts = len(list((folder.path / "logs").glob("attempt_*")))
    loggers: list[Logger] = [CSVLogger(folder.path, name="logs", version=f"attempt_{attempts}")]
    if config.logger.wandb != "off" and processes.is_lead():
        wandb = wandb_logger(config.logger, folder, config=resolved(config), group=group)
        loggers += [wandb] if wandb else []
    return loggers
