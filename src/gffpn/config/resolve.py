"""Resolution of a configuration to plain values, including the meaning of `auto` on this machine."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from gffpn.config.compose import frozen_parts, image_size
from gffpn.config.yaml_types import argument_types, as_typed
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
    values = _typed(values)
    values["size"] |= {key: float(values["size"][key]) for key in ("depth", "width")}
    values["trainer"]["precision"] = precision(config.trainer.precision, config.trainer.accelerator)
    # one name for one result
    for key, default in TRAINER_DEFAULTS.items():
        if values["trainer"][key] is None:
            values["trainer"][key] = default
    values["trainer"]["sync_batchnorm"] = values["trainer"]["sync_batchnorm"] and processes_of(values) > 1
    height, width = image_size(config)
    values["image_size"] = height if height == width else [height, width]
    return values


def _typed(node: Any) -> Any:
    """Return plain values with each number of the type that its taker declares."""
    if isinstance(node, list):
        return [_typed(one) for one in node]
    if not isinstance(node, dict):
        return node
    types = argument_types(node["_target_"]) if "_target_" in node else {}
    return {key: _typed(as_typed(value, types.get(key, Any))) for key, value in node.items()}


def processes_of(plain: Mapping[str, Any]) -> int:
    """Return the number of processes of a run with this resolved configuration."""
    trainer = plain["trainer"]
    return processes.asked_for(trainer["devices"], trainer["num_nodes"], trainer["accelerator"])


def starts_processes(plain: Mapping[str, Any]) -> bool:
    """Return whether a run with this resolved configuration would itself start further processes."""
    return processes_of(plain) > 1 and not processes.started_outside()
