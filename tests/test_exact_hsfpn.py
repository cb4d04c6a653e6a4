"""Comparison of HS-FPN's parts with scipy, plain loops and hand-computed values."""

import copy
import math

import numpy as np
import pytest
import torch
from scipy.fft import dctn, idctn
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from gffpn.cost import count_flops, count_parameters
from gffpn.fold import inference_form
from gffpn.layers.resize import upsample_to
from gffpn.necks.hsfpn import high_frequency
from gffpn.necks.hsfpn.high_frequency import ChannelGate, HighFrequencyPerception, HighPass, gate
from gffpn.necks.hsfpn.hsfpn import HSFPN
from gffpn.necks.hsfpn.window_attention import SpatialDependencyPerception, from_windows, to_windows
from gffpn.pyramid import Level

LEVELS = (Level(8, 4), Level(16, 8), Level(24, 16), Level(40, 32))
OFFICIAL = [4, 8, 16, 32]


def random(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=dtype)


# The filter


def filtered_by_scipy(x: np.ndarray) -> np.ndarray:
    spectrum = dctn(x, type=2, norm="ortho", axes=(-2, -1))
    spectrum[..., : int(0.25 * x.shape[-2]), : int(0.25 * x.shape[-1])] = 0
    return idctn(spectrum, type=2, norm="ortho", axes=(-2, -1))


@pytest.mark.parametrize("size", [(16, 16), (10, 13), (13, 10), (7, 40), (3, 9)])
def test_the_filter_is_the_masked_transform(size: tuple[int, int]) -> None:
    x = random(2, 3, *size, dtype=torch.float64)
    expected = torch.from_numpy(filtered_by_scipy(x.numpy()))
    torch.testing.assert_close(HighPass()(x), expected, atol=1e-13, rtol=0)
    torch.testing.assert_close(HighPass()(x.float()), expected.float(), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("size", "products"), [((8, 16), 8 * 16 * 2 + 2 * 16 * 4), ((16, 8), 16 * 8 * 2 + 4 * 16 * 2)]
)
def test_the_filter_uses_the_order_with_the_fewest_operations(size: tuple[int, int], products: int) -> None:
    """For 8 x 16, p = 2, q = 4: p H W + p q W = 384 multiply-adds per direction; the other order has 576."""
    assert count_flops(HighPass(), random(1, 3, *size)).total == 2 * 2 * 3 * products


def test_the_filter_computes_in_fp32_under_autocast() -> None:
    x = random(1, 2, 32, 32)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = HighPass()(x)
    assert torch.equal(mixed, HighPass()(x))
    rounded = x.bfloat16()
    assert torch.equal(HighPass()(rounded), HighPass()(rounded.float()).bfloat16())


