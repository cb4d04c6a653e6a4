"""Histograms of the differences between two runs on small test sets."""

from collections.abc import Sequence

import numpy as np

from gffpn.report.figures.canvas import Drawing, axes
from gffpn.report.figures.palette import BAND, INK, QUIET
from gffpn.report.figures.series import LINE, fitted
from gffpn.stats.small_tests import Luck

BINS = 60


def histograms(found: Sequence[Luck], names: Sequence[str], objects: int, marks: Sequence[float]) -> Drawing:
    """Return a row per pair of runs: its differences on small sets, with `marks` (shares) as lines."""
    widest = max(
        *(100 * np.abs(one.differences).max() for one in found), *(110 * mark for mark in marks), 1.0
    )
    edges = np.linspace(-widest, widest, BINS + 1)
    with axes(0.7 + 0.62 * len(found)) as (figure, plot):
        plot.axvline(0, color=QUIET, linewidth=0.6, zorder=1)
        for y, (one, name) in enumerate(zip(reversed(found), reversed(names), strict=True)):
            share, _ = np.histogram(100 * one.differences, edges)
            plot.stairs(y + 0.6 * share / share.max(), edges, baseline=y, fill=True, color=BAND, zorder=2)
            plot.stairs(y + 0.6 * share / share.max(), edges, baseline=y, color=INK, linewidth=0.8, zorder=3)
            for mark in marks:
                ends = [100 * (one.whole - mark), 100 * (one.whole + mark)]
                plot.vlines(ends, y, y + 0.6, color=QUIET, linewidth=0.8, linestyle=(0, (4, 3)), zorder=4)
            plot.plot([100 * one.whole], [y], "D", color=INK, markersize=4.5, zorder=4)
            plot.text(0, y + 0.68, fitted(name, LINE), transform=plot.get_yaxis_transform())
        plot.set_xlim(-widest, widest)
        plot.set_ylim(-0.12, len(found))
        plot.set_yticks([])
        plot.spines["left"].set_visible(False)
        plot.set_xlabel(f"difference in mAP50 on about {objects} test objects, percent points")
    said = "; ".join(
        f"{name}: {100 * one.whole:+.1f} on all images, standard deviation {100 * one.differences.std():.1f}"
        for one, name in zip(found, names, strict=True)
    )
    return Drawing(
        figure,
        f"Differences between two runs on small test sets of about {objects} objects",
        f"{said}.",
        "Diamond: the mean difference on all test images. Dashed: so far from it as was asked for.",
    )
