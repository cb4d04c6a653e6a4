"""Parameters, operations and outputs of every neck, recorded by `make golden` and compared by the tests."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from gffpn.config.compose import compose_config
from gffpn.pyramid import Level, levels_at, positions_read

CONF = Path(__file__).parents[1] / "conf"
RECORD = Path(__file__).parent / "golden" / "necks.json"
NECKS = sorted(path.stem for path in (CONF / "neck").glob("*.yaml"))
BACKBONES = sorted(path.stem for path in (CONF / "backbone").glob("*.yaml"))
HEADS = sorted(path.stem for path in (CONF / "head").glob("*.yaml"))
# output levels of cspdarknet at size l
LEVELS = (Level(128, 4), Level(256, 8), Level(512, 16), Level(1024, 32))


@cache
def compose(group: str, name: str, size: str) -> DictConfig:
    """Return the configuration that selects `name` in `group`, at the given size."""
    return compose_config([f"{group}={name}", f"size={size}"])


def load(group: str, name: str, *, size: str, **changes: object) -> dict[str, Any]:
    """Return the node of one choice, with `size` resolved and `changes` merged into it."""
    config = compose(group, name, size).copy()
    config[group] = OmegaConf.merge(config[group], changes)
    return OmegaConf.to_container(config[group], resolve=True)


def build(group: str, name: str, *positional: object, size: str = "n", **changes: object) -> nn.Module:
    """Build the object that the YAML file of one choice describes."""
    return instantiate(load(group, name, size=size, **changes), *positional, _convert_="all")


def count(
    make: Callable[[], nn.Module], make_input: Callable[[Any], Tensor | list[Tensor]]
) -> dict[str, int]:
    """Count parameters, and operations (2 x multiply-add) on one input in eval mode, computing no values."""
    with torch.device("meta"), torch.no_grad():
        module = make().eval()
        with FlopCounterMode(display=False) as counter:
            module(make_input(module))
        params = sum(parameter.numel() for parameter in module.parameters())
    return {"params": params, "flops": counter.get_total_flops()}


def count_neck(name: str) -> dict[str, Any]:
    """Count a neck at size l, on the levels of cspdarknet, for one image of 640 x 640 pixels."""
    counted = count(
        lambda: build("neck", name, LEVELS, size="l"),
        lambda neck: [
            torch.empty(1, channels, 640 // stride, 640 // stride)
            for channels, stride in levels_at(LEVELS, neck.in_strides, reader=name)
        ],
    )
    return {**counted, "gflops": round(counted["flops"] / 1e9, 3)}


def fingerprint(name: str) -> dict[str, list[float]]:
    """Return, by stride, each output's mean, standard deviation and component along a fixed random direction.

    The neck has size n and newly initialised weights; its input is random, of the sizes for one image of
    128 x 192 pixels. A change of the initialisation shows as well as a change of the graph.
    """
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    levels = [level._replace(channels=level.channels // 4) for level in LEVELS]
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        neck = build("neck", name, tuple(levels)).eval()
        features = [random(1, channels, 128 // stride, 192 // stride) for channels, stride in levels]
        outputs = neck([features[i] for i in positions_read(levels, neck)])
    figures = {}
    for level, x in zip(neck.out_levels, outputs, strict=True):
        share = (x * random(*x.shape)).sum() / x.numel() ** 0.5
        figures[str(level.stride)] = [float(f"{value:.5g}") for value in (x.mean(), x.std(), share)]
    return figures


def record(name: str) -> dict[str, Any]:
    """Return what `make golden` records for one neck: counts and output figures."""
    return {**count_neck(name), "output": fingerprint(name)}


if __name__ == "__main__":
    rows = (f'  "{name}": {json.dumps(record(name))}' for name in NECKS)
    RECORD.write_text("{\n" + ",\n".join(rows) + "\n}\n")
