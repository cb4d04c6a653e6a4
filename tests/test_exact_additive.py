"""Do FPN and PAFPN match the published networks? Compared with torchvision and with hand-computed values."""

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
SIZES = [(12, 20), (9, 13)]  # of the finest map, including odd sizes
CASES = {
    "plain": (8, {}, None, None),
    "batch": (8, {"norm": "batch"}, None, nn.BatchNorm2d),
    "pool": (8, {"extra_levels": 1, "extra": "pool"}, LastLevelMaxPool(), None),
    # torchvision computes P6 from P5 if the block's widths are equal, otherwise from C5
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
def test_fpn_equals_torchvisions(case: str, size: tuple[int, int]) -> None:
    """With torchvision's weights, loaded in the order of its state dict, the outputs are bit-identical."""
    out_channels, arguments, extra, norm = CASES[case]
    assert extra is None or isinstance(extra, ExtraFPNBlock)
    torch.manual_seed(1)
    theirs = FeaturePyramidNetwork([level.channels for level in LEVELS], out_channels, extra, norm)
    for values in theirs.parameters():  # biases start at zero and would have no effect
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
    """Make every output of each convolution `value` x the sum of the inputs at the centre of its window."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.zeros_(part.weight)
            part.weight.data[:, :, part.kernel_size[0] // 2, part.kernel_size[1] // 2] = value
            nn.init.zeros_(part.bias)


def test_pafpn_by_hand() -> None:
    """There is one channel, with C3 = 1, C4 = 10, C5 = 100 everywhere.

    Top-down: O5 = 100, O4 = 110, O3 = 111. Bottom-up: O4 + 2 O3 = 332, O5 + 2 x 332 = 764. The last
    convolution, here x 3, is applied only after a map has been passed on.
    """
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


def test_a_relu_precedes_the_second_extra_convolution_only_if_asked_for() -> None:
    level = Level(1, 32)
    for relu, p7 in ((True, 0.0), (False, -4.0)):
        extra = ExtraLevels(2, "output", source=level, out_levels=(level,), relu=relu)
        constant(extra, 2.0)
        outputs = extra([torch.full((1, 1, 4, 4), -1.0)], torch.zeros(1, 1, 4, 4))
        assert [output.unique().tolist() for output in outputs] == [[-1.0], [-2.0], [p7]]
        assert [output.shape[-1] for output in outputs] == [4, 2, 1]


def test_a_weighted_sum_by_hand() -> None:
    """Maps 2 and 4 with weights 1 and 3 give 14 / 4.0001; then follow SiLU and 5 x + 1."""
    fuse = WeightedSum(2, 1)
    fuse.weights.data = torch.tensor([1.0, 3.0])
    fuse.conv.weight.data.fill_(5), fuse.conv.bias.data.fill_(1)
    mean = torch.tensor(14 / 4.0001)
    got = fuse((torch.full((1, 1, 1, 1), 2.0), torch.full((1, 1, 1, 1), 4.0)))
    assert got.item() == pytest.approx((5 * mean * mean.sigmoid() + 1).item())


@pytest.mark.parametrize("strides", [[], [32, 16, 8], [8, 32], [8, 8]])
@pytest.mark.parametrize("neck", [FPNAdditive, PAFPNAdditive])
def test_levels_that_do_not_form_a_pyramid_are_refused(neck: type[nn.Module], strides: list[int]) -> None:
    with pytest.raises(ValueError, match="in_strides: got"):
        neck(LEVELS, out_channels=8, in_strides=strides)
