"""Levels coarser than the backbone's, appended to a pyramid."""

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

from gffpn.choice import choose
from gffpn.pyramid import Level, Levels

Extra = Literal["pool", "output", "input"]
ExtraCount = Literal[0, 1, 2]


class ExtraLevels(nn.Module):
    """The outputs of a neck plus `count` coarser ones, each half the size (rounded up) of the previous one.

    kind: `pool` takes every second cell of the coarsest output, without parameters (a max-pool with a kernel
    of 1); `output` and `input` are biased 3x3 convolutions of stride 2, the first of which reads the coarsest
    output or the coarsest input.
    relu: apply a ReLU between two such convolutions, as in torchvision but not in mmdetection's default.
    """

    def __init__(
        self, count: ExtraCount, kind: Extra, *, source: Level, out_levels: Levels, relu: bool
    ) -> None:
        super().__init__()
        if not 0 <= count <= 2:
            raise ValueError(f"extra_levels: got {count!r}, expected 0, 1 or 2")
        coarsest = out_levels[-1]
        sources: dict[Extra, int | None] = {
            "pool": None,
            "output": coarsest.channels,
            "input": source.channels,
        }
        channels = choose("extra", kind, sources)
        self.from_input = kind == "input"
        self.count = count
        self.relu = relu
        into = [] if channels is None else [channels, *[coarsest.channels] * count][:count]
        self.convs = nn.ModuleList(nn.Conv2d(c, coarsest.channels, 3, 2, 1) for c in into)
        extra = (Level(coarsest.channels, coarsest.stride * 2 ** (i + 1)) for i in range(count))
        self.out_levels = (*out_levels, *extra)

    def forward(self, outputs: list[Tensor], coarsest_input: Tensor) -> list[Tensor]:
        """Return all levels, finest first."""
        levels = list(outputs)
        if not self.convs:
            for _ in range(self.count):
                levels.append(functional.max_pool2d(levels[-1], 1, 2))
        x = coarsest_input if self.from_input else outputs[-1]
        for i, conv in enumerate(self.convs):
            x = conv(functional.relu(x) if i and self.relu else x)
            levels.append(x)
        return levels
