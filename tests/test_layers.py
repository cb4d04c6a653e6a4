import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gffpn.choice import choose
from gffpn.layers.cat import cat_channels
from gffpn.layers.conv import ConvBNAct, optional_norm, scaled_width
from gffpn.layers.csp import C3, SPPF, Bottleneck, scaled_depth
from gffpn.layers.resize import upsample_to
from gffpn.necks.fpn import TopDown
from gffpn.necks.gffpn import fccfm, guided, lpam, lsam
from gffpn.necks.gffpn.fccfm import ChannelCorrelation, mix_channels
from gffpn.necks.gffpn.lsam import split_in_three
from gffpn.pyramid import Level
from golden import load

PARTS = load("neck", "gffpn", size="n")
OF_LPAM = {key: value for key, value in PARTS["lpam"].items() if not key.startswith("_")}


def only(*names: str) -> dict[str, Any]:
    """Return the named arguments of LPAM with their values in conf/neck/gffpn.yaml."""
    return {name: OF_LPAM[name] for name in names}


def LSAM(channels: int, **changes: object) -> lsam.LSAM:
    return lsam.LSAM(channels, **{**only("downsample", "norm"), **changes})


def FCCFM(in_channels: int, out_channels: int, **changes: object) -> fccfm.FCCFM:
    own = only("mix", "projection", "norm", "product", "dim")
    return fccfm.FCCFM(in_channels, out_channels, **{**own, **changes})


def LPAM(in_channels: int, out_channels: int, **changes: object) -> lpam.LPAM:
    return lpam.LPAM(in_channels, out_channels, **{**OF_LPAM, **changes})


def GuidedStage(in_channels: int, out_channels: int, **changes: object) -> guided.GuidedStage:
    own = {name: PARTS[name] for name in ("fusion", "residual", "gate", "short")}
    return guided.GuidedStage(in_channels, out_channels, lpam=LPAM, **{**own, **changes})


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def fill(module: nn.Module, value: float) -> None:
    for parameter in module.parameters():
        nn.init.constant_(parameter, value)


class Fixed(nn.Module):
    """A module that returns the same map for every input."""

    def __init__(self, value: Tensor) -> None:
        super().__init__()
        self.value = value

    def forward(self, x: Tensor) -> Tensor:
        return self.value


# choices


@pytest.mark.parametrize("got", ["three", ["one"], {}, None])
def test_a_choice_is_a_key_of_its_table(got: object) -> None:
    assert choose("number", "one", {"one": 1, "two": 2}) == 1
    with pytest.raises(ValueError, match=r"number: got .*, expected one of \['one', 'two'\]"):
        choose("number", got, {"one": 1, "two": 2})


# conv and csp


def test_conv_is_silu_of_batch_norm_of_conv() -> None:
    conv = ConvBNAct(1, 1).eval()
    fill(conv.conv, 2.0)
    assert (conv.norm.eps, conv.norm.momentum, conv.conv.bias) == (1e-3, 0.03, None)
    normalised = 6 / math.sqrt(1 + 1e-3)
    expected = normalised / (1 + math.exp(-normalised))
    torch.testing.assert_close(conv(torch.full((1, 1, 1, 1), 3.0)).item(), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("channels", "width", "expected"), [(64, 0.25, 16), (64, 0.3, 24), (1024, 1.25, 1280)]
)
def test_widths_are_rounded_up_to_multiples_of_eight(channels: int, width: float, expected: int) -> None:
    assert scaled_width(channels, width) == expected


@pytest.mark.parametrize(
    ("blocks", "depth", "expected"), [(3, 0.33, 1), (9, 0.33, 3), (3, 0.67, 2), (9, 1.33, 12), (1, 0.33, 1)]
)
def test_depths_are_rounded_and_at_least_one(blocks: int, depth: float, expected: int) -> None:
    assert scaled_depth(blocks, depth) == expected


@pytest.mark.parametrize("multiple", [0, -1.0, float("nan")])
def test_multiples_must_be_positive(multiple: float) -> None:
    with pytest.raises(ValueError, match="depth: got"):
        scaled_depth(3, multiple)
    with pytest.raises(ValueError, match="width: got"):
        scaled_width(64, multiple)


