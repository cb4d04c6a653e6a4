"""Are FPN and PAFPN what was published? Against torchvision, and by hand."""

import pytest
import torch
from torch import Tensor, nn
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import ExtraFPNBlock, LastLevelMaxPool, LastLevelP6P7

from gffpn.layers.extra_levels import ExtraLevels
from gffpn.necks.bifpn import WeightedSum
from gffpn.necks.fpn_additive import FPNAdditive
from gffpn.necks.pafpn_additive import PAFPNAdditive
from gffpn.pyramid import Level

LEVELS = (Level(6, 8), Level(10, 16), Level(12, 32))
SIZES = [(12, 20), (9, 13)]  # of the finest map; odd sizes too
CASES = {
    "plain": (8, {}, None, None),
    "batch": (8, {"norm": "batch"}, None, nn.BatchNorm2d),
    "pool": (8, {"extra_levels": 1, "extra": "pool"}, LastLevelMaxPool(), None),
    # torchvision takes P5 for P6 where the block's widths are equal, else C5
    "output": (8, {"extra_levels": 2, "extra": "output"}, LastLevelP6P7(8, 8), None),
    "input": (8, {"extra_levels": 2, "extra": "input"}, LastLevelP6P7(12, 8), None),
}


def features(height: int, width: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    sizes = [(height, width)]
    for _ in LEVELS[1:]:
        sizes.append((-(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2)))
    return [
        torch.randn(2, level.channels, *size, generator=generator)
        for level, size in zip(LEVELS, sizes, strict=True)
    ]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("case", CASES)
def test_fpn_is_torchvisions(case: str, size: tuple[int, int]) -> None:
    """With its weights, in the order of its state dict, the outputs are equal to the last bit."""
    out_channels, arguments, extra, norm = CASES[case]
    assert extra is None or isinstance(extra, ExtraFPNBlock)
    torch.manual_seed(1)
    theirs = FeaturePyramidNetwork([level.channels for level in LEVELS], out_channels, extra, norm)
    for values in theirs.parameters():  # biases start at zero, which would hide them
        nn.init.normal_(values, std=0.3)
    ours = FPNAdditive(LEVELS, out_channels=out_channels, **arguments)
    weights = zip(ours.state_dict(), theirs.state_dict().values(), strict=True)
    ours.load_state_dict(dict(weights))
    maps = features(*size)
    expected = theirs.train()({str(i): x for i, x in enumerate(maps)}).values()
    got = ours.train()(maps)
    assert len(got) == len(expected) == len(ours.out_levels)
    for one, other in zip(got, expected, strict=True):
        assert torch.equal(one, other)


def constant(module: nn.Module, value: float) -> None:
    """Each convolution adds up nothing but its centre: every output is `value` x the sum of its inputs."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.zeros_(part.weight)
            part.weight.data[:, :, part.kernel_size[0] // 2, part.kernel_size[1] // 2] = value
            nn.init.zeros_(part.bias)


def test_pafpn_by_hand() -> None:
    """One channel, C3 = 1, C4 = 10, C5 = 100 everywhere. Top-down: O5 = 100, O4 = 110, O3 = 111. Bottom-up:
    O4 + 2 O3 = 332, O5 + 2 x 332 = 764 (what is passed on comes before the last convolution, here x 3)."""
    levels = (Level(1, 8), Level(1, 16), Level(1, 32))
    neck = PAFPNAdditive(levels, out_channels=1, extra_levels=1)
    constant(neck.top_down, 1.0), constant(neck.down, 2.0), constant(neck.output, 3.0)
    maps = [torch.full((1, 1, 8 // 2**i, 8 // 2**i), 10.0**i) for i in range(3)]
    p3, p4, p5, p6 = neck(maps)
    assert p3.unique().tolist() == [111.0]
    assert p4.unique().tolist() == [996.0]
    assert p5.unique().tolist() == [2292.0]
    assert p6.shape == (1, 1, 1, 1)
    assert p6.item() == 2292.0


def test_an_extra_level_by_convolution_has_a_relu_before_the_second_one_only_where_asked() -> None:
    level = Level(1, 32)
    for relu, p7 in ((True, 0.0), (False, -4.0)):
        extra = ExtraLevels(2, "output", source=level, out_levels=(level,), relu=relu)
        constant(extra, 2.0)
        outputs = extra([torch.full((1, 1, 4, 4), -1.0)], torch.zeros(1, 1, 4, 4))
        assert [output.unique().tolist() for output in outputs] == [[-1.0], [-2.0], [p7]]
        assert [output.shape[-1] for output in outputs] == [4, 2, 1]


def test_a_weighted_sum_by_hand() -> None:
    """Weights 1 and 3 of maps 2 and 4: 14 / 4.0001, SiLU, then 5 x + 1."""
    fuse = WeightedSum(2, 1)
    fuse.weights.data = torch.tensor([1.0, 3.0])
    fuse.conv.weight.data.fill_(5), fuse.conv.bias.data.fill_(1)
    mean = torch.tensor(14 / 4.0001)
    got = fuse((torch.full((1, 1, 1, 1), 2.0), torch.full((1, 1, 1, 1), 4.0)))
    assert got.item() == pytest.approx((5 * mean * mean.sigmoid() + 1).item())


@pytest.mark.parametrize("strides", [[], [32, 16, 8], [8, 32], [8, 8]])
@pytest.mark.parametrize("neck", [FPNAdditive, PAFPNAdditive])
def test_levels_that_are_no_pyramid(neck: type[nn.Module], strides: list[int]) -> None:
    with pytest.raises(ValueError, match="in_strides: got"):
        neck(LEVELS, out_channels=8, in_strides=strides)
