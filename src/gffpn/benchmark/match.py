"""The width at which one neck costs as much as another, so that comparing necks does not compare widths."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from gffpn.build.detector import build_detector, build_neck, rehearse
from gffpn.choice import choose
from gffpn.config.check import compose_checked
from gffpn.config.compose import compose_config, image_size
from gffpn.config.overrides import unwrapped
from gffpn.cost import cost, count_flops, count_parameters
from gffpn.detector import Detector
from gffpn.figures import Cost
from gffpn.pyramid import Levels, Neck, levels_at

TOLERANCE = 0.02
MEASURES: dict[str, Callable[[Any, list[Tensor]], float]] = {
    "params": lambda neck, features: count_parameters(neck),
    "gflops": lambda neck, features: count_flops(neck, features).total,
}
# keys that set a neck's width, as a factor or as the channels of every level; the first one found is used
KNOBS = ("neck.widen", "neck.base.widen", "neck.out_channels", "neck.base.out_channels")
WIDENINGS = [k / 1000 for k in range(50, 16_000)]
NARROWEST = 8
"""Smallest number of channels to try."""
WIDEST = 16
"""Upper limit of the channels to try, as a multiple of those in the configuration."""


@dataclass(frozen=True)
class Match:
    """A neck at the width at which its cost is nearest to that of the neck `to`."""

    neck: str
    to: str
    by: str
    override: str
    """The override that sets this width, such as `neck.widen=0.871`."""
    before: Cost
    after: Cost
    wanted: Cost
    ratio: float
    """The neck's cost at this width, divided by the wanted cost."""

    @property
    def close(self) -> bool:
        """True if the two costs differ by at most 2 %."""
        return abs(self.ratio - 1) <= TOLERANCE

    def record(self) -> dict[str, Any]:
        """Return all figures, for a JSON line."""
        return {**asdict(self), "close": self.close}

    def table(self) -> str:
        """Return the figures as text for a terminal."""
        verdict = "matches" if self.close else "comes nearest to"
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
            f"neck={self.neck} {self.override} {verdict} neck={self.to} in {self.by}: "
            f"{100 * (self.ratio - 1):+.2f} %"
        )
        return "\n".join([*lines, summary])


def match(neck: str, to: str, by: str, overrides: Sequence[str], *, classes: int) -> Match:
    """Match the width of `neck` so that it alone (not its detector) costs as much as `to`.

    The cost is `by` params or gflops. Overrides of `neck.*` and `ablation` apply to `neck` only, the others
    to both necks. Raises ValueError for an unknown neck or cost, for an image size that a neck does not
    accept, and for a neck without an adjustable width.
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

    @cache
    def measured(value: float) -> float:
        holder[key] = value
        with torch.device("meta"):
            built = build_neck(config, levels)
            return measure(built, _features(built, levels, size))

    values = WIDENINGS if key == "widen" else _channels(holder[key], measured)
    if measured(values[0]) == measured(values[-1]):
        raise ValueError(f"{knob}: does not change the cost of neck={neck}, expected a width that does")
    wanted = measure(target.neck, _features(target.neck, levels, size))
    nearest = _nearest(values, measured, wanted)
    override = f"{knob}={nearest}"
    before, after = (
        cost(on_meta(compose_config([*chosen, *change]), classes), size) for change in ([], [override])
    )
    return Match(neck, to, by, override, before, after, cost(target, size), measured(nearest) / wanted)


def checked(overrides: Sequence[str]) -> Any:
    """Return the configuration that the overrides describe, after the checks that a run makes."""
    config = compose_checked(overrides)
    with torch.device("meta"):
        rehearse(config)
    return config


def on_meta(config: Any, classes: int) -> Detector:
    """Return the detector of a configuration on the meta device, so without values of its weights."""
    with torch.device("meta"):
        return build_detector(config, classes)


def _features(neck: Neck, levels: Levels, size: tuple[int, int]) -> list[Tensor]:
    return [
        torch.empty(1, channels, -(-size[0] // stride), -(-size[1] // stride), device="meta")
        for channels, stride in levels_at(levels, neck.in_strides, reader=type(neck).__name__)
    ]


def _knob(config: Any, neck: str) -> tuple[str, Any, str]:
    """Return the key that sets the width, the node that holds it, and its name in that node."""
    for knob in KNOBS:
        *path, key = knob.split(".")
        node = config
        for step in path:
            node = node.get(step, {})
        if key in node:
            return knob, node, key
    raise ValueError(f"neck: got {neck!r}, expected one with an adjustable width ({', '.join(KNOBS)})")


def _channels(start: int, measure: Callable[[float], float]) -> range:
    """Return increasing numbers of channels, in steps of the smallest power of two that the neck accepts."""
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
    """Return the value whose measure is nearest to `wanted`; the measure increases with the value."""
    low, high = 0, len(values) - 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if measure(values[middle]) < wanted else (low, middle)
    return min((values[low], values[high]), key=lambda value: abs(measure(value) - wanted))
