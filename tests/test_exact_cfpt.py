"""Comparison of CFPT with hand-computed values and with plain loops over windows, tokens and heads."""

import math
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from gffpn.necks.cfpt.attention import (
    AfterAttention,
    BeforeAttention,
    CrossLayerAttention,
    PositionBias,
    unit,
)
from gffpn.necks.cfpt.cfpt import CFPT
from gffpn.necks.cfpt.groups import ChannelGroups, Grouping, SpatialGroups, token_positions
from gffpn.pyramid import Level

RATIOS = (8, 4, 2, 1)
LEVELS = (Level(6, 8), Level(10, 16), Level(12, 32))
GELU_OF_1 = 0.8413447
Map = list[list[list[float]]]
Vectors = list[list[float]]


class MapIsQKV(nn.Module):
    """Stand-in for BeforeAttention: the input map already holds queries, keys and values."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x


class OnlyAttended(nn.Module):
    """Stand-in for AfterAttention: returns the output of the attention unchanged."""

    def forward(self, s: Tensor, o: Tensor) -> Tensor:
        return o


def bare_attention(grouping: Grouping, *, heads: int, dim: int) -> CrossLayerAttention:
    """Return the attention alone: maps of queries, keys and values (N, 3 D, H, W) to maps (N, D, H, W)."""
    attention = CrossLayerAttention(
        8, ratios=RATIOS, grouping=grouping, heads=heads, dim=dim, hidden_channels=8
    )
    attention.before = nn.ModuleList(MapIsQKV() for _ in RATIOS)
    attention.after = nn.ModuleList(OnlyAttended() for _ in RATIOS)
    return attention


def maps_of(channels: int, height: int, width: int, *, images: int = 1) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(images, channels, r * height, r * width, generator=generator) for r in RATIOS]


def constant_maps(values: list[float], height: int, width: int) -> list[Tensor]:
    """Return one map (1, C, r height, r width) per level, with one constant value per channel."""
    row = torch.tensor(values).view(1, -1, 1, 1)
    return [row.expand(-1, -1, r * height, r * width).clone() for r in RATIOS]


# Loops: the attention within one group


def cosine(a: list[float], b: list[float]) -> float:
    lengths = math.hypot(*a) * math.hypot(*b)
    return sum(x * y for x, y in zip(a, b, strict=True)) / lengths if lengths else 0.0


def looked_up(column: list[float], row: float) -> float:
    below = math.floor(row)
    if row == below:
        return column[below]
    return column[below] * (below + 1 - row) + column[below + 1] * (row - below)


def attended(query: Vectors, key: Vectors, value: Vectors, bias: Vectors) -> Vectors:
    outputs = []
    for a, row in zip(query, bias, strict=True):
        weights = [math.exp(cosine(a, b) + more) for b, more in zip(key, row, strict=True)]
        outputs.append(
            [
                sum(weight * vector[f] for weight, vector in zip(weights, value, strict=True)) / sum(weights)
                for f in range(len(value[0]))
            ]
        )
    return outputs


def biases(table: Tensor, coordinates: Vectors, side: int) -> list[Vectors]:
    """Return a (T, T) bias per head; a pair's table row is a number in base 2 `side` - 1."""
    columns = table.T.tolist()
    base = 2 * side - 1
    rows = []
    for query in coordinates:
        rows.append([])
        for key in coordinates:
            row = 0.0
            for a, b in zip(query, key, strict=True):
                row = row * base + (a - b + side - 1)
            rows[-1].append(row)
    return [[[looked_up(column, row) for row in line] for line in rows] for column in columns]


# Loops: space

SPACE = [(9, 1), (5, 1), (3, 1), (1, 0)]
"""Window and padding of each level."""


