"""What several figures draw alike: an arm's mean with its seeds as dots, and the legend of the arms."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from gffpn.figures import Figure as Share
from gffpn.metrics.matching import Floats
from gffpn.report.figures.canvas import tag
from gffpn.report.figures.palette import PAPER, colour, dash, marker
from gffpn.stats.study import Contrast

CHARACTERS = 100
"""Longer names have no room in any figure."""
LEGEND = 24
"""More arms than this are not listed inside a figure; the page lists them beside it."""
ROWS, ROW = 3, 0.2
"""For more rows of a legend than this, a figure becomes higher, by so many inches for each."""
LINE = 320.0
"""Points across a figure that a line of text may take."""
LONG = 4
"""A legend with more labels than this gets two columns, so that room is left for the figure."""
_KEY = 34.0
"""Points that a key and the space beside it take in a legend."""


def width_of(text: str) -> float:
    """Return the width of a text in points, in the font of the figures at 10 points."""
    width, _, _ = text_to_path.get_text_width_height_descent(
        text, FontProperties(family="DejaVu Sans", size=10), ismath=False
    )
    return float(width)


def fitted(name: str, room: float) -> str:
    """Return a name, without its middle if it is wider than `room` points; the page has it in full."""
    if len(name) <= CHARACTERS and width_of(name) <= room:
        return name
    for kept in range(min(len(name), CHARACTERS) // 2, 0, -1):
        text = f"{name[:kept]}\N{HORIZONTAL ELLIPSIS}{name[-kept:]}"
        if width_of(text) <= room:
            return text
    return "\N{HORIZONTAL ELLIPSIS}"


def versus(a: str, b: str, room: float) -> str:
    """Return `a - b` with a true minus sign, with shortened names if it is wider than `room` points."""
    minus = " \N{MINUS SIGN} "
    room -= width_of(minus)
    widths = [width_of(name[:CHARACTERS]) for name in (a, b)]
    one, other = (
        fitted(name, max(room / 2, room - width))
        for name, width in zip((a, b), reversed(widths), strict=True)
    )
    return f"{one}{minus}{other}"


def label_room(count: int) -> float:
    """Return the points for each label of a legend of `count`; many of them stand in two columns."""
    return LINE / (2 if count > LONG else 1) - _KEY


def percents(values: Sequence[Sequence[Share]]) -> Floats:
    """Return shares in percent, with NaN for None."""
    table = [[np.nan if value is None else 100 * value for value in row] for row in values]
    return np.array(table, dtype=np.float64)


def mean_of_known(seeds: Floats) -> Floats:
    """Return the mean (N,) over the seeds (S, N) that have a figure; NaN where none has one."""
    known = ~np.isnan(seeds)
    total = np.where(known, seeds, 0.0).sum(axis=0)
    count = known.sum(axis=0)
    return np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)


def draw_arm(plot: Axes, arm: int, name: str, x: Floats, seeds: Floats, *, line: bool = True) -> None:
    """Draw an arm's mean over seeds and each seed as a dot: x (N,) and seeds (S, N), NaN where unknown."""
    shade = colour(arm)
    (curve,) = plot.plot(
        x,
        mean_of_known(seeds),
        dash(arm) if line else "",
        color=shade,
        marker=marker(arm),
        markersize=5.5,
        markeredgecolor=PAPER,
        markeredgewidth=0.6,
        label=name,
        zorder=3,
    )
    curve.set_gid(tag(arm))
    if len(seeds) > 1:
        (dots,) = plot.plot(np.tile(x, len(seeds)), seeds.ravel(), "o", color=shade, markersize=2.2, zorder=2)
        dots.set_gid(tag(arm))


def legend(plot: Axes) -> None:
    """Add the legend above the axes, unless there are too many arms for it, or only one."""
    handles, names = plot.get_legend_handles_labels()
    labels = [fitted(name, label_room(len(names))) for name in names]
    if 1 < len(labels) <= LEGEND:
        columns = max(1, min(len(labels), int(LINE / (max(map(width_of, labels)) + _KEY))))
        figure = plot.get_figure(root=True)
        assert figure
        width, height = figure.get_size_inches()
        figure.set_size_inches(width, height + ROW * max(0, math.ceil(len(labels) / columns) - ROWS))
        plot.legend(
            handles,
            labels,
            loc="lower left",
            bbox_to_anchor=(-0.02, 1.0),
            ncols=columns,
            borderpad=0.2,
            columnspacing=1.2,
            handlelength=1.6,
        )


def seed_differences(contrast: Contrast) -> tuple[list[float], list[float]]:
    """Return each seed of A minus the mean of B, and the mean of A minus each seed of B, in points."""
    samples = [arm.sample(contrast.endpoint) for arm in (contrast.a, contrast.b)]
    a, b = (100 * sample.points if sample else np.zeros(0) for sample in samples)
    return (a - b.mean()).tolist(), (a.mean() - b).tolist()
