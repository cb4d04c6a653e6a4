"""Logging to Weights & Biases: online with an account, automatically offline without one."""

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
"""Seconds that a finished run waits for its upload; the rest stays on disk for `wandb sync`."""

Mode = Literal["online", "offline", "disabled"]

# values of logger.wandb; None: online with an account, else offline
MODES: Mapping[str, Mode | None] = {
    "auto": None,
    "online": "online",
    "offline": "offline",
    "off": "disabled",
}
# values of WANDB_MODE, including its older names, and their meaning
ENVIRONMENT_MODES: dict[str, Mode] = {
    "online": "online",
    "run": "online",
    "offline": "offline",
    "dryrun": "offline",
    "disabled": "disabled",
}


def wandb_mode(asked: str) -> Mode:
    """Return the mode of W&B; if WANDB_MODE is set, it takes precedence.

    Raises ValueError if `asked` is not one of `MODES`, or WANDB_MODE not one of `ENVIRONMENT_MODES`.
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
    except Exception as error:  # the key is refused, or there is nobody to ask for one
        _warn(f"W&B has no account for this run ({error}); it is logged offline")
        return False


class Tracker(WandbLogger):
    """Lightning's W&B logger, but unable to end a run: after the first failure, W&B is not used again.

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
            _warn(f"W&B accepts no more data ({error}); the run continues without it")


def wandb_logger(
    settings: DictConfig, folder: RunFolder, *, config: dict[str, Any], group: str
) -> Tracker | None:
    """Return a logger with a stable run id, so that a resumed run continues the same W&B run.

    The W&B run is offline if the account cannot be reached. Returns None if W&B does not start at all.
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
        # W&B's own steps count calls and restart when a run resumes offline
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
            _warn(f"W&B did not start {attempt} ({error})")
            _forget()
    _warn("the run continues without W&B")
    return None


def finish() -> None:
    """End the W&B run; otherwise the runs of a sweep would merge into one.

    In a `finally` block, this marks the run as failed if an exception is propagating.
    """
    try:
        wandb.finish(exit_code=0 if sys.exc_info()[0] is None else 1)
    except Exception as error:
        _warn(f"W&B did not end the run properly ({error})")
        _forget()


def _forget() -> None:
    """Drop a W&B process that no longer responds, so that the next run of a sweep starts its own."""
    with suppress(Exception):
        wandb.teardown()


def _warn(message: str) -> None:
    print(f"WARNING: {message}", file=sys.stderr, flush=True)


def build_loggers(config: DictConfig, folder: RunFolder, *, group: str) -> list[Logger]:
    """Return a CSV logger, and a W&B logger if configured.

    Each attempt has its own CSV folder, because the logger deletes the file that it resumes.
    """
    attempts = len(list((folder.path / "logs").glob("attempt_*")))
    loggers: list[Logger] = [CSVLogger(folder.path, name="logs", version=f"attempt_{attempts}")]
    if config.logger.wandb != "off" and processes.is_lead():
        wandb = wandb_logger(config.logger, folder, config=resolved(config), group=group)
        loggers += [wandb] if wandb else []
    return loggers
