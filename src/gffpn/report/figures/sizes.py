"""Average precision by the size of the objects, and its differences between arms."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from gffpn.figures import BinFigures
from gffpn.metrics.matching import Floats
from gffpn.report.analyses import Analyses
from gffpn.report.answer import interval, points
from gffpn.report.figures.canvas import Drawing, axes, tag
from gffpn.report.figures.palette import BAND, QUIET, colour, marker
from gffpn.report.figures.series import (
    draw_arm,
    label_room,
    legend,
    mean_of_known,
    percents,
    seed_differences,
    versus,
)
from gffpn.report.which import difference_name
from gffpn.stats.study import Contrast, Study

FEW = 50
"""Bins of fewer test objects are marked in the figures."""
DRAWN = 6
"""At most this many contrasts are drawn by size; the others stand in the table of exploratory differences."""


def bins(study: Study) -> tuple[BinFigures, ...]:
    """Return the size bins in network pixels that have objects, smallest first; none if the runs disagree."""
    found = {
        tuple((one.name, one.objects) for one in record.test.network_bins): record.test.network_bins
        for arm in study.arms
        for record in arm.records
    }
    if len(found) != 1:
        return ()
    return tuple(one for one in next(iter(found.values())) if one.objects)


def size_word(one: BinFigures) -> str:
    """Return the sides of a bin in words: `8-16`, or `96+`."""
    return f"{one.low:g}+" if one.high is None else f"{one.low:g}\N{EN DASH}{one.high:g}"


def reached_word(side: float | None, sides: Floats) -> str:
    """Return the side from which on a curve over `sides` (G,) is high enough, as `reach` gives it, in words.

    `over 64.0` and `under 4.0` are beyond the last and the first one.
    """
    if side is None:
        return f"over {sides[-1]:.1f}"
    return f"under {sides[0]:.1f}" if side == sides[0] else f"{side:.1f}"


def count_word(one: BinFigures) -> str:
    """Return the number of objects of a bin, marked if there are few: their figures vary much."""
    return f"n={one.objects:,}{', few' if one.objects < FEW else ''}"


def few_words(known: Sequence[BinFigures]) -> str:
    """Return a sentence, with a space before it, on the bins of few objects; empty without any."""
    found = [f"({one.objects}) at {size_word(one)} px" for one in known if one.objects < FEW]
    return f" Few objects {', '.join(found)}." if found else ""


def by_size(study: Study) -> Drawing | None:
    """Return AP against the side of the objects, a line per arm, or None without bins that all runs share."""
    known = bins(study)
    if not known:
        return None
    x = np.arange(len(known), dtype=np.float64)
    said = []
    with axes(2.9) as (figure, plot):
        for at, arm in enumerate(study.arms):
            if not arm.records:
                continue
            seeds = percents([arm.figures(f"AP_{one.name}") for one in known]).T
            draw_arm(plot, at, arm.name, x, seeds)
            shown = zip(known, mean_of_known(seeds), strict=True)
            said.append(
                f"{arm.name}: " + ", ".join(f"{value:.1f} at {size_word(one)} px" for one, value in shown)
            )
        plot.set_xticks(x, [f"{size_word(one)}\n{count_word(one)}" for one in known])
        plot.set_xlabel("side of the object in network pixels")
        plot.set_ylabel("AP, percent")
        plot.set_ylim(bottom=0)
        plot.grid(axis="y")
        legend(plot)
    return Drawing(
        figure,
        "AP by size of the object",
        "; ".join(said) + ".",
        "AP over IoU 0.50 to 0.95. Lines: mean over seeds; dots: seeds; n: test objects in each bin."
        f"{few_words(known)}",
    )


def differences_by_size(study: Study, analyses: Analyses) -> Drawing | None:
    """Return the differences of the contrasts by size bin, with intervals that hold for all bins together."""
    known = bins(study)
    found: dict[str, list[tuple[int, Contrast]]] = {}
    for at, one in enumerate(known):
        for contrast in analyses.explored(f"AP_{one.name}"):
            if contrast.estimate:
                found.setdefault(contrast.name, []).append((at, contrast))
    if not found:
        return None
    position = {arm.name: at for at, arm in enumerate(study.arms)}
    shown = list(found.values())[:DRAWN]
    said = []
    with axes(2.9) as (figure, plot):
        margin = 100 * study.question.margin
        plot.axhspan(-margin, margin, color=BAND, zorder=0)
        plot.axhline(0, color=QUIET, linewidth=0.6)
        for number, row in enumerate(shown):
            shift = 0.7 * ((number + 0.5) / len(shown) - 0.5)
            arms = position[row[0][1].a.name], position[row[0][1].b.name]
            level, room = 1 - 0.05 / len(known), label_room(len(shown))
            name = difference_name(row[0][1].a.name, row[0][1].b.name)
            ends = _contrast(plot, row, shift, arms, level=level, room=room)
            said += [f"{name} at {size_word(known[at])} px {words}" for at, words in ends]
        plot.set_xticks(range(len(known)), [f"{size_word(one)}\n{count_word(one)}" for one in known])
        plot.set_xlim(-0.5, len(known) - 0.5)
        plot.set_xlabel("side of the object in network pixels")
        plot.set_ylabel("difference in AP, points")
        plot.grid(axis="y")
        legend(plot)
    left_out = len(found) - len(shown)
    more = f" The first {DRAWN} contrasts; {left_out} more not drawn." if left_out else ""
    return Drawing(
        figure,
        "Differences in AP by size",
        "; ".join(said) + ".",
        "Exploratory. Intervals of a contrast hold for all sizes together with 95 % confidence. "
        "Shaded: the margin. Colour: first arm; symbol: second arm. Dots: seeds, those of the first arm "
        f"on the left.{more}{few_words(known)}",
    )


def _contrast(
    plot: Axes,
    row: Sequence[tuple[int, Contrast]],
    shift: float,
    arms: tuple[int, int],
    *,
    level: float,
    room: float,
) -> list[tuple[int, str]]:
    """Draw a contrast's difference in each bin, and return it in words by the position of the bin.

    Its label takes at most `room` points.
    """
    said = []
    for number, (at, contrast) in enumerate(row):
        assert contrast.estimate
        delta, (low, high) = contrast.estimate.delta, contrast.estimate.interval(level)
        x = at + shift
        (line,) = plot.plot([x, x], [100 * low, 100 * high], color=colour(arms[0]), zorder=2)
        label = None if number else versus(contrast.a.name, contrast.b.name, room)
        (dot,) = plot.plot(
            [x], [100 * delta], marker(arms[1]), color=colour(arms[0]), markersize=5, label=label, zorder=3
        )
        for artist in (line, dot):
            artist.set_gid(tag(*arms))
        for values, aside, arm in zip(seed_differences(contrast), (-0.07, 0.07), arms, strict=True):
            (seeds,) = plot.plot([x + aside] * len(values), values, "o", color=colour(arm), markersize=1.8)
            seeds.set_gid(tag(arm))
        said.append((at, f"{points(delta, sign=True)} ({interval(low, high)})"))
    return said
