"""Weights & Biases: online with an account, offline by itself without one."""

import logging
import os
from pathlib import Path
from typing import Any

import wandb
from lightning.pytorch.loggers import WandbLogger
from omegaconf import DictConfig

from gffpn.suite.folder import RunFolder

log = logging.getLogger(__name__)

MODES = ("auto", "online", "offline", "off")


def wandb_mode(asked: str) -> str:
    """online or offline; WANDB_MODE, where it is set, decides."""
    if asked not in MODES:
        raise ValueError(f"logger.wandb: got {asked!r}, expected one of {list(MODES)}")
    if os.environ.get("WANDB_MODE"):
        return os.environ["WANDB_MODE"]
    if asked != "auto":
        return asked
    has_key = bool(os.environ.get("WANDB_API_KEY")) or _key_in_netrc()
    return "online" if has_key else "offline"


def _key_in_netrc() -> bool:
    import netrc

    try:
        return any("wandb" in host for host in netrc.netrc().hosts)
    except (OSError, netrc.NetrcParseError):
        return False


def wandb_logger(
    settings: DictConfig, folder: RunFolder, *, config: dict[str, Any], group: str
) -> WandbLogger:
    """A logger whose run id is stable: a run that resumes goes on in the same W&B run."""
    mode = wandb_mode(settings.wandb)
    directory = folder.path / "wandb"
    directory.mkdir(parents=True, exist_ok=True)
    if mode == "offline":
        log.info("W&B runs offline (no account found). To upload: wandb sync %s", directory / "wandb" / "offline-run-*")
    name = folder.path.name
    return WandbLogger(
        name=name,
        id=name.rsplit("_", 1)[-1],
        save_dir=directory,
        project=settings.project,
        entity=settings.entity,
        group=group,
        tags=[*settings.tags, config["choice"]["neck"], config["choice"]["data"]],
        config=config,
        offline=mode != "online",
        resume="allow" if mode == "online" else None,
        settings=wandb.Settings(silent=True, console="off"),
    )


def finish() -> None:
    """End the W&B run: without it the runs of a sweep merge into one."""
    wandb.finish()


def offline_folders(folder: RunFolder) -> list[Path]:
    """The offline files of a run, one folder an attempt, in order."""
    return sorted((folder.path / "wandb" / "wandb").glob("offline-run-*"))
