"""AFPN, the asymptotic feature pyramid network.

Yang, Lei, Zhu, Cheng, Feng, Liang: AFPN: Asymptotic Feature Pyramid Network for Object Detection (SMC 2023),
sections 3.1 and 3.2, in the three-level form of its authors' YOLOv5 experiments.

    x_i = 1x1(1x1(C_i)), at in_i / reduction channels
    stage s = 1, 2: levels 0..s are fused, so the two finest come first; level t becomes
        blocks(sum_j w_j * to_t(x_j)),  w = softmax over j, for each cell
    P_i = 1x1(x_i)

Each 1x1 is followed by BN and SiLU. From finer levels, `to_t` is a convolution whose kernel size equals its
stride; from coarser ones, a 1x1 and bilinear upsampling.

Deviations: sizes that do not halve exactly are accepted. For them, maps are zero-padded at the bottom and on
the right before a strided convolution, and bilinear resizing goes to the target's size. For other sizes the
network is the published one.
"""

from functools import partial

from torch import Tensor, nn
from torch.nn import functional

from gffpn.layers.cat import cat_channels
from gffpn.layers.conv import ConvBNAct, silu
from gffpn.layers.start import start_each
from gffpn.layers.widths import Width, lineage_widths
from gffpn.pyramid import Level, Levels, levels_at

LOGIT_CHANNELS = 8

# PyTorch's constants: with the lineage's eps of 1e-3, the norms would not make up for the small weights
conv = partial(ConvBNAct, norm=nn.BatchNorm2d)


class Shrink(nn.Module):
    """Convolution over windows that do not overlap, with BN and SiLU.

    (N, C_in, H, W) to (N, C_out, ceil(H / stride), ceil(W / stride)).
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.conv = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, stride, stride, bias=False),
            nn.BatchNorm2d(out_channels),
            silu(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Zero-pad to a multiple of the stride and convolve."""
        below, right = (-side % self.stride for side in x.shape[-2:])
        return self.conv(functional.pad(x, (0, right, 0, below)) if below or right else x)


class FusePerCell(nn.Module):
    """Weighted sum of `count` maps (N, C, H, W), followed by a 3x3 convolution: 3x3(sum_j w_j x_j).

    The weights w sum to 1 in each cell.

    Liu, Huang, Wang: Learning Spatial Fusion for Single-Shot Object Detection (2019), section 3.2.2 (ASFF).
    """

    def __init__(self, count: int, channels: int) -> None:
        super().__init__()
        self.squeeze = nn.ModuleList(conv(channels, LOGIT_CHANNELS) for _ in range(count))
        self.logits = nn.Conv2d(LOGIT_CHANNELS * count, count, 1)
        self.merge = conv(channels, channels, 3)

    def shares(self, maps: list[Tensor]) -> Tensor:
        """Return the weights w (N, count, H, W), which sum to 1 over the maps."""
        squeezed = [squeeze(x) for squeeze, x in zip(self.squeeze, maps, strict=True)]
        logits: Tensor = self.logits(cat_channels(squeezed))
        return logits.softmax(dim=1)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Fuse maps of one shape into one map of that shape."""
        shares = self.shares(maps).to(maps[0].dtype)
        total = maps[0] * shares[:, :1]
        for j, x in enumerate(maps[1:], start=1):
            total = total + x * shares[:, j : j + 1]
        return self.merge(total)


class Residual(nn.Module):
    """Residual block: SiLU(x + BN(3x3(SiLU(BN(3x3(x)))))).

    As published, the convolutions have biases, which the norms make redundant.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = conv(channels, channels, 3, bias=True)
        self.second = conv(channels, channels, 3, bias=True, activation=nn.Identity)
        self.act = silu()

    def forward(self, x: Tensor) -> Tensor:
        """Map x (N, C, H, W) to the same shape."""
        return self.act(x + self.second(self.first(x)))


