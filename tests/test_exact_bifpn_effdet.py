"""Is `bifpn_effdet` the BiFPN of the effdet package, which provides the published weights?"""

import math
import re
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gffpn.necks.bifpn_effdet import BiFPNEffDet, Fuse
from gffpn.pyramid import Level, Levels

with warnings.catch_warnings():
    # effdet 0.4.1 compiles its box functions with torch.jit.script on import
    warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated", FutureWarning)
    from effdet import EfficientDet
    from effdet.config import get_efficientdet_config
    from effdet.efficientdet import BiFpn

WIDTH = 24
SIDE = 160
"""Image side in pixels: levels have 20, 10, 5, 3 and 2 cells, some odd. The reference has a fixed size."""
PYRAMIDS: dict[str, Levels] = {
    "other widths": (Level(16, 8), Level(32, 16), Level(40, 32)),
    "C3 as wide": (Level(WIDTH, 8), Level(32, 16), Level(40, 32)),
    "C4 as wide": (Level(16, 8), Level(WIDTH, 16), Level(40, 32)),
    "C5 as wide": (Level(16, 8), Level(32, 16), Level(WIDTH, 32)),
}
NAMES_THERE = {"fast": "bifpn_fa", "softmax": "bifpn_attn", "sum": "bifpn_sum"}
NODE_PARTS_HERE = {
    "combine.edge_weights": "fuse.weights",
    "after_combine.conv.conv_dw": "convs.0",
    "after_combine.conv.conv_pw": "convs.1",
    "after_combine.conv.bn": "convs.2",
}


def reference(
    levels: Levels, *, repeats: int, fusion: str, extra_levels: int, redundant_bias: bool
) -> nn.Module:
    config = get_efficientdet_config("efficientdet_d0")
    config.image_size = [SIDE, SIDE]
    config.fpn_channels, config.fpn_cell_repeats = WIDTH, repeats
    config.fpn_name = NAMES_THERE[fusion]
    config.max_level, config.num_levels = 5 + extra_levels, 3 + extra_levels
    config.redundant_bias = redundant_bias
    return BiFpn(config, [{"num_chs": c, "reduction": s} for c, s in levels])


def key_here(key: str, levels: int) -> str:
    """Return our name for a tensor of the reference, whose nodes are numbered in the order of computation."""
    if outside := re.fullmatch(r"resample\.3\.conv\.(conv|bn)\.(\w+)", key):
        return f"coarsest.{int(outside[1] == 'bn')}.{outside[2]}"
    cell, number, rest = re.fullmatch(r"cell\.(\d+)\.fnode\.(\d+)\.(.+)", key).groups()
    number = int(number)
    down = number < levels - 1
    if entry := re.fullmatch(r"combine\.resample\.(\d)\.conv\.(conv|bn)\.(\w+)", rest):
        level, part, tensor = int(entry[1]), int(entry[2] == "bn"), entry[3]
        where = f"enter_down.{level}" if down else f"enter_up.{level - 1}"
        return f"cells.{cell}.{where}.{part}.{tensor}"
    node = f"top_down.{levels - 2 - number}" if down else f"bottom_up.{number - levels + 1}"
    for there, here in NODE_PARTS_HERE.items():
        if rest.startswith(there):
            return f"cells.{cell}.{node}.{here}{rest.removeprefix(there)}"
    raise AssertionError(key)


def disturb(module: nn.Module) -> None:
    """Make all weights differ, norms as after training, and one edge weight negative."""
    with torch.no_grad():
        for key, tensor in module.state_dict().items():
            if tensor.is_floating_point():
                tensor.add_(torch.randn_like(tensor) * 0.3)
            if "running_var" in key:
                tensor.abs_().add_(0.5)
            if key.endswith("fnode.2.combine.edge_weights"):
                tensor[0] = -0.2


def pair(levels: Levels, **arguments: Any) -> tuple[nn.Module, BiFPNEffDet]:
    torch.manual_seed(0)
    theirs = reference(levels, **arguments)
    disturb(theirs)
    ours = BiFPNEffDet(levels, out_channels=WIDTH, **arguments)
    count = 3 + arguments["extra_levels"]
    weights = {key_here(key, count): tensor for key, tensor in theirs.state_dict().items()}
    ours.load_state_dict(weights, strict=True)
    return theirs, ours


