"""Weights & Biases: online with an account, offline by itself without one."""

import os
from pathlib import Path
from typing import Any

import wandb
from lightning.pytorch.loggers import WandbLogger
from omegaconf import DictConfig

from gffpn.suite.folder import RunFolder

MODES = ("auto", "online", "offline", "off")


def wandb_mode(asked: str) -> str:
    """online or offline; WANDB_MODE, where it is set, decides."""
    if asked not in MODES:
        raise ValueError(f"logger.wandb: got {asked!r}, expected one of {list(MODES)}")
    if os.environ.get("WANDB_MODE"):
        return os.environ["WANDB_MODE"]
    if asked != "auto":
        return asked
    return "online" if wandb.login(prompt=False) else "offline"


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
        id=name.rsplit("_", 1)[-1],
        dir=directory,
        project=settings.project,
        entity=settings.entity,
        group=group,
        tags=[*settings.tags, config["choice"]["neck"], config["choice"]["data"]],
        config=config,
        mode="online" if mode == "online" else "offline",
        resume="allow" if mode == "online" else None,
        settings=wandb.Settings(silent=True, console="off"),
    )
    return WandbLogger(experiment=run)


def finish() -> None:
    """End the W&B run: without it the runs of a sweep merge into one."""
    wandb.finish()


def offline_folders(folder: RunFolder) -> list[Path]:
    """The offline files of a run, one folder an attempt, in order."""
    return sorted((folder.path / "wandb" / "wandb").glob("offline-run-*"))
