"""Average precision by the size of the objects, and its differences between arms."""

import numpy as np

from gffpn.figures import BinFigures
from gffpn.report.answer import interval
from gffpn.report.figures.canvas import Drawing, axes, tag
from gffpn.report.figures.palette import BAND, QUIET, colour, marker
from gffpn.report.figures.series import draw_arm, legend, mean_of_known, percents
from gffpn.stats.study import Contrast, Study

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
        plot.set_xticks(x, [f"{size_word(one)}\nn={one.objects:,}" for one in known])
        plot.set_xlabel("side of the object in network pixels")
        plot.set_ylabel("AP, percent")
        plot.set_ylim(bottom=0)
        plot.grid(axis="y")
        legend(plot)
    return Drawing(
        figure,
        "AP by size of the object",
        "; ".join(said) + ".",
        "AP over IoU 0.50 to 0.95. Lines: mean over seeds; dots: seeds; n: test objects in each bin.",
    )


def differences_by_size(study: Study) -> Drawing | None:
    """Return the differences of the contrasts by size bin, with intervals that hold for all bins together."""
    known = bins(study)
    if not known:
        return None
    found: dict[str, list[tuple[int, Contrast]]] = {}
    for at, one in enumerate(known):
        for contrast in study.explore(f"AP_{one.name}"):
            if contrast.estimate:
                found.setdefault(contrast.name, []).append((at, contrast))
    if not found:
        return None
    shown = list(found.items())[:DRAWN]
    level = 1 - 0.05 / len(known)
    position = {arm.name: at for at, arm in enumerate(study.arms)}
    said = []
    with axes(2.9) as (figure, plot):
        margin = 100 * study.question.margin
        plot.axhspan(-margin, margin, color=BAND, zorder=0)
        plot.axhline(0, color=QUIET, linewidth=0.6)
        for number, (name, points) in enumerate(shown):
            shift = 0.7 * ((number + 0.5) / len(shown) - 0.5)
            arms = position[points[0][1].a.name], position[points[0][1].b.name]
            for at, contrast in points:
                assert contrast.estimate
                low, high = contrast.estimate.interval(level)
                x = at + shift
                (line,) = plot.plot([x, x], [100 * low, 100 * high], color=colour(arms[0]), zorder=2)
                label = name.replace(" - ", " \N{MINUS SIGN} ") if at == points[0][0] else None
                (dot,) = plot.plot(
                    [x],
                    [100 * contrast.estimate.delta],
                    marker(arms[1]),
                    color=colour(arms[0]),
                    markersize=5,
                    label=label,
                    zorder=3,
                )
                for artist in (line, dot):
                    artist.set_gid(tag(*arms))
                ends = f"{points(contrast.estimate.delta, sign=True)} ({interval(low, high)})"
                said.append(f"{name} at {size_word(known[at])} px {ends}")
        plot.set_xticks(range(len(known)), [f"{size_word(one)}\nn={one.objects:,}" for one in known])
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
        f"Shaded: the margin. Colour: first arm; symbol: second arm.{more}",
    )
