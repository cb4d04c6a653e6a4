"""Weights & Biases: online with an account, offline by itself without one."""

import os
import sys
from typing import Any, Literal

import wandb
from lightning.pytorch.loggers import WandbLogger
from omegaconf import DictConfig

from gffpn.suite.folder import RunFolder
from gffpn.suite.identity import digest_of

Mode = Literal["online", "offline", "disabled"]

# what stands in logger.wandb; null: online with an account, else offline
MODES: dict[str, Mode | None] = {"auto": None, "online": "online", "offline": "offline", "off": "disabled"}
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
    return MODES[asked] or ("online" if wandb.login(prompt=False) else "offline")


def wandb_logger(
    settings: DictConfig, folder: RunFolder, *, config: dict[str, Any], group: str
) -> WandbLogger:
    """A logger whose run id is stable: a run that resumes goes on in the same W&B run."""
    mode = wandb_mode(settings.wandb)
    directory = folder.path / "wandb"
    directory.mkdir(parents=True, exist_ok=True)
    if mode == "offline":
        print(
            f"W&B is offline; to upload this run: wandb sync {directory / 'wandb' / 'offline-run-*'}",
            flush=True,
        )
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
        settings=wandb.Settings(silent=True, console="off"),
    )
    # W&B's own steps count calls and begin again when a run resumes offline
    run.define_metric("trainer/global_step")
    run.define_metric("*", step_metric="trainer/global_step", step_sync=True)
    return WandbLogger(experiment=run)


def finish() -> None:
    """End the W&B run, without which the runs of a sweep merge into one.

    Called in a `finally`, it marks the run as failed if an exception is on its way.
    """
    wandb.finish(exit_code=0 if sys.exc_info()[0] is None else 1)
