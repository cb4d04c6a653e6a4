"""Logging to Weights & Biases: online with an account, automatically offline without one."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Literal

import wandb
from lightning.pytorch.loggers import CSVLogger, Logger
from omegaconf import DictConfig
from wandb import Run

from gffpn.config.resolve import resolved
from gffpn.machine import processes
from gffpn.runs.folder import RunFolder
from gffpn.runs.identity import digest_of
from gffpn.runs.predictions import Predictions, read_predictions
from gffpn.suite.tracker import OwnId, RowCount, Tracker, warn

PROJECT = "gffpn"
"""Project of runs for which neither logger.project nor WANDB_PROJECT names one."""
FINISH_TIMEOUT = 300.0
"""Seconds that a finished run waits for its upload; the rest stays on disk for `wandb sync`."""
EPOCH_CURVES = ("train/*", "val/*", "attention/*", "lr")
"""Metrics that W&B draws over the epoch; all others are logged once."""

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
        warn(f"W&B has no account for this run ({error}); it is logged offline")
        return False


def wandb_logger(
    settings: DictConfig, folder: RunFolder, *, config: dict[str, Any], group: str
) -> Tracker | None:
    """Return a logger whose W&B run is the same for all attempts of a run, or that of a W&B agent's trial.

    It is offline if the account cannot be reached. Returns None if W&B is disabled or does not start.
    """
    mode = wandb_mode(settings.wandb)
    if mode == "disabled":
        return None
    directory = folder.path / "wandb"
    directory.mkdir(parents=True, exist_ok=True)
    own = OwnId(directory, digest_of(folder.path.name))
    tags = [config["choice"]["neck"], config["choice"]["data"]]
    init = partial(
        _init, settings, folder.path.name, directory=directory, group=group, tags=tags, config=config
    )
    run = _first_that_starts(partial(_start, init, own, kind=settings.run_id), mode)
    if run is None:
        return None
    _mention_sync(run, directory)
    tracker = Tracker(run, RowCount(directory / f"{run.id}.rows"))
    tracker.go_on(folder)
    return tracker


def report_run(settings: DictConfig, sweep: Path) -> Run | None:
    """Return the W&B run that shows the answer of a sweep, in its group; None without W&B."""
    mode = "disabled" if settings.wandb == "off" else wandb_mode(settings.wandb)
    if mode == "disabled":
        return None
    directory = sweep / "wandb"
    directory.mkdir(parents=True, exist_ok=True)
    run_id = OwnId(directory, "report").read()
    init = partial(
        _init, settings, f"{sweep.name} report", directory=directory, group=sweep.name, job_type="report"
    )
    run = _first_that_starts(lambda mode: init(mode=mode, run_id=run_id), mode)
    if run is not None:
        _mention_sync(run, directory)
    return run


def _mention_sync(run: Run, directory: Path) -> None:
    if run.offline:
        print(
            f"W&B is offline; to upload this run: wandb sync {directory / 'wandb' / 'offline-run-*'}",
            flush=True,
        )


def _start(init: Callable[..., Run], own: OwnId, mode: Mode, *, kind: str) -> Run:
    """Return a W&B run with the id of a W&B agent's trial, or else the run's own one.

    W&B never accepts the id of a deleted run again, so an own id that is refused for that is replaced.
    """
    given = os.environ.get("WANDB_RUN_ID")
    run_id = given or (own.digest if kind == "hash" else own.read())
    try:
        return init(mode=mode, run_id=run_id)
    except Exception as error:
        if given or "deleted" not in str(error):
            raise
        warn(f"the W&B run {run_id} was deleted; a new one is created")
        _forget()
        return init(mode=mode, run_id=own.replace() if own.read() == run_id else own.read())


def _init(
    settings: DictConfig,
    name: str,
    *,
    directory: Path,
    group: str,
    mode: Mode,
    run_id: str,
    job_type: str = "train",
    tags: Sequence[str] = (),
    config: dict[str, Any] | None = None,
) -> Run:
    run = wandb.init(
        name=name,
        id=run_id,
        dir=directory,
        project=settings.project or os.environ.get("WANDB_PROJECT") or PROJECT,
        entity=settings.entity or os.environ.get("WANDB_ENTITY") or None,
        group=group,
        job_type=job_type,
        tags=[*settings.tags, *tags],
        config=config,
        mode=mode,
        # also offline: `wandb sync` then appends the rows of a later attempt instead of starting at row 0
        resume="allow",
        settings=wandb.Settings(silent=True, console="off", finish_timeout=FINISH_TIMEOUT),
    )
    # W&B's own steps count rows, not epochs
    run.define_metric("epoch")
    for curves in EPOCH_CURVES:
        run.define_metric(curves, step_metric="epoch", step_sync=True)
    return run


def _first_that_starts(start: Callable[[Mode], Run], mode: Mode) -> Run | None:
    for attempt in dict.fromkeys((mode, "offline" if mode == "online" else mode)):
        try:
            return start(attempt)
        except Exception as error:
            warn(f"W&B did not start {attempt} ({error})")
            _forget()
    warn("the run continues without W&B")
    return None


def finish() -> None:
    """End the W&B run; otherwise the runs of a sweep would merge into one.

    In a `finally` block, this marks the run as failed if an exception is propagating.
    """
    try:
        wandb.finish(exit_code=0 if sys.exc_info()[0] is None else 1)
    except Exception as error:
        warn(f"W&B did not end the run properly ({error})")
        _forget()


def _forget() -> None:
    """Drop a W&B process that no longer responds, so that the next run of a sweep starts its own."""
    with suppress(Exception):
        wandb.teardown()


def build_loggers(config: DictConfig, folder: RunFolder, *, group: str) -> list[Logger]:
    """Return a CSV logger, and a W&B logger if configured.

    Each attempt has its own CSV folder, because the logger deletes the file that it resumes.
    """
    taken = [path.name.removeprefix("attempt_") for path in (folder.path / "logs").glob("attempt_*")]
    attempt = 1 + max((int(number) for number in taken if number.isdigit()), default=-1)
    loggers: list[Logger] = [CSVLogger(folder.path, name="logs", version=f"attempt_{attempt}")]
    if config.logger.wandb != "off" and processes.is_lead():
        wandb = wandb_logger(config.logger, folder, config=resolved(config), group=group)
        loggers += [wandb] if wandb else []
    return loggers


def report_skipped(config: DictConfig, folder: RunFolder, *, group: str) -> None:
    """Log a finished run that is skipped to the W&B run of a W&B agent's trial.

    Otherwise the W&B sweep would see no value for this trial. Does nothing without an agent.
    """
    if "WANDB_SWEEP_ID" in os.environ and config.logger.wandb != "off" and processes.is_lead():
        try:
            tracker = wandb_logger(config.logger, folder, config=resolved(config), group=group)
            if tracker is not None and (record := folder.read()) is not None:
                tracker.show_results(record, _kept_test(folder))
        finally:
            finish()


def _kept_test(folder: RunFolder) -> Predictions | None:
    try:
        return read_predictions(folder.predictions)["test"]
    except ValueError as error:
        warn(f"W&B gets no charts of this run ({error})")
        return None
