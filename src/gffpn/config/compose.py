"""Composition of a configuration from overrides, and reading of its image size and of its classes."""

from collections.abc import Iterator, Sequence

from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from gffpn.config.overrides import CONF, WRONG_OVERRIDE, explain


def compose_config(overrides: Sequence[str]) -> DictConfig:
    """Return the configuration that `python train.py OVERRIDES...` would run.

    Raises ValueError for a wrong override.
    """
    try:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            config = compose("train", list(overrides), return_hydra_config=True)
    except WRONG_OVERRIDE as error:
        raise ValueError(explain(error)) from error
    HydraConfig.instance().set_config(config)
    return config


def image_size(config: DictConfig) -> tuple[int, int]:
    """Return `image_size: N` or `[H, W]` as (H, W), in pixels.

    Raises ValueError for any other value.
    """
    value = (
        OmegaConf.to_container(config.image_size)
        if OmegaConf.is_list(config.image_size)
        else config.image_size
    )
    sides = tuple(value) if isinstance(value, list) else (value, value)
    if len(sides) != 2 or not all(isinstance(side, int) and side > 0 for side in sides):
        raise ValueError(f"image_size: got {value!r}, expected a number of pixels or [height, width]")
    return sides


def targets(node: object) -> Iterator[str]:
    """Yield the dotted name of each class or function (`_target_`) in a configuration of plain values."""
    if isinstance(node, dict):
        if "_target_" in node:
            yield str(node["_target_"])
        node = list(node.values())
    for part in node if isinstance(node, list) else ():
        yield from targets(part)


def frozen_parts(value: object) -> list[str]:
    """Return the parts of `freeze`, one or a list, in the order of the detector.

    Raises ValueError for anything else, and if nothing is left to train.
    """
    parts = ("backbone", "neck", "head")
    asked = [value] if isinstance(value, str) else value
    if not isinstance(asked, Sequence) or not set(asked) <= set(parts) or set(asked) == set(parts):
        raise ValueError(f"freeze: got {value!r}, expected one or two of {list(parts)}, or []")
    return [part for part in parts if part in asked]
