"""Resolution of a configuration to plain values, including the meaning of `auto` on this machine."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from gffpn.config.compose import frozen_parts, image_size
from gffpn.machine import processes
from gffpn.machine.devices import precision
from gffpn.runs.folder import weights_in

TRAINER_DEFAULTS = {"limit_train_batches": 1.0, "limit_eval_batches": 1.0, "deterministic": False}
"""Meaning of null in Lightning's Trainer."""


def resolved(config: DictConfig) -> dict[str, Any]:
    """Return a configuration as plain values, without Hydra's own part.

    A value with several names has one here, and a precision of `auto` is the one that this machine uses.
    """
    plain = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    plain._set_parent(config._get_parent())
    values: dict[str, Any] = OmegaConf.to_container(plain, resolve=True, throw_on_missing=True)  # type: ignore[assignment]
    if values["init"] is not None:
        values["init"] = str(weights_in(Path(values["init"])))
    values["freeze"] = frozen_parts(values["freeze"])
    values["trainer"]["precision"] = precision(config.trainer.precision, config.trainer.accelerator)
    # one name for one result
    for key, default in TRAINER_DEFAULTS.items():
        if values["trainer"][key] is None:
            values["trainer"][key] = default
    values["trainer"]["sync_batchnorm"] = values["trainer"]["sync_batchnorm"] and processes_of(values) > 1
    height, width = image_size(config)
    values["image_size"] = height if height == width else [height, width]
    return values


def processes_of(plain: Mapping[str, Any]) -> int:
    """Return the number of processes of a run with this resolved configuration."""
    trainer = plain["trainer"]
    return processes.asked_for(trainer["devices"], trainer["num_nodes"], trainer["accelerator"])


def starts_processes(plain: Mapping[str, Any]) -> bool:
    """Return whether a run with this resolved configuration would itself start further processes."""
    return processes_of(plain) > 1 and not processes.started_outside()
