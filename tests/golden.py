"""Parameters and operations of every neck: `make golden` records them, the tests compare."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from gffpn.build import compose_config
from gffpn.pyramid import Level

CONF = Path(__file__).parents[1] / "conf"
RECORD = Path(__file__).parent / "golden" / "necks.json"
NECKS = sorted(path.stem for path in (CONF / "neck").glob("*.yaml"))
BACKBONES = sorted(path.stem for path in (CONF / "backbone").glob("*.yaml"))
HEADS = sorted(path.stem for path in (CONF / "head").glob("*.yaml"))
# what the backbone of size l gives
LEVELS = (Level(128, 4), Level(256, 8), Level(512, 16), Level(1024, 32))


@cache
def compose(group: str, name: str, size: str) -> DictConfig:
    """The configuration with one choice of a group."""
    return compose_config([f"{group}={name}", f"size={size}"])


def load(group: str, name: str, *, size: str, **changes: object) -> dict[str, Any]:
    """The node of one choice with `size` resolved and some of its values changed."""
    config = compose(group, name, size).copy()
    config[group] = OmegaConf.merge(config[group], changes)
    return OmegaConf.to_container(config[group], resolve=True)


def build(group: str, name: str, *positional: object, size: str = "n", **changes: object) -> nn.Module:
    """The object that the YAML of one choice describes."""
    return instantiate(load(group, name, size=size, **changes), *positional, _convert_="all")


def count(make: Callable[[], nn.Module], make_input: Callable[[], Tensor | list[Tensor]]) -> dict[str, int]:
    """Parameters, and operations (2 x multiply-add, eval) on one input; computes nothing."""
    with FakeTensorMode(), torch.no_grad():
        module = make().eval()
        with FlopCounterMode(display=False) as counter:
            module(make_input())
        params = sum(parameter.numel() for parameter in module.parameters())
    return {"params": params, "flops": counter.get_total_flops()}


def count_neck(name: str) -> dict[str, int]:
    """At size l, on the levels of cspdarknet, for one image of 640 x 640 pixels."""
    return count(
        lambda: build("neck", name, LEVELS, size="l"),
        lambda: [torch.empty(1, channels, 640 // stride, 640 // stride) for channels, stride in LEVELS],
    )


if __name__ == "__main__":
    RECORD.write_text(json.dumps({name: count_neck(name) for name in NECKS}, indent=2) + "\n")