@pytest.mark.parametrize("shortcut", [True, False])
def test_bottleneck_adds_its_input_only_with_shortcut(shortcut: bool) -> None:
    block = Bottleneck(4, 2, shortcut=shortcut).eval()
    fill(block.expand.conv, 0.0)
    x = torch.randn(1, 4, 3, 3)
    torch.testing.assert_close(block(x), x if shortcut else torch.zeros_like(x))


@pytest.mark.parametrize(("in_channels", "out_channels", "repeats"), [(24, 16, 1), (16, 32, 3)])
def test_c3_parameters(in_channels: int, out_channels: int, repeats: int) -> None:
    hidden = out_channels // 2
    weights = 2 * in_channels * hidden + repeats * 10 * hidden**2 + 2 * hidden * out_channels
    norms = 2 * (2 * hidden + 2 * repeats * hidden + out_channels)
    assert parameters(C3(in_channels, out_channels, repeats)) == weights + norms


def test_c3_concatenates_main_then_side() -> None:
    block = C3(4, 4, 1)
    block.enter, block.merge = nn.Identity(), nn.Identity()
    block.blocks = Fixed(torch.zeros(1, 2, 3, 3))
    x = torch.randn(1, 4, 3, 3)
    torch.testing.assert_close(block(x), torch.cat((torch.zeros(1, 2, 3, 3), x[:, 2:]), dim=1))


def test_sppf_pools_windows_of_1_5_9_and_13_cells() -> None:
    block = SPPF(2)
    block.reduce, block.merge = nn.Identity(), nn.Identity()
    spike = torch.zeros(1, 1, 17, 17)
    spike[..., 8, 8] = 1.0
    assert block(spike).sum(dim=(0, 2, 3)).tolist() == [1, 25, 81, 169]
    assert parameters(SPPF(8)) == 8 * 4 + 2 * 4 + 16 * 8 + 2 * 8


# resize and the top-down pass


def test_upsampling_returns_the_size_of_the_lateral() -> None:
    x = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    expected = [[1, 1, 2], [1, 1, 2], [3, 3, 4]]
    assert upsample_to(x, torch.zeros(1, 5, 3, 3))[0, 0].tolist() == expected


def test_top_down_concatenates_the_upsampled_map_first() -> None:
    top_down = TopDown((Level(2, 8), Level(4, 16)), [2, 4], [1, 1])
    for blocks in (top_down.reduce, top_down.fuse):
        for i in range(len(blocks)):
            blocks[i] = nn.Identity()
    fine, coarse = torch.randn(1, 2, 3, 3), torch.randn(1, 4, 2, 2)
    with torch.no_grad():
        fused = top_down([fine, coarse])
    torch.testing.assert_close(fused[1], coarse)
    torch.testing.assert_close(fused[0], torch.cat((upsample_to(coarse, fine), fine), dim=1))


# LSAM


def test_the_larger_parts_come_first() -> None:
    assert split_in_three(128) == [43, 43, 42]
    assert split_in_three(4) == [2, 1, 1]
    with pytest.raises(ValueError, match="splits its channels into three parts and needs at least 3, got 2"):
        LSAM(2)


@pytest.fixture
def spike() -> Tensor:
    """Return 7 x 7 zeros with a one in the middle.

    A 3x3 convolution of dilation r spreads it to the rows and columns 3 - r, 3 and 3 + r.
    """
    x = torch.zeros(1, 3, 7, 7)
    x[..., 3, 3] = 1.0
    return x


def lsam_of_ones(downsample: str) -> LSAM:
    """Return an LSAM of ones, but with pointwise weights 2, 3, -1: the ReLU sets the third branch to zero."""
    module = LSAM(3, downsample=downsample)
    fill(module, 1.0)
    for branch, weight in zip(module.branches, (2.0, 3.0, -1.0), strict=True):
        fill(branch[1], weight)
    return module


