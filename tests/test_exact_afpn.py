"""Is `afpn` the published scheme? Compared with hand-computed values and with loops over cells."""

import math
from itertools import product

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from gffpn.layers.conv import ConvBNAct
from gffpn.necks.afpn import AFPN, FusePerCell, Join, Shrink
from gffpn.pyramid import Level, Levels

LEVELS: Levels = (Level(8, 8), Level(12, 16), Level(16, 32))


def lived_in(module: nn.Module) -> nn.Module:
    """Return the module in eval mode, its norms as if trained, its weights so large that all paths count."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.normal_(part.weight, std=1 / math.sqrt(part.weight[0].numel()))
        if isinstance(part, nn.BatchNorm2d):
            nn.init.normal_(part.running_mean, std=0.1)
            nn.init.uniform_(part.running_var, 0.5, 1.5)
            nn.init.normal_(part.bias, std=0.1)
    return module.eval()


@pytest.fixture
def neck() -> AFPN:
    torch.manual_seed(0)
    return lived_in(AFPN(LEVELS, out_channels=8))


def features_of(sizes: list[tuple[int, int]], images: int = 1) -> list[Tensor]:
    return [torch.randn(images, level.channels, *size) for level, size in zip(LEVELS, sizes, strict=True)]


# The fusion


def test_two_constant_maps_with_known_logits() -> None:
    """Logits log 1 and log 3 give 1/4 x 4 + 3/4 x 8 = 7; the 3x3 convolution passes only its centre."""
    fuse = FusePerCell(2, 1).eval()
    nn.init.zeros_(fuse.logits.weight)
    fuse.logits.bias.data = torch.tensor([1.0, 3.0]).log()
    nn.init.zeros_(fuse.merge.conv.weight)
    fuse.merge.conv.weight.data[..., 1, 1] = 1
    fuse.merge.norm, fuse.merge.act = nn.Identity(), nn.Identity()
    fused = fuse([torch.full((1, 1, 2, 3), 4.0), torch.full((1, 1, 2, 3), 8.0)])
    torch.testing.assert_close(fused, torch.full((1, 1, 2, 3), 7.0))


def test_each_cell_has_its_own_shares_which_sum_to_one() -> None:
    torch.manual_seed(0)
    fuse = lived_in(FusePerCell(3, 4))
    shares = fuse.shares([torch.randn(2, 4, 5, 6) for _ in range(3)])
    assert shares.shape == (2, 3, 5, 6)
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(2, 5, 6))
    assert shares.flatten(2).std(dim=2).min() > 0.01


def test_initial_shares_are_nearly_those_of_the_biases() -> None:
    torch.manual_seed(0)
    fuse = AFPN(LEVELS, out_channels=8).eval().stages[1][0].fuse
    shares = fuse.shares([torch.randn(1, 2, 4, 4) for _ in range(3)])
    expected = fuse.logits.bias.softmax(dim=0)[None, :, None, None].expand_as(shares)
    torch.testing.assert_close(shares, expected, atol=0.01, rtol=0)


# The order in which levels are fused


def test_the_coarsest_level_joins_last(neck: AFPN) -> None:
    met: list[list[Tensor]] = []
    for stage in neck.stages:
        for join in stage:
            join.register_forward_pre_hook(lambda module, inputs: met.append(list(inputs[0])))
    entered: list[Tensor] = []
    for enter in neck.enter:
        enter.register_forward_hook(lambda module, inputs, output: entered.append(output))
    neck(features_of([(8, 8), (4, 4), (2, 2)]))
    assert [len(maps) for maps in met] == [2, 2, 3, 3, 3]
    # all levels of a stage read the maps from before the stage
    assert all(a is b for maps in met[:2] for a, b in zip(maps, entered[:2], strict=True))
    assert all(a is b for maps in met[3:] for a, b in zip(maps, met[2], strict=True))
    # the coarsest map reaches the second stage unchanged, the others do not
    assert met[2][2] is entered[2]
    assert all(met[2][i] is not entered[i] for i in (0, 1))


def test_the_coarsest_level_takes_no_part_in_the_first_stage() -> None:
    """Without the second stage, a change of C5 affects only P5."""
    torch.manual_seed(0)
    neck = lived_in(AFPN(LEVELS, out_channels=8))
    neck.stages = neck.stages[:1]
    features = features_of([(8, 8), (4, 4), (2, 2)])
    before = neck(features)
    features[2] = features[2] + 1
    changed = [not torch.equal(a, b) for a, b in zip(neck(features), before, strict=True)]
    assert changed == [False, False, True]


# The whole forward pass, as loops over cells


def cba(block: ConvBNAct, x: Tensor) -> Tensor:
    """Compute act(BN(conv(x))) from the definition of the norm; act is SiLU or the identity."""
    y = correlate(x, block.conv.weight, block.conv.bias, padding=block.conv.padding[0])
    y = normed(y, block.norm)
    return y if isinstance(block.act, nn.Identity) else y * torch.sigmoid(y)


def normed(y: Tensor, norm: nn.BatchNorm2d) -> Tensor:
    scale = norm.weight / torch.sqrt(norm.running_var + 1e-5)
    return (y - norm.running_mean[:, None, None]) * scale[:, None, None] + norm.bias[:, None, None]


def correlate(x: Tensor, weight: Tensor, bias: Tensor | None, *, padding: int = 0, stride: int = 1) -> Tensor:
    """Convolve one image (C, H, W), zero-padded as far as needed below and on the right."""
    kernel = weight.shape[-1]
    height, width = (-(-side // stride) for side in x.shape[1:])
    around = torch.zeros(x.shape[0], x.shape[1] + 2 * kernel, x.shape[2] + 2 * kernel)
    around[:, padding : padding + x.shape[1], padding : padding + x.shape[2]] = x
    y = torch.empty(weight.shape[0], height, width)
    for row, column in product(range(height), range(width)):
        top, left = row * stride, column * stride
        window = around[:, top : top + kernel, left : left + kernel]
        y[:, row, column] = (weight * window).sum(dim=(1, 2, 3))
    return y if bias is None else y + bias[:, None, None]


def linear(x: Tensor, height: int, width: int) -> Tensor:
    """Resize (C, h, w) bilinearly: row i is centred at (i + 0.5) h / H; border cells are replicated."""
    y = torch.empty(x.shape[0], height, width)
    for row, column in product(range(height), range(width)):
        v = max(0.0, (row + 0.5) * x.shape[1] / height - 0.5)
        u = max(0.0, (column + 0.5) * x.shape[2] / width - 0.5)
        top, left = int(v), int(u)
        below, right = min(top + 1, x.shape[1] - 1), min(left + 1, x.shape[2] - 1)
        v, u = v - top, u - left
        upper = x[:, top, left] * (1 - u) + x[:, top, right] * u
        lower = x[:, below, left] * (1 - u) + x[:, below, right] * u
        y[:, row, column] = upper * (1 - v) + lower * v
    return y


def join_by_loops(join: Join, maps: list[Tensor]) -> Tensor:
    target = join.target
    own = maps[target]
    brought = []
    for source, (x, path) in enumerate(zip(maps, join.bring, strict=True)):
        if source < target:
            conv, norm, _ = path.conv
            assert conv.kernel_size == conv.stride == (2 ** (target - source),) * 2
            assert conv.padding == (0, 0)
            y = normed(correlate(x, conv.weight, None, stride=conv.stride[0]), norm)
            x = y * torch.sigmoid(y)
        elif source > target:
            x = linear(cba(path, x), *own.shape[1:])
        brought.append(x)
    squeezed = torch.cat([cba(part, x) for part, x in zip(join.fuse.squeeze, brought, strict=True)])
    logits = correlate(squeezed, join.fuse.logits.weight, join.fuse.logits.bias)
    shares = logits.exp() / logits.exp().sum(dim=0)
    fused = cba(join.fuse.merge, sum(x * share for x, share in zip(brought, shares, strict=True)))
    for block in join.blocks:
        y = fused + cba(block.second, cba(block.first, fused))
        fused = y * torch.sigmoid(y)
    return fused


def by_loops(neck: AFPN, features: list[Tensor]) -> list[Tensor]:
    x3, x4, x5 = (
        cba(enter[1], cba(enter[0], feature[0])) for enter, feature in zip(neck.enter, features, strict=True)
    )
    x3, x4 = (join_by_loops(join, [x3, x4]) for join in neck.stages[0])
    joined = [join_by_loops(join, [x3, x4, x5]) for join in neck.stages[1]]
    return [cba(leave, x) for leave, x in zip(neck.leave, joined, strict=True)]


@pytest.mark.parametrize(
    "sizes", [[(8, 12), (4, 6), (2, 3)], [(7, 9), (4, 5), (2, 3)], [(5, 1), (3, 1), (2, 1)]], ids=str
)
def test_the_forward_pass_equals_loops(neck: AFPN, sizes: list[tuple[int, int]]) -> None:
    features = features_of(sizes)
    with torch.no_grad():
        expected = by_loops(neck, features)
        outputs = neck(features)
    for output, other in zip(outputs, expected, strict=True):
        assert other.std() > 0.05
        torch.testing.assert_close(output[0], other, atol=1e-4, rtol=1e-4)


# Sizes


def test_resizing_to_a_multiple_equals_the_published_scale_factor() -> None:
    x = torch.randn(1, 3, 5, 7)
    for factor in (2, 4):
        size = (5 * factor, 7 * factor)
        ours = functional.interpolate(x, size=size, mode="bilinear", align_corners=False)
        published = functional.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)
        assert torch.equal(ours, published)


def test_the_last_windows_below_and_on_the_right_are_zero_padded() -> None:
    """With kernel and stride 2 and weights 1, the windows of a 3 x 3 map of ones sum to 4, 2, 2 and 1."""
    shrink = Shrink(1, 1, 2)
    nn.init.ones_(shrink.conv[0].weight)
    shrink.conv[1], shrink.conv[2] = nn.Identity(), nn.Identity()
    assert shrink(torch.ones(1, 1, 3, 3))[0, 0].tolist() == [[4, 2], [2, 1]]


def test_awkward_sizes_keep_channels_last(neck: AFPN) -> None:
    features = features_of([(7, 9), (4, 5), (2, 3)], images=2)
    in_format = [feature.contiguous(memory_format=torch.channels_last) for feature in features]
    for output, plain in zip(neck(in_format), neck(features), strict=True):
        assert output.is_contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(output, plain, atol=1e-4, rtol=1e-4)


# Arguments and initial weights


def test_arguments() -> None:
    neck = AFPN(LEVELS, out_channels=24, width="uniform", reduction=3, blocks=1)
    assert neck.out_levels == (Level(24, 8), Level(24, 16), Level(24, 32))
    assert [enter[0].conv.out_channels for enter in neck.enter] == [2, 4, 5]
    assert [[len(join.blocks) for join in stage] for stage in neck.stages] == [[1, 1], [1, 1, 1]]
    with pytest.raises(ValueError, match="reduction: got 9, expected 1 to the smallest width, 8"):
        AFPN(LEVELS, out_channels=8, reduction=9)


def test_initial_weights() -> None:
    """Xavier-normal, gain 0.02: a 3x3 kernel from 64 to 64 channels has sd 0.02 sqrt(2 / (576 + 576))."""
    torch.manual_seed(0)
    neck = AFPN((Level(256, 8), Level(256, 16), Level(256, 32)), out_channels=8)
    block = neck.stages[0][0].blocks[0].first
    assert block.conv.weight.std().item() == pytest.approx(0.02 * math.sqrt(2 / 1152), rel=0.02)
    norms = torch.cat([part.weight for part in neck.modules() if isinstance(part, nn.BatchNorm2d)])
    assert norms.mean().item() == pytest.approx(1, abs=0.002)
    assert norms.std().item() == pytest.approx(0.02, rel=0.05)