class Join(nn.Module):
    """Fusion of several levels into level `target`.

    channels: widths of the levels, finest first; each level is twice as coarse as the one before it.
    target: index of the level in `channels`.
    blocks: residual blocks after the fusion.
    """

    def __init__(self, channels: list[int], target: int, blocks: int) -> None:
        super().__init__()
        width = channels[target]
        self.target = target
        self.bring = nn.ModuleList(self._path(c, width, j) for j, c in enumerate(channels))
        self.fuse = FusePerCell(len(channels), width)
        self.blocks = nn.Sequential(*(Residual(width) for _ in range(blocks)))

    def _path(self, in_channels: int, out_channels: int, source: int) -> nn.Module:
        if source == self.target:
            return nn.Identity()
        if source < self.target:
            return Shrink(in_channels, out_channels, 2 ** (self.target - source))
        return conv(in_channels, out_channels)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Bring all maps to the size of the target's, fuse them and refine the result."""
        size = maps[self.target].shape[-2:]
        brought = [bring(x) for bring, x in zip(self.bring, maps, strict=True)]
        finer, coarser = brought[: self.target + 1], brought[self.target + 1 :]
        resized = [
            functional.interpolate(x, size=size, mode="bilinear", align_corners=False) for x in coarser
        ]
        return self.blocks(self.fuse([*finer, *resized]))


def start(part: nn.Module) -> None:
    """Initialise a convolution or a norm, with weights near zero.

    The maps of a fusion then start with nearly equal shares, and the norms restore the scale.
    """
    if isinstance(part, nn.Conv2d):
        part.reset_parameters()  # the bias
        nn.init.xavier_normal_(part.weight, gain=0.02)
    elif isinstance(part, nn.BatchNorm2d):
        nn.init.normal_(part.weight, 1.0, 0.02)


class AFPN(nn.Module):
    """Pyramid that fuses neighbouring levels first and the coarsest last, with fusion weights per cell.

    Reads and outputs strides 8, 16, 32.
    width, out_channels, widen: set the widths of the outputs, see `lineage_widths`.
    reduction: divisor of the inputs' widths; a level has its width times `widen` / `reduction` channels
    inside the network, rounded down.
    blocks: residual blocks after each fusion.
    Raises ValueError if a level is missing.
    """

    in_strides = (8, 16, 32)

    def __init__(
        self,
        in_levels: Levels,
        *,
        out_channels: int,
        width: Width = "pyramid",
        widen: float = 1.0,
        reduction: int = 4,
        blocks: int = 3,
    ) -> None:
        super().__init__()
        levels = levels_at(in_levels, self.in_strides, reader="AFPN")
        channels = [level.channels for level in levels]
        if not 1 <= reduction <= min(channels):
            raise ValueError(
                f"reduction: got {reduction!r}, expected 1 to the smallest width, {min(channels)}"
            )
        if blocks < 0:
            raise ValueError(f"blocks: got {blocks!r}, expected 0 or more")
        widths = lineage_widths(width, levels, out_channels=out_channels, widen=widen)
        inner = [max(1, int(c * widen / reduction)) for c in channels]
        self.enter = nn.ModuleList(
            nn.Sequential(conv(c, w), conv(w, w)) for c, w in zip(channels, inner, strict=True)
        )
        self.stages = nn.ModuleList(
            nn.ModuleList(Join(inner[:meeting], t, blocks) for t in range(meeting)) for meeting in (2, 3)
        )
        self.leave = nn.ModuleList(conv(w, c) for w, c in zip(inner, widths, strict=True))
        self.out_levels = tuple(Level(c, level.stride) for c, level in zip(widths, levels, strict=True))
        start_each(self, start)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Compute P3..P5 from C3..C5."""
        maps = [enter(x) for enter, x in zip(self.enter, features, strict=True)]
        for stage in self.stages:
            assert isinstance(stage, nn.ModuleList)
            meeting = len(stage)
            joined = [join(maps[:meeting]) for join in stage]
            maps = [*joined, *maps[meeting:]]
        return [leave(x) for leave, x in zip(self.leave, maps, strict=True)]
