"""A configuration as plain values, with what `auto` means on this machine."""

from typing import Any

from omegaconf import DictConfig, OmegaConf

from gffpn.machine import processes
from gffpn.machine.devices import precision


def resolved(config: DictConfig) -> dict[str, Any]:
    """A configuration as plain values, without Hydra's own part; `auto` is what it means on this machine."""
    plain = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    plain._set_parent(config._get_parent())
    values: dict[str, Any] = OmegaConf.to_container(plain, resolve=True, throw_on_missing=True)  # type: ignore[assignment]
    values["trainer"]["precision"] = precision(config.trainer.precision, config.trainer.accelerator)
    return values


def starts_processes(config: DictConfig) -> bool:
    """Whether a run with this configuration would start further processes by itself."""
    trainer = resolved(config)["trainer"]
    count = processes.asked_for(trainer["devices"], trainer["num_nodes"], trainer["accelerator"])
    return count > 1 and not processes.started_outside()