def cells_of(group_y: int, group_x: int) -> Iterator[tuple[int, int, int]]:
    """Yield level, row and column of each token of a group; some tokens lie outside the map."""
    for level, (window, padding) in enumerate(SPACE):
        for ty in range(window):
            for tx in range(window):
                stride = RATIOS[level]
                yield level, group_y * stride - padding + ty, group_x * stride - padding + tx


def spatial_coordinates() -> Vectors:
    return [
        [(ty - window // 2) * 9 / window, (tx - window // 2) * 9 / window]
        for window, _ in SPACE
        for ty in range(window)
        for tx in range(window)
    ]


def spatial_attention(maps: list[Map], table: Tensor, *, heads: int) -> list[Tensor]:
    dim = len(maps[0]) // 3
    per_head = dim // heads
    height, width = len(maps[-1][0]), len(maps[-1][0][0])
    outputs = [torch.zeros(dim, r * height, r * width) for r in RATIOS]
    bias = biases(table, spatial_coordinates(), 9)

    def inside(level: int, y: int, x: int) -> bool:
        return 0 <= y < RATIOS[level] * height and 0 <= x < RATIOS[level] * width

    for group_y in range(height):
        for group_x in range(width):
            cells = list(cells_of(group_y, group_x))
            assert len(cells) == 116
            for head in range(heads):
                query, key, value = (
                    [
                        [maps[level][part * dim + head * per_head + c][y][x] for c in range(per_head)]
                        if inside(level, y, x)
                        else [0.0] * per_head
                        for level, y, x in cells
                    ]
                    for part in range(3)
                )
                results = attended(query, key, value, bias[head])
                for (level, y, x), result in zip(cells, results, strict=True):
                    if inside(level, y, x):
                        outputs[level][head * per_head : (head + 1) * per_head, y, x] += torch.tensor(result)
    return outputs


@pytest.mark.parametrize(("height", "width"), [(1, 2), (2, 1)])
def test_attention_over_space_equals_plain_loops(height: int, width: int) -> None:
    attention = bare_attention(SpatialGroups(), heads=2, dim=4)
    nn.init.normal_(attention.bias.table)
    maps = maps_of(12, height, width)
    expected = spatial_attention([m[0].tolist() for m in maps], attention.bias.table.detach(), heads=2)
    for output, slow in zip(attention(maps), expected, strict=True):
        torch.testing.assert_close(output[0], slow, atol=1e-5, rtol=1e-5)


def test_zero_tokens_outside_the_map_are_attended_to_and_overlapping_windows_add_up() -> None:
    """Queries of zero attend evenly to the 116 tokens of a group.

    For the left cell, 64 + 16 + 4 + 1 of them lie inside the map, and for the right one 72 + 20 + 6 + 1, as
    its windows contain one more column. On the finest level, the two windows share column 7.
    """
    attention = bare_attention(SpatialGroups(), heads=1, dim=1)
    nn.init.zeros_(attention.bias.table)
    finest, finer, fine, coarsest = attention(constant_maps([0.0, 1.0, 1.0], 1, 2))
    left, right = 85 / 116, 99 / 116
    for output, ratio in ((finest, 8), (finer, 4), (fine, 2)):
        row = [left] * (ratio - 1) + [left + right] + [right] * ratio
        torch.testing.assert_close(output[0, 0], torch.tensor([row] * ratio))
    torch.testing.assert_close(coarsest[0, 0], torch.tensor([[left, right]]))


# Loops: channels

CHANNELS = [(65, 1), (17, 1), (5, 1), (1, 0)]


def pixels(maps: Map, channel: int, ratio: int) -> list[float] | None:
    """Return a channel of the pixel-unshuffled map, flattened, or None if there is no such channel."""
    if not 0 <= channel < len(maps) * ratio**2:
        return None
    plane, (dy, dx) = maps[channel // ratio**2], divmod(channel % ratio**2, ratio)
    return [value for row in plane[dy::ratio] for value in row[dx::ratio]]


def channel_attention(maps: list[Map], table: Tensor, *, heads: int) -> list[Tensor]:
    dim = len(maps[0]) // 3
    height, width = len(maps[-1][0]), len(maps[-1][0][0])
    outputs = [torch.zeros(dim, r * height, r * width) for r in RATIOS]
    coordinates = [[(t - window // 2) * 65 / window] for window, _ in CHANNELS for t in range(window)]
    bias = biases(table, coordinates, 65)
    for group in range(dim):
        tokens = [
            (level, group * RATIOS[level] ** 2 - padding + t)
            for level, (window, padding) in enumerate(CHANNELS)
            for t in range(window)
        ]
        assert len(tokens) == 88
        query, key, value = (
            [
                pixels(maps[level], part * dim * RATIOS[level] ** 2 + channel, RATIOS[level])
                or [0.0] * (height * width)
                for level, channel in tokens
            ]
            for part in range(3)
        )
        results = attended(query, key, value, bias[group // (dim // heads)])
        for (level, channel), result in zip(tokens, results, strict=True):
            if channel >= 0:
                ratio = RATIOS[level]
                (c, sub), cells = divmod(channel, ratio**2), torch.tensor(result).view(height, width)
                outputs[level][c, sub // ratio :: ratio, sub % ratio :: ratio] += cells
    return outputs


@pytest.mark.parametrize(("height", "width"), [(1, 2), (2, 2)])
def test_attention_over_channels_equals_plain_loops(height: int, width: int) -> None:
    attention = bare_attention(ChannelGroups(), heads=2, dim=4)
    nn.init.normal_(attention.bias.table)
    maps = maps_of(12, height, width)
    expected = channel_attention([m[0].tolist() for m in maps], attention.bias.table.detach(), heads=2)
    for output, slow in zip(attention(maps), expected, strict=True):
        torch.testing.assert_close(output[0], slow, atol=1e-5, rtol=1e-5)


def test_the_first_window_of_values_begins_with_the_last_key() -> None:
    """Queries of zero attend evenly to the 88 tokens of a group; keys are 2, values 10 and 100.

    The first group has three values of 2 and 64 + 16 + 4 + 1 of 10; the second has three of 10 and as many of
    100 as the first has of 10. The second group's first token is the last pixel of the first channel.
    """
    attention = bare_attention(ChannelGroups(), heads=1, dim=2)
    nn.init.zeros_(attention.bias.table)
    outputs = attention(constant_maps([0.0, 0.0, 2.0, 2.0, 10.0, 100.0], 1, 1))
    first, second = 856 / 88, 8530 / 88
    for output, ratio in zip(outputs, RATIOS, strict=True):
        expected = torch.tensor([first, second]).view(2, 1, 1).repeat(1, ratio, ratio)
        if ratio > 1:
            expected[0, -1, -1] += second
        torch.testing.assert_close(output[0], expected)


@pytest.mark.parametrize("grouping", [SpatialGroups(), ChannelGroups()])
def test_images_of_a_batch_are_independent(grouping: Grouping) -> None:
    attention = bare_attention(grouping, heads=2, dim=4)
    maps = maps_of(12, 2, 3, images=2)
    for output, own in zip(attention(maps), attention([m[1:] for m in maps]), strict=True):
        torch.testing.assert_close(output[1:], own)


# Positions


def test_positions_of_tokens() -> None:
    """Positions in windows of 9 finest cells, of 5 cells (9/5 apart), of 3 cells (3 apart) and of 1 cell."""
    positions = token_positions([9, 5, 3, 1], axes=2).tolist()
    assert len(positions) == 116
    for token, expected in {
        0: (-4, -4),
        8: (-4, 4),
        9: (-3, -4),
        80: (4, 4),
        81: (-3.6, -3.6),
        82: (-3.6, -1.8),
        105: (3.6, 3.6),
        106: (-3, -3),
        115: (0, 0),
    }.items():
        assert positions[token] == pytest.approx(expected)


PAIRS = {
    "finest, its corners": (0, 80, 0.0),
    "finest, the other way": (80, 0, 288.0),
    "a token and itself": (50, 50, 144.0),
    "(-3.6, -3.6) - (0, 0)": (81, 115, 4.4 * 17 + 4.4),
    "(-3, 3) - (3.6, -3.6)": (108, 101, 1.4 * 17 + 14.6),
    "(4, -4) - (-3, 0)": (72, 107, 15 * 17 + 4),
}


@pytest.mark.parametrize("pair", PAIRS)
def test_rows_of_the_table_over_space(pair: str) -> None:
    """A table of its own row numbers returns the row that a pair of tokens reads.

    A table of their squares shows the linear interpolation between two rows, which are neighbours in the
    flattened table.
    """
    query, key, row = PAIRS[pair]
    bias = PositionBias([9, 5, 3, 1], axes=2, heads=1)
    assert bias.table.shape == (17 * 17, 1)
    bias.table.data = torch.arange(289.0)[:, None]
    assert bias()[0, query, key].item() == pytest.approx(row, abs=1e-4)
    bias.table.data = bias.table.data**2
    below, share = math.floor(row + 1e-9), row - math.floor(row + 1e-9)
    expected = (1 - share) * below**2 + share * (below + 1) ** 2
    assert bias()[0, query, key].item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("query", "key", "row"),
    [
        (0, 64, 0.0),
        (64, 0, 128.0),
        (65, 64, 64 + (-8 * 65 / 17 - 32)),
        (82, 87, 64 - 2 * 65 / 5),
        (87, 87, 64.0),
    ],
)
def test_rows_of_the_table_over_channels(query: int, key: int, row: float) -> None:
    bias = PositionBias([65, 17, 5, 1], axes=1, heads=4)
    assert bias.table.shape == (129, 4)
    bias.table.data = torch.arange(129.0)[:, None] * torch.tensor([1.0, 2.0, 3.0, 4.0])
    assert bias()[:, query, key].tolist() == pytest.approx([row, 2 * row, 3 * row, 4 * row], abs=1e-4)


# The rest of a block, and the neck


def test_unit_vectors_in_every_precision() -> None:
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        vectors = unit(torch.tensor([[3.0, 4.0], [0.0, 0.0]], dtype=dtype))
        assert vectors.dtype == dtype
        torch.testing.assert_close(vectors, torch.tensor([[0.6, 0.8], [0.0, 0.0]], dtype=dtype))


def test_before_attention_adds_the_gelu_of_the_neighbourhood() -> None:
    """s = 5 + GELU(1); q, k, v = 2 s + 1."""
    before = BeforeAttention(1, 1)
    nn.init.zeros_(before.local.weight)
    nn.init.ones_(before.local.bias)
    nn.init.constant_(before.qkv.weight, 2.0)
    nn.init.ones_(before.qkv.bias)
    s, qkv = before(torch.full((1, 1, 2, 2), 5.0))
    torch.testing.assert_close(s, torch.full((1, 1, 2, 2), 5 + GELU_OF_1))
    torch.testing.assert_close(qkv, torch.full((1, 3, 2, 2), 2 * (5 + GELU_OF_1) + 1))


def test_after_attention_by_hand() -> None:
    """The projection maps o = 3 to (3, -3 + 4), which LN turns into (1, -1); added to s = (5, 5): (6, 4).

    The local convolution adds GELU(1) to the first channel. The MLP, after its LN, reads (1, -1) and adds the
    GELU of the first value to the first channel.
    """
    after = AfterAttention(2, 1, 1)
    for parameter in (*after.local.parameters(), *after.mlp[1].parameters(), *after.mlp[3].parameters()):
        nn.init.zeros_(parameter)
    after.project[0].weight.data = torch.tensor([[1.0], [-1.0]])
    after.project[0].bias.data = torch.tensor([0.0, 4.0])
    after.local.bias.data[0] = 1.0
    after.mlp[1].weight.data[0, 0] = 1.0
    after.mlp[3].weight.data[0, 0] = 1.0
    out = after(torch.full((1, 2, 1, 1), 5.0), torch.full((1, 1, 1, 1), 3.0))
    assert out.flatten().tolist() == pytest.approx([6 + 2 * GELU_OF_1, 4], abs=1e-4)


class Times(nn.Module):
    """Stand-in for an attention: multiplies each map by `factor`."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        return [self.factor * m for m in maps]


class AddsOne(nn.Module):
    """Stand-in for an attention: adds 1 to each map."""

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        return [m + 1 for m in maps]


def test_inputs_are_added_to_attention_over_channels_then_space() -> None:
    """With a CCA that doubles and a CSA that adds 1, P = X + (2 X + 1); P7 is computed from this P6."""
    neck = CFPT(LEVELS, out_channels=16).eval()
    features = [torch.randn(2, c, 128 // s, 192 // s) for c, s in LEVELS]
    neck.channel_attention, neck.spatial_attention = Times(2.0), AddsOne()
    x = [enter(feature) for enter, feature in zip(neck.enter, features, strict=True)]
    x.append(neck.enter6(features[-1]))
    outputs = neck(features)
    for output, own in zip(outputs, x, strict=False):
        torch.testing.assert_close(output, 3 * own + 1)
    torch.testing.assert_close(outputs[4], neck.down6(3 * x[3] + 1))


def test_norms_have_pytorchs_constants() -> None:
    norms = [
        m for m in CFPT(LEVELS, out_channels=16).modules() if isinstance(m, nn.BatchNorm2d | nn.LayerNorm)
    ]
    assert {type(norm) for norm in norms} == {nn.BatchNorm2d, nn.LayerNorm}
    assert {norm.eps for norm in norms} == {1e-5}
    assert {norm.momentum for norm in norms if isinstance(norm, nn.BatchNorm2d)} == {0.1}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_close_and_has_gradients(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    neck = CFPT(LEVELS, out_channels=16).eval()
    features = [torch.randn(2, c, 128 // s, 128 // s) for c, s in LEVELS]
    expected = neck(features)
    with torch.autocast("cpu", dtype):
        outputs = neck(features)
    for output, exact in zip(outputs, expected, strict=True):
        assert (output.float() - exact).norm() < 0.02 * exact.norm()
    sum(output.float().square().mean() for output in outputs).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in neck.parameters())


@pytest.mark.parametrize("size", [(64, 96), (32, 64), (160, 160), (64, 32)])
def test_other_sizes_are_refused(size: tuple[int, int]) -> None:
    features = [torch.zeros(1, c, math.ceil(size[0] / s), math.ceil(size[1] / s)) for c, s in LEVELS]
    with pytest.raises(ValueError, match=r"CFPT: got maps of .* expected .* multiples of 64"):
        CFPT(LEVELS, out_channels=16)(features)


def test_the_width_of_the_mlp_is_rounded_down() -> None:
    """1.1 x 16 = 17.6: the reference truncates."""
    neck = CFPT(LEVELS, out_channels=16, mlp_ratio=1.1)
    widths = {part.mlp[1].out_features for part in neck.modules() if isinstance(part, AfterAttention)}
    assert widths == {17}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"out_channels": 24}, "out_channels: got 24, expected a multiple of reduction x heads, 4 x 4"),
        ({"out_channels": 0}, "out_channels: got 0, expected a multiple"),
        ({"heads": 0}, "heads: got 0, expected at least 1"),
        ({"reduction": -1}, "reduction: got -1, expected at least 1"),
        ({"mlp_ratio": 0}, "mlp_ratio: got 0, expected a multiple > 0"),
    ],
)
def test_invalid_widths_are_refused(changes: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CFPT(LEVELS, **{"out_channels": 16, **changes})
