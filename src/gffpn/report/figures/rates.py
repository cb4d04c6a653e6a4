"""Precision against recall, and probability of detection against the side of an object."""

import numpy as np
from matplotlib.axes import Axes

from gffpn.metrics.average_precision import RECALLS
from gffpn.report.analyses import Analyses
from gffpn.report.figures.canvas import Drawing, axes, tag
from gffpn.report.figures.palette import QUIET, RULE, colour, dash
from gffpn.report.figures.series import legend, mean_of_known
from gffpn.report.figures.sizes import reached_word
from gffpn.stats.detection_curve import ArmCurve
from gffpn.stats.study import Study

BANDS = 4
"""With more arms than this, bands would hide one another and are left out."""


def precision_recall(study: Study, analyses: Analyses) -> Drawing | None:
    """Return precision against recall at IoU 0.5, or None without predictions."""
    said = []
    with axes(2.9) as (figure, plot):
        for at, (arm, runs) in enumerate(zip(study.arms, analyses.arms, strict=True)):
            if not runs:
                continue
            seeds = np.stack([one.analysis.precision for one in runs])
            mean = mean_of_known(seeds)
            for one in seeds if len(seeds) > 1 else ():
                (thin,) = plot.plot(
                    100 * RECALLS[::2], 100 * one[::2], color=colour(at), linewidth=0.5, alpha=0.6
                )
                thin.set_gid(tag(at))
            (thick,) = plot.plot(
                100 * RECALLS, 100 * mean, dash(at), color=colour(at), linewidth=1.8, label=arm.name, zorder=3
            )
            thick.set_gid(tag(at))
            half = mean[len(RECALLS) // 2]
            if not np.isnan(half):
                said.append(f"{arm.name} has a precision of {100 * half:.0f} % at a recall of 50 %")
        plot.set_xlim(0, 100)
        plot.set_ylim(0, 101)
        plot.set_xlabel("recall, percent")
        plot.set_ylabel("precision, percent")
        plot.grid()
        legend(plot)
    if not said:
        return None
    return Drawing(
        figure,
        "Precision against recall at IoU 0.5",
        f"{'; '.join(said)}.",
        "Mean over classes with objects; the mean of a curve is its mAP50. Thin: seeds; thick: their mean.",
    )


def detection(study: Study, analyses: Analyses) -> Drawing | None:
    """Return the probability of detection over sides with simultaneous bands, or None without curves."""
    curves = analyses.curves
    if not curves:
        return None
    said = []
    with axes(2.9) as (figure, plot):
        plot.axhline(90, color=QUIET, linewidth=0.6, linestyle=(0, (4, 3)), zorder=1)
        for at, one in curves.items():
            _detection_of(plot, at, study.arms[at].name, one, analyses, band=len(curves) <= BANDS)
            some = f"90 % from {reached_word(one.a90, one.sides)} px on"
            said.append(f"{study.arms[at].name}: {some}, ceiling {100 * one.ceiling:.0f} %")
        plot.set_xscale("log")
        sides = next(iter(curves.values())).sides
        ticks = [side for side in (2, 4, 8, 16, 32, 64, 128, 256, 512) if sides[0] <= side <= sides[-1]]
        plot.set_xticks(ticks, [str(tick) for tick in ticks], minor=False)
        plot.minorticks_off()
        plot.set_xlim(sides[0], sides[-1])
        plot.set_ylim(0, 101)
        plot.set_xlabel("side of the object in network pixels")
        plot.set_ylabel("probability of detection, %")
        plot.grid(color=RULE)
        legend(plot)
    bands = (
        "Thin: seeds. Bands hold for the whole curve with 95 % confidence, over seeds and test images."
        if len(curves) <= BANDS
        else "The table gives their uncertainty."
    )
    if not all(one.band.seeds for one in curves.values()):
        bands += " An arm with one seed: about these weights, not about the neck."
    return Drawing(
        figure,
        "Probability of detection against size",
        f"{'; '.join(said)}.",
        "A hit is a detection of the class whose centre lies in the object's box (grown to at least 8 px), "
        f"at the threshold with 0.1 false calls per image on val. {bands}",
    )


def _detection_of(
    plot: Axes, arm: int, name: str, curve: ArmCurve, analyses: Analyses, *, band: bool
) -> None:
    shade = colour(arm)
    if band:
        low, high = (100 * np.clip(end, 0, 1) for end in (curve.band.lower, curve.band.upper))
        area = plot.fill_between(curve.sides, low, high, color=shade, alpha=0.13, linewidth=0)
        area.set_gid(tag(arm))
    for run in analyses.arms[arm] if band else ():
        if run.analysis.curve:
            seed = 100 * run.analysis.curve.points
            (thin,) = plot.plot(curve.sides, seed, color=shade, linewidth=0.5, alpha=0.6)
            thin.set_gid(tag(arm))
    (line,) = plot.plot(
        curve.sides, 100 * curve.band.value, dash(arm), color=shade, linewidth=1.8, label=name, zorder=3
    )
    line.set_gid(tag(arm))