LSAM_BY_HAND = {
    "max": (
        [[0, 0, 0, 0], [0, 2, 2, 0], [0, 2, 2, 0], [0, 0, 0, 0]],
        [[3, 3, 3, 0], [3, 3, 3, 0], [3, 3, 3, 0], [0, 0, 0, 0]],
    ),
    "avg": (
        [[0, 0, 0, 0], [0, 2, 1, 0], [0, 1, 0.5, 0], [0, 0, 0, 0]],
        [[0.75, 0.75, 0.75, 0], [0.75, 0.75, 0.75, 0], [0.75, 0.75, 0.75, 0], [0, 0, 0, 0]],
    ),
    # stride 2 keeps rows 0, 2, 4, 6; dilation 2 reaches only rows 1, 3, 5
    "stride": ([[0, 0, 0, 0], [0, 2, 2, 0], [0, 2, 2, 0], [0, 0, 0, 0]], [[0] * 4] * 4),
}


@pytest.mark.parametrize("downsample", LSAM_BY_HAND)
def test_lsam_by_hand(spike: Tensor, downsample: str) -> None:
    first, second = LSAM_BY_HAND[downsample]
    got = lsam_of_ones(downsample)(spike)[0].tolist()
    assert got == [first, second, [[0] * 4] * 4]