def test_the_filters_matrices_are_cached_but_not_part_of_the_state(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    real = high_frequency.dct_rows
    monkeypatch.setattr(high_frequency, "dct_rows", lambda *given: (made.append(given[1]), real(*given))[1])
    high_pass = HighPass()
    with torch.inference_mode():
        high_pass(random(1, 1, 8, 12))
    x = random(1, 1, 8, 12).requires_grad_()
    high_pass(x).square().sum().backward()  # with the matrices cached in inference mode
    assert x.grad.abs().sum() > 0
    high_pass(x)
    assert made == [8, 12]
    with FakeTensorMode():
        assert high_pass(torch.empty(1, 1, 8, 16)).shape == (1, 1, 8, 16)
    assert high_pass(x.detach().to("meta")).is_meta
    assert torch.equal(high_pass(x), copy.deepcopy(high_pass)(x))
    assert not high_pass.state_dict()
    assert not list(high_pass.buffers())


# The paths


def test_gates_lie_between_a_half_and_one() -> None:
    values = gate(torch.linspace(-10, 10, 101))
    assert values.min() == 0.5
    assert 0.9999 < values.max() < 1
    assert gate(torch.tensor(math.log(3))).item() == pytest.approx(0.75)


def constant(module: nn.Conv2d, value: float) -> None:
    nn.init.constant_(module.weight, value)


def test_the_channel_path_by_hand() -> None:
    """The 32 channels are independent, as there are 32 groups; the grid has 2 x 2 patches of 1 x 2 cells.

    Channel 0: the maxima 3, -2, 2, 5, clamped at 0, sum to 10, and the means 2, -3, 1, 2 to 5.
    Times 0.2, they are 2 + 1; times 0.5, 1.5. Channel 1: times -0.5 instead, the last ReLU returns 0.
    Channel 2: times -0.2 instead, the inner ReLUs return 0; without them, times -0.5, it would be 1.5 again.
    """
    channel = ChannelGate(32, grid=2)
    constant(channel.squeeze, 0.2), constant(channel.excite, 0.5)
    channel.excite.weight.data[1:3] = -0.5
    channel.squeeze.weight.data[2] = -0.2
    weights = channel(torch.tensor([[1.0, 3, -2, -4], [0, 2, 5, -1]]).expand(1, 32, 2, 4))
    assert weights.shape == (1, 32, 1, 1)
    assert weights.flatten()[:3].tolist() == pytest.approx([1 / (1 + math.exp(-1.5)), 0.5, 0.5])


def mixed_and_output(perceive: HighFrequencyPerception, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the input of the 3x3 convolution and the module's output."""
    seen: list[Tensor] = []
    handle = perceive.mix.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    output = perceive(x)
    handle.remove()
    return seen[0], output


def test_without_the_filter_by_hand() -> None:
    """Channel 0, (ln 3, -1), gates the two cells with 3/4 and 1/2; the channel path is 1/2 everywhere."""
    perceive = HighFrequencyPerception(32, grid=None)
    constant(perceive.spatial, 0), constant(perceive.channel.excite, 0)
    perceive.spatial.weight.data[0, 0] = 1
    nn.init.dirac_(perceive.mix.weight), nn.init.zeros_(perceive.mix.bias)
    x = torch.zeros(1, 32, 1, 2)
    x[0, 0], x[0, 1] = torch.tensor([math.log(3), -1.0]), torch.tensor([2.0, 4.0])
    mixed, output = mixed_and_output(perceive, x)
    torch.testing.assert_close(mixed[0, 0], torch.tensor([[1.25 * math.log(3), -1.0]]))
    torch.testing.assert_close(mixed[0, 1], torch.tensor([[2.5, 4.0]]))
    # the norm, with one channel per group, follows the ReLU
    torch.testing.assert_close(output[0, :2], torch.tensor([[[1.0, -1.0]], [[-1.0, 1.0]]]), atol=1e-4, rtol=0)


def test_with_the_filter_by_hand() -> None:
    """On 4 x 4 cells the filter subtracts the mean: 16 becomes 15, 0 becomes -1. 16 x 15 + 16 / 2 = 248."""
    perceive = HighFrequencyPerception(32, grid=1)
    constant(perceive.channel.excite, 0)
    x = torch.zeros(1, 32, 4, 4)
    x[:, :, 1, 2] = 16
    mixed, _ = mixed_and_output(perceive, x)
    torch.testing.assert_close(mixed, x * 248 / 16)


def test_the_statistics_are_those_of_the_filtered_map() -> None:
    """The filtered map has maximum 15 and mean 0: 0.1 x 15 = 1.5. For x itself it would be 0.1 x (16 + 1)."""
    perceive = HighFrequencyPerception(32, grid=1)
    constant(perceive.channel.squeeze, 0.1), constant(perceive.channel.excite, 1)
    x = torch.zeros(1, 32, 4, 4)
    x[:, :, 1, 2] = 16
    mixed, _ = mixed_and_output(perceive, x)
    weight = 15 + 1 / (1 + math.exp(-1.5))
    torch.testing.assert_close(mixed, x * weight)


# The attention


def test_cutting_into_windows_can_be_inverted() -> None:
    """A 2 x 4 map is cut into windows of 1 x 2, windows and cells in row-major order."""
    x = torch.arange(8.0).view(1, 1, 2, 4)
    windows = to_windows(x, (1, 2))
    assert windows[0, :, :, 0].tolist() == [[0, 1], [2, 3], [4, 5], [6, 7]]
    x = random(2, 3, 4, 6)
    assert torch.equal(from_windows(to_windows(x, (2, 3)), (2, 3), (4, 6)), x)


@torch.no_grad()
def test_window_attention_against_plain_loops() -> None:
    torch.manual_seed(0)
    perceive = SpatialDependencyPerception(32).double()
    low, high = random(2, 32, 4, 6, dtype=torch.float64), random(2, 32, 2, 3, dtype=torch.float64)
    query = perceive.query(low)
    key = perceive.key(high.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3))
    torch.testing.assert_close(query, perceive.query.norm(perceive.query.conv(low).clamp(min=0)))
    expected = low.clone()
    for n in range(2):
        for i in range(4):
            for j in range(6):
                top, left = i // 2 * 2, j // 3 * 3
                cells = [(top + a, left + b) for a in range(2) for b in range(3)]
                scores = [math.exp(query[n, :, i, j] @ key[n, :, a, b] / math.sqrt(32)) for a, b in cells]
                for score, (a, b) in zip(scores, cells, strict=True):
                    expected[n, :, i, j] += score / sum(scores) * key[n, :, a, b]
    torch.testing.assert_close(perceive(low, high, (2, 3)), expected)


@pytest.mark.parametrize(
    ("window", "seen"), [((2, 4), 2), ((4, 2), 2), ((1, 2), 2), ((2, 1), 2), ((4, 8), 8)]
)
def test_the_inference_form_attends_to_distinct_keys(window: tuple[int, int], seen: int) -> None:
    """Distinct keys form a window with half the sides if both sides are even."""
    torch.manual_seed(0)
    perceive = SpatialDependencyPerception(32).double()
    low, high = random(2, 32, 4, 8, dtype=torch.float64), random(2, 32, 2, 4, dtype=torch.float64)
    folded = inference_form(perceive)
    torch.testing.assert_close(folded(low, high, window), perceive(low, high, window))
    assert folded.distinct_keys(high, low, window).shape == (2, 32 // math.prod(window), seen, 32)


# The neck


class LowAndTwiceHigh(nn.Module):
    def __init__(self, windows: list[tuple[int, int]]) -> None:
        super().__init__()
        self.windows = windows

    def forward(self, low: Tensor, high: Tensor, window: tuple[int, int]) -> Tensor:
        self.windows.append(window)
        return low + 2 * upsample_to(high, low)


def test_the_coarser_map_counts_twice() -> None:
    """The maps after attention are 1000; 100 + 2 x 1000 = 2100; 10 + 2 x 2100 = 4210; 1 + 2 x 4210 = 8421.

    The outputs are their running sums, starting with the coarsest.
    """
    neck = HSFPN(LEVELS, out_channels=32, in_strides=OFFICIAL)
    windows: list[tuple[int, int]] = []
    neck.laterals = neck.perceive = neck.outputs = nn.ModuleList(nn.Identity() for _ in OFFICIAL)
    neck.attend = nn.ModuleList(LowAndTwiceHigh(windows) for _ in OFFICIAL[1:])
    values = {8: 1.0, 4: 10.0, 2: 100.0, 1: 1000.0}  # by size, in units of the coarsest map's size
    features = [torch.full((1, 1, 2 * k, 3 * k), value) for k, value in values.items()]
    outputs = neck(features)
    assert [output.unique().tolist() for output in outputs] == [[15731], [7310], [3100], [1000]]
    assert windows == [(2, 3)] * 3


@pytest.mark.parametrize(("strides", "grids"), [(OFFICIAL, [16, 8, 1, 1]), ([8, 16, 32], [8, 1, 1])])
def test_only_strides_4_and_8_are_filtered(strides: list[int], grids: list[int]) -> None:
    neck = HSFPN(LEVELS, out_channels=32, in_strides=strides)
    assert [part.channel.grid for part in neck.perceive] == grids
    assert [part.high_pass is not None for part in neck.perceive] == [stride < 16 for stride in strides]
    assert neck.in_strides == tuple(strides)


def test_parameters_of_the_parts() -> None:
    assert count_parameters(HighFrequencyPerception(256, grid=16)) == 594_688
    assert count_parameters(HighFrequencyPerception(256, grid=None)) == 594_944
    assert count_parameters(SpatialDependencyPerception(256)) == 132_096


def flops_of_attention(device: str) -> int:
    with torch.device(device):
        perceive = SpatialDependencyPerception(32)
        with FlopCounterMode(display=False) as counter:
            perceive(torch.empty(1, 32, 4, 6), torch.empty(1, 32, 2, 3), (2, 2))
    return counter.get_total_flops()


def test_operation_counts_are_equal_on_every_device() -> None:
    """Two products of 6 windows x 4 cells x 4 cells x 32 channels, and two 1x1 convolutions on 24 cells.

    A multiply-add counts as 2.
    """
    by_hand = 2 * 2 * 6 * 4 * 4 * 32 + 2 * 2 * 24 * 32 * 32
    assert flops_of_attention("cpu") == by_hand
    assert flops_of_attention("meta") == by_hand
    with FakeTensorMode():
        assert flops_of_attention("cpu") == by_hand


def test_convolutions_are_initialised_xavier_uniform() -> None:
    neck = HSFPN(LEVELS, out_channels=64, in_strides=OFFICIAL)
    for conv in (part for part in neck.modules() if isinstance(part, nn.Conv2d)):
        outputs, inputs, *kernel = conv.weight.shape
        bound = math.sqrt(6 / ((inputs + outputs) * math.prod(kernel)))
        assert 0.5 * bound < conv.weight.abs().max() <= bound
        assert conv.bias is None or not conv.bias.any()


@pytest.mark.parametrize("strides", [[4, 8, 16], [16, 32], [32, 16, 8, 4], 8, "8"])
def test_other_strides_are_refused(strides: object) -> None:
    with pytest.raises(
        ValueError, match=r"in_strides: got .*, expected one of \[\(4, 8, 16, 32\), \(8, 16, 32\)\]"
    ):
        HSFPN(LEVELS, out_channels=32, in_strides=strides)


@pytest.mark.parametrize("channels", [0, -32, 48])
def test_widths_must_be_multiples_of_32(channels: int) -> None:
    with pytest.raises(ValueError, match=f"out_channels: got {channels}, expected a multiple of 32"):
        HSFPN(LEVELS, out_channels=channels, in_strides=OFFICIAL)


def test_other_sizes_are_refused() -> None:
    neck = HSFPN(LEVELS, out_channels=32, in_strides=OFFICIAL)
    sizes = [(12, 16), (6, 8), (3, 4), (2, 2)]
    with pytest.raises(ValueError, match=r"got maps of .*\(12, 16\).*expected .*\(16, 16\).*multiples of 32"):
        neck([random(1, channels, *size) for (channels, _), size in zip(LEVELS, sizes, strict=True)])
