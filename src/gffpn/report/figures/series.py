"""What several figures draw alike: an arm's mean with its seeds as dots, and the legend of the arms."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from gffpn.figures import Figure as Share
from gffpn.metrics.matching import Floats
from gffpn.report.figures.canvas import tag
from gffpn.report.figures.palette import PAPER, colour, marker
from gffpn.stats.study import Contrast

LEGEND = 8
"""More arms than this are not listed inside a figure; the page lists them beside it."""
_CHARACTERS = 52


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
        "-" if line else "",
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
    handles, labels = plot.get_legend_handles_labels()
    if 1 < len(labels) <= LEGEND:
        columns = max(1, min(len(labels), _CHARACTERS // (max(map(len, labels)) + 5)))
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
