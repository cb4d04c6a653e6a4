"""Learning curves: every seed as a thin line, the arm's mean as a thick one."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from matplotlib.ticker import MaxNLocator

from gffpn.metrics.matching import Floats
from gffpn.report.figures.canvas import Drawing, axes, tag
from gffpn.report.figures.palette import colour, dash
from gffpn.report.figures.series import legend, mean_of_known
from gffpn.runs.reading import Curves
from gffpn.stats.study import Study

POINTS = 50
"""At most this many epochs of a curve are drawn, evenly spread, the last one among them."""
TELEMETRY = 3
"""Counts of training objects are drawn for the smallest bins that have any, this many."""
_OBJECTS = "train/objects_"
MANY = 30
"""With more runs than this, fewer epochs are drawn, and the file stays small."""


def learning(
    study: Study, found: Mapping[str, Sequence[Curves]], curve: str, *, label: str, scale: float = 1.0
) -> Drawing | None:
    """Return a logged value over epochs, or None if no run logged it; `scale` multiplies the values."""
    said = []
    runs = sum(map(len, found.values()))
    most = POINTS if runs <= MANY else max(12, POINTS * MANY // runs)
    with axes(2.7) as (figure, plot):
        for at, arm in enumerate(study.arms):
            logged = [one[curve] for one in found[arm.name] if one.get(curve)]
            if not logged:
                continue
            epochs, seeds = _aligned(logged)
            kept = np.unique(np.linspace(0, len(epochs) - 1, most).round().astype(int))
            epochs, seeds = epochs[kept], scale * seeds[:, kept]
            for one in seeds if len(seeds) > 1 else ():
                (thin,) = plot.plot(epochs, one, color=colour(at), linewidth=0.6, alpha=0.6)
                thin.set_gid(tag(at))
            mean = mean_of_known(seeds)
            (thick,) = plot.plot(
                epochs, mean, dash(at), color=colour(at), linewidth=1.8, label=arm.name, zorder=3
            )
            thick.set_gid(tag(at))
            last = mean[~np.isnan(mean)]
            said.append(f"{arm.name} ends at {last[-1]:.3g}" if len(last) else f"{arm.name} has no number")
        plot.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
        plot.set_xlabel("epoch")
        plot.set_ylabel(label)
        plot.grid(axis="y")
        legend(plot)
    if not said:
        return None
    return Drawing(
        figure,
        f"{label[0].upper()}{label[1:].partition(',')[0]} over epochs",
        f"{'; '.join(said)}.",
        "Thin: seeds; thick: their mean. Training only; the figures of the tables come from the best epoch.",
    )


def _aligned(logged: Sequence[Sequence[tuple[int, float]]]) -> tuple[Floats, Floats]:
    """Return the epochs (N,), counted from 1, and the values (S, N) of each run, NaN where it has none."""
    epochs = sorted({epoch for one in logged for epoch, _ in one})
    table = [dict(one) for one in logged]
    seeds = [[one.get(epoch, np.nan) for epoch in epochs] for one in table]
    return np.array(epochs, dtype=np.float64) + 1, np.array(seeds, dtype=np.float64)


def logged_sizes(found: Mapping[str, Sequence[Curves]]) -> list[str]:
    """Return the size bins, smallest first, that some run trained with objects and counted."""
    lows: dict[str, int] = {}
    for runs in found.values():
        for run in runs:
            for name, values in run.items():
                if name.startswith(_OBJECTS) and any(count > 0 for _, count in values):
                    size = name.removeprefix(_OBJECTS)
                    lows[size] = int(size.split("_")[0])
    return sorted(lows, key=lambda size: lows[size])[:TELEMETRY]


def unassigned(study: Study, found: Mapping[str, Sequence[Curves]], size: str) -> Drawing | None:
    """Return the share of a bin's training objects to which the loss assigned no prediction, over epochs."""
    shares = {
        arm: [{"share": _shares(run, size)} for run in runs if f"{_OBJECTS}{size}" in run]
        for arm, runs in found.items()
    }
    low, high = size.split("_")
    word = f"{low}+ px" if high == "up" else f"{low}\N{EN DASH}{high} px"
    drawing = learning(study, shares, "share", label=f"unassigned, percent, {word}", scale=100)
    if drawing is None:
        return None
    caption = (
        f"Share of the training objects of {word} to which the loss assigned no prediction: the network "
        "cannot learn from them."
    )
    return replace(drawing, title=f"Objects without a positive prediction, {word}", caption=caption)


def _shares(run: Curves, size: str) -> list[tuple[int, float]]:
    objects = dict(run[f"{_OBJECTS}{size}"])
    without = dict(run.get(f"train/unassigned_{size}", []))
    return [
        (epoch, without[epoch] / count)
        for epoch, count in sorted(objects.items())
        if count and epoch in without
    ]