def features_of(levels: Levels) -> list[Tensor]:
    return [torch.randn(2, c, math.ceil(SIDE / s), math.ceil(SIDE / s)) for c, s in levels]


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"repeats": 1},
        {"repeats": 1, "extra_levels": 1},
        {"extra_levels": 2},
        {"repeats": 1, "fusion": "softmax"},
        {"extra_levels": 2, "fusion": "softmax"},
        {"repeats": 1, "fusion": "sum"},
        {"extra_levels": 2, "fusion": "sum"},
        {"repeats": 1, "redundant_bias": True},
        {"extra_levels": 2, "redundant_bias": True},
    ],
    ids=str,
)
def test_outputs_and_statistics_equal_the_references(changes: dict[str, Any], training: bool) -> None:
    levels = PYRAMIDS["other widths"]
    defaults = {"repeats": 3, "fusion": "fast", "extra_levels": 0, "redundant_bias": False}
    assert_equal(levels, {**defaults, **changes}, training=training)


@pytest.mark.parametrize("pyramid", PYRAMIDS)
@pytest.mark.parametrize("extra_levels", [0, 2])
def test_a_level_with_the_necks_width_has_no_projection(pyramid: str, extra_levels: int) -> None:
    arguments = {"repeats": 2, "fusion": "fast", "extra_levels": extra_levels, "redundant_bias": False}
    assert_equal(PYRAMIDS[pyramid], arguments, training=False)


def assert_equal(levels: Levels, arguments: dict[str, Any], *, training: bool) -> None:
    theirs, ours = pair(levels, **arguments)
    theirs.train(training), ours.train(training)
    features = features_of(levels)
    outputs = ours(features)
    assert len(features) == 3
    # the reference appends to its input list
    expected = theirs(list(features))
    assert len(outputs) == len(expected) == 3 + arguments["extra_levels"]
    for output, other in zip(outputs, expected, strict=True):
        torch.testing.assert_close(output, other, atol=2e-4, rtol=1e-4)
    after = {key_here(key, len(outputs)): tensor for key, tensor in theirs.state_dict().items()}
    for key, tensor in ours.state_dict().items():
        torch.testing.assert_close(tensor, after[key], atol=1e-4, rtol=1e-4)


def test_initial_weights_are_distributed_as_the_references() -> None:
    """Uniform with bound sqrt(6 / (fan in + fan out)), compared by the largest of many draws, within 3 %."""
    config = get_efficientdet_config("efficientdet_d0")
    theirs = dict(EfficientDet(config, pretrained_backbone=False).fpn.named_parameters())
    levels = (Level(40, 8), Level(112, 16), Level(320, 32))
    ours = dict(BiFPNEffDet(levels, out_channels=64, extra_levels=2).named_parameters())
    for key, tensor in theirs.items():
        own = ours[key_here(key, 5)]
        assert own.shape == tensor.shape
        assert own.abs().max().item() == pytest.approx(tensor.abs().max().item(), rel=0.03), key
        assert own.std(correction=0).item() == pytest.approx(tensor.std(correction=0).item(), rel=0.1), key


def test_shares_by_hand() -> None:
    """The maps are 2, 4 and 8.

    Fast with weights 1, 3, -5: (2 + 12 + 0) / 4.0001. Softmax with log 1, log 2, log 5: (2 + 8 + 40) / 8.
    """
    maps = [torch.full((1, 1, 1, 1), value) for value in (2.0, 4.0, 8.0)]
    fast, softmax = Fuse(3, "fast"), Fuse(3, "softmax")
    fast.weights.data = torch.tensor([1.0, 3.0, -5.0])
    softmax.weights.data = torch.tensor([1.0, 2.0, 5.0]).log()
    assert fast(maps).item() == pytest.approx(14 / 4.0001)
    assert softmax(maps).item() == pytest.approx(50 / 8)
    assert Fuse(3, "sum")(maps).item() == 14
