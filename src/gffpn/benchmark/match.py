"""The width at which one neck costs what another costs: a comparison of necks must not be one of widths."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from gffpn.build.detector import build_detector, build_neck, rehearse
from gffpn.choice import choose
from gffpn.config.check import compose_checked
from gffpn.config.compose import compose_config, image_size
from gffpn.config.overrides import unwrapped
from gffpn.cost import Cost, cost, count_flops, count_parameters
from gffpn.detector import Detector
from gffpn.pyramid import Levels, Neck, levels_at

TOLERANCE = 0.02
MEASURES: dict[str, Callable[[Any, list[Tensor]], float]] = {
    "params": lambda neck, features: count_parameters(neck),
    "gflops": lambda neck, features: count_flops(neck, features).total,
}
# what sets a neck's width, first found: a multiple, or the channels of every level
KNOBS = ("neck.widen", "neck.base.widen", "neck.out_channels", "neck.base.out_channels")
WIDENINGS = [k / 1000 for k in range(50, 16_000)]
NARROWEST = 8
"""Channels."""
WIDEST = 16
"""Times the channels that the configuration has."""


@dataclass(frozen=True)
class Match:
    """A neck at the width at which its cost is nearest to the wanted neck's."""

    neck: str
    to: str
    by: str
    override: str
    """What to say on the command line, as `neck.widen=0.871`."""
    before: Cost
    after: Cost
    wanted: Cost
    ratio: float
    """The neck's cost over the wanted neck's."""

    @property
    def close(self) -> bool:
        """Within 2 %."""
        return abs(self.ratio - 1) <= TOLERANCE

    def told(self) -> dict[str, Any]:
        """All of it, for machines."""
        return {**asdict(self), "close": self.close}

    def table(self) -> str:
        """All of it, for people."""
        verdict = "costs what" if self.close else "is the nearest that it comes to what"
        columns = {self.neck: self.before, f"{self.neck}, matched": self.after, self.to: self.wanted}
        rows: dict[str, Callable[[Cost], float]] = {
            "neck params M": lambda price: price.params_neck / 1e6,
            "neck GFLOPs": lambda price: price.gflops_neck,
            "detector params M": lambda price: price.params_m,
            "detector GFLOPs": lambda price: price.gflops,
        }
        width = max(map(len, columns)) + 2
        lines = [" " * 18 + "".join(f"{name:>{width}}" for name in columns)]
        for row, figure in rows.items():
            lines.append(f"{row:18}" + "".join(f"{figure(price):{width}.3f}" for price in columns.values()))
        summary = (
            f"neck={self.neck} {self.override} {verdict} neck={self.to} costs by {self.by}: "
            f"{100 * (self.ratio - 1):+.2f} %"
        )
        return "\n".join([*lines, summary])


def match(neck: str, to: str, by: str, overrides: Sequence[str], *, classes: int) -> Match:
    """The width at which `neck` alone (not its detector) costs what `to` costs, `by` params or gflops.

    Overrides of `neck.*` and `ablation` are for `neck`; the others are for both. Raises ValueError for an
    unknown neck or cost, for an image size that a neck refuses, and for a neck without a width to turn.
    """
    measure = choose("by", by, MEASURES)
    chosen = [*overrides, f"neck={neck}"]
    shared = [word for word in overrides if not word.lstrip("+~").startswith(("neck", "ablation"))]
    config, wanted_config = (
        checked([*words, f"neck={one}"]) for words, one in ((overrides, neck), (shared, to))
    )
    target = on_meta(wanted_config, classes)
    levels = target.backbone.out_levels
    size = image_size(config)
    knob, holder, key = _knob(config, neck)

    def measured(value: float) -> float:
        holder[key] = value
        with torch.device("meta"):
            built = build_neck(config, levels)
            return measure(built, _features(built, levels, size))

    values = WIDENINGS if key == "widen" else _channels(holder[key], measured)
    if measured(values[0]) == measured(values[-1]):
        raise ValueError(
            f"{knob}: turning it does not change what neck={neck} costs, expected a width that does"
        )
    wanted = measure(target.neck, _features(target.neck, levels, size))
    nearest = _nearest(values, measured, wanted)
    override = f"{knob}={nearest}"
    before, after = (
        cost(on_meta(compose_config([*chosen, *change]), classes), size) for change in ([], [override])
    )
    return Match(neck, to, by, override, before, after, cost(target, size), measured(nearest) / wanted)


def checked(overrides: Sequence[str]) -> Any:
    """The configuration that the overrides describe, as a run would accept it."""
    config = compose_checked(overrides)
    with torch.device("meta"):
        rehearse(config)
    return config


def on_meta(config: Any, classes: int) -> Detector:
    """The detector of a configuration, without the values of its weights."""
    with torch.device("meta"):
        return build_detector(config, classes)


def _features(neck: Neck, levels: Levels, size: tuple[int, int]) -> list[Tensor]:
    return [
        torch.empty(1, channels, -(-size[0] // stride), -(-size[1] // stride), device="meta")
        for channels, stride in levels_at(levels, neck.in_strides, reader=type(neck).__name__)
    ]


def _knob(config: Any, neck: str) -> tuple[str, Any, str]:
    """Which key sets the width, the node that holds it, and its name there."""
    for knob in KNOBS:
        *path, key = knob.split(".")
        node = config
        for step in path:
            node = node.get(step, {})
        if key in node:
            return knob, node, key
    raise ValueError(f"neck: got {neck!r}, expected one with a width to turn ({', '.join(KNOBS)})")


def _channels(start: int, measure: Callable[[float], float]) -> range:
    """Rising numbers of channels, in the smallest power of two that the neck takes as a step."""
    for exponent in range(start.bit_length()):
        step = 2**exponent
        try:
            measure(start // step * step + step)
        except Exception as error:
            if not isinstance(unwrapped(error), ValueError):
                raise
        else:
            return range(max(step, NARROWEST), WIDEST * start, step)
    return range(start, WIDEST * start, start)


def _nearest(values: Sequence[float], measure: Callable[[float], float], wanted: float) -> float:
    """The value whose measure, which rises with it, is nearest to the wanted one."""
    low, high = 0, len(values) - 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if measure(values[middle]) < wanted else (low, middle)
    return min((values[low], values[high]), key=lambda value: abs(measure(value) - wanted))