@pytest.mark.parametrize("downsample", LSAM_BY_HAND)
@pytest.mark.parametrize("size", [(1, 1), (1, 4), (5, 8)])
def test_lsam_halves_sizes_and_rounds_up(downsample: str, size: tuple[int, int]) -> None:
    got = LSAM(4, downsample=downsample)(torch.randn(2, 4, *size)).shape
    assert got == (2, 4, -(-size[0] // 2), -(-size[1] // 2))


def test_lsam_normalises_between_pointwise_and_relu() -> None:
    kinds = [type(layer).__name__ for layer in LSAM(3, norm="batch").branches[0]]
    assert kinds == ["DilatedDepthwise", "Conv2d", "BatchNorm2d", "ReLU"]
    assert parameters(LSAM(6, norm="batch")) == parameters(LSAM(6)) + 12


# FCCFM

# channel 1 has mean 2 and max 3; channel 2 has mean 1 and max 2
TWO_CHANNELS = torch.tensor([[[[1.0, 3.0]], [[0.0, 2.0]]]])


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def two_channel_correlation() -> ChannelCorrelation:
    """Return a correlation with W_q = W_k = I and d = 2, so that Q^T K = G^T G = [[13, 8], [8, 5]]."""
    module = ChannelCorrelation(2, projection="shared", dim=2)
    nn.init.eye_(module.query.weight)
    nn.init.eye_(module.key.weight)
    return module


def test_attention_by_hand() -> None:
    a, b = sigmoid(5 / math.sqrt(2)), sigmoid(3 / math.sqrt(2))
    expected = torch.tensor([[[a, 1 - a], [b, 1 - b]]])
    torch.testing.assert_close(two_channel_correlation()(TWO_CHANNELS), expected)


def test_attention_with_one_projection_per_channel_by_hand() -> None:
    module = ChannelCorrelation(2, projection="per_channel", dim=1)
    module.query.weight.data = torch.tensor([[1.0], [2.0]])
    module.key.weight.data = torch.tensor([[0.1], [0.2]])
    # mean + max: 5 and 3; q: 5 and 6; k: 0.5 and 0.6
    a, b = sigmoid(2.5 - 3.0), sigmoid(3.0 - 3.6)
    torch.testing.assert_close(module(TWO_CHANNELS), torch.tensor([[[a, 1 - a], [b, 1 - b]]]))


@pytest.mark.parametrize("mix", fccfm.MIXES)
def test_fccfm_by_hand(mix: str) -> None:
    module = FCCFM(2, 1, mix=mix, dim=2)
    if module.correlation is not None:
        module.correlation = two_channel_correlation()
    module.project.weight.data = torch.tensor([10.0, 1.0]).view(1, 2, 1, 1)
    a, b = sigmoid(5 / math.sqrt(2)), sigmoid(3 / math.sqrt(2))
    attended = [10 * (a * 1 + (1 - a) * 0) + b * 1, 10 * (a * 3 + (1 - a) * 2) + b * 3 + (1 - b) * 2]
    plain = [10.0, 32.0]
    both = [x + y for x, y in zip(attended, plain, strict=True)]
    expected = {"attend": attended, "attend_plus_input": both, "identity": plain}[mix]
    torch.testing.assert_close(module(TWO_CHANNELS), torch.tensor([[[expected]]]))


def test_identity_has_no_projections_and_per_channel_has_the_papers_count() -> None:
    assert parameters(FCCFM(6, 4, mix="identity")) == 24
    assert parameters(FCCFM(6, 4, dim=8)) == 24 + 4 * 8
    assert parameters(FCCFM(6, 4, dim=8, projection="per_channel")) == 24 + 2 * 6 * 8
    assert parameters(FCCFM(6, 4, mix="identity", norm="batch")) == 24 + 8


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("mix", ["attend", "attend_plus_input"])
def test_both_orders_of_the_product_agree(mix: str, memory_format: torch.memory_format) -> None:
    module = FCCFM(6, 5, mix=mix, norm="batch").double()
    results = []
    for product in ("printed", "cheapest"):
        module.folds = fccfm.PRODUCTS[product]
        module.zero_grad()
        x = torch.linspace(-1, 2, 2 * 6 * 3 * 5, dtype=torch.float64).sin().view(2, 6, 3, 5)
        x = x.contiguous(memory_format=memory_format).requires_grad_()
        y = module(x)
        assert y.is_contiguous(memory_format=memory_format)
        y.pow(3).sum().backward()
        results.append([y, x.grad, *(parameter.grad for parameter in module.parameters())])
    for literal, folded in zip(*results, strict=True):
        torch.testing.assert_close(literal, folded)


def test_the_cheaper_order_is_chosen() -> None:
    assert fccfm.fold_if_cheaper(256, cells=1600)
    assert not fccfm.fold_if_cheaper(1024, cells=400)


def test_mixing_channels_equals_a_1x1_convolution() -> None:
    x, matrix = torch.randn(2, 3, 4, 5), torch.randn(1, 7, 3)
    expected = nn.functional.conv2d(x, matrix[0, :, :, None, None])
    for memory_format in (torch.contiguous_format, torch.channels_last):
        got = mix_channels(matrix.expand(2, -1, -1), x.contiguous(memory_format=memory_format))
        torch.testing.assert_close(got, expected)


def test_attention_is_computed_in_fp32_under_autocast() -> None:
    x = torch.randn(2, 6, 4, 4).relu()
    module = LPAM(6, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        attention = module.attention.correlation(x.bfloat16())
        guide = module(x)
    assert attention.dtype == torch.float32
    assert guide.dtype == torch.bfloat16
    torch.testing.assert_close(attention.sum(dim=-1), torch.ones(2, 6))
    torch.testing.assert_close(attention, module.attention.correlation(x.bfloat16().float()))


# LPAM


@pytest.mark.parametrize(("channels", "squares"), [(128, 2 * 43**2 + 42**2), (96, 96**2 // 3)])
def test_lpam_parameters(channels: int, squares: int) -> None:
    assert parameters(LPAM(channels, 256)) == 9 * channels + squares + 4 * 64 + channels * 256
    assert not any(name.endswith("bias") for name, _ in LPAM(channels, 256).named_parameters())


def test_uniform_attention_is_rank_one() -> None:
    module = LPAM(6, 4)
    fill(module.attention.correlation.query, 0.0)
    x = torch.randn(2, 6, 8, 8)
    seen = module.inspect(x)
    torch.testing.assert_close(seen.attention, torch.full((2, 6, 6), 1 / 6))
    torch.testing.assert_close(seen.row_entropy, torch.full((2, 6), math.log(6)))
    torch.testing.assert_close(seen.effective_rank, torch.ones(2), atol=1e-3, rtol=0)
    torch.testing.assert_close(seen.guide, module(x))


def test_without_attention_the_rank_is_that_of_the_local_map() -> None:
    module = LPAM(3, 4, mix="identity")
    # three orthogonal rows of equal length: three equal singular values
    module.context = Fixed(torch.eye(3).view(1, 3, 3, 1))
    seen = module.inspect(torch.zeros(1, 3, 6, 2))
    assert seen.attention.tolist() == torch.eye(3)[None].tolist()
    assert seen.row_entropy.abs().max() == 0
    torch.testing.assert_close(seen.effective_rank, torch.tensor([3.0]))


# the guided stage

LN3 = math.log(3)  # sigmoid(ln 3) = 3/4

GUIDED_BY_HAND = [
    ({}, 4 * 0.75 + LN3),
    ({"fusion": "add"}, 4 + 0.75 + LN3),
    ({"residual": False}, 4 * 0.75),
    ({"fusion": "add", "residual": False}, 4 + 0.75),
    ({"gate": "none"}, 4 * LN3 + LN3),
    ({"fusion": "add", "gate": "none", "residual": False}, 4 + LN3),
    ({"short": "lsam"}, 4 * 0.75 + 7),
    ({"short": "lsam", "residual": False}, 4 * 0.75),
]


@pytest.mark.parametrize(("changes", "expected"), GUIDED_BY_HAND)
def test_guided_stage_by_hand(changes: dict, expected: float) -> None:
    stage = GuidedStage(3, 3, **changes)
    stage.lpam.context = Fixed(torch.full((1, 3, 2, 2), 7.0))
    stage.lpam.attention = Fixed(torch.full((1, 3, 2, 2), LN3))
    got = stage(torch.zeros(1, 3, 4, 4), torch.full((1, 3, 2, 2), 4.0))
    torch.testing.assert_close(got, torch.full((1, 3, 2, 2), expected))


def test_parameters_of_the_short_paths() -> None:
    plain = parameters(GuidedStage(6, 8))
    assert parameters(GuidedStage(6, 8, residual=False)) == plain
    assert parameters(GuidedStage(6, 8, short="lsam")) == plain + 6 * 8
    assert parameters(GuidedStage(6, 8, short="lsam", residual=False)) == plain
    assert parameters(GuidedStage(6, 6, short="lsam")) == parameters(GuidedStage(6, 6))
    assert parameters(GuidedStage(6, 8, residual="concat")) == plain + 16 * 8 + 2 * 8


def test_a_concatenated_residual_is_a_conv_of_star_then_guide() -> None:
    stage = GuidedStage(3, 3, residual="concat")
    stage.join.conv = nn.Identity()
    guide, coarser = torch.randn(1, 3, 2, 2), torch.randn(1, 3, 2, 2)
    stage.lpam.attention = Fixed(guide)
    got = stage(torch.zeros(1, 3, 4, 4), coarser)
    torch.testing.assert_close(got, torch.cat((guide.sigmoid() * coarser, guide), dim=1))


def test_optional_norm() -> None:
    x = torch.randn(1, 2, 3, 3)
    assert optional_norm("none", 2)(x) is x
    assert optional_norm("batch", 2).eps == 1e-3


class TestCatChannels:
    def test_values_and_gradients_are_those_of_cat(self) -> None:
        maps = [torch.randn(2, width, 3, 5, requires_grad=True) for width in (1, 4, 2)]
        weight = torch.randn(2, 7, 3, 5)
        ours = torch.autograd.grad((cat_channels(maps) * weight).sum(), maps)
        plain = torch.autograd.grad((torch.cat(maps, 1) * weight).sum(), maps)
        assert torch.equal(cat_channels(maps), torch.cat(maps, 1))
        assert all(torch.equal(a, b) for a, b in zip(ours, plain, strict=True))

    @pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
    def test_gradients_have_no_gaps(self, layout: torch.memory_format) -> None:
        seen: list[Tensor] = []
        maps = [torch.randn(2, 4, 3, 5).to(memory_format=layout).requires_grad_() for _ in range(2)]
        for one in maps:
            one.register_hook(seen.append)
        joined = cat_channels(maps)
        joined.backward(torch.ones_like(joined))
        assert len(seen) == 2
        assert all(gradient.is_contiguous(memory_format=layout) for gradient in seen)


@pytest.mark.parametrize("side", [8, 7])
def test_top_down_pass_is_the_same_with_and_without_gradients(side: int) -> None:
    torch.manual_seed(0)
    neck = TopDown((Level(3, 8), Level(4, 16)), [2, 6], [1, 1]).double()
    maps = [torch.randn(2, 3, side, side).double(), torch.randn(2, 4, 4, 4).double()]
    learning = neck(maps)
    with torch.no_grad():
        plain = neck(maps)
    for ours, expected in zip(learning, plain, strict=True):
        torch.testing.assert_close(ours, expected, atol=1e-12, rtol=0)
