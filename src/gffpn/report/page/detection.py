"""Table of the probability of detection: sides, floor and ceiling per arm, and how the arms differ."""

from collections.abc import Mapping

import numpy as np

from gffpn.metrics.matching import Floats
from gffpn.report.analyses import Analyses
from gffpn.report.answer import interval, points
from gffpn.report.caption import shortened
from gffpn.report.figures.sizes import reached_word
from gffpn.report.page.tables import Cell, Line, Table
from gffpn.stats.bands import Band
from gffpn.stats.study import Study

_NOTES = (
    "a50, a90: side from which on 50 and 90 % of the objects are found; a90/95: the same for the lower end "
    "of the band; over: no side of the test objects does it; under: all do. Floor: hits by chance. Ceiling: "
    "share of large objects that are found, which the curve need not reach at the largest side.",
    "It is not the recall of the operating point: a hit is a detection whose centre lies in the object's "
    "box, at another threshold (0.1 false calls per image on val) and without a bound on IoU.",
)


def detection_table(study: Study, analyses: Analyses) -> Table | None:
    """Return the sides from which on 50 and 90 % of the objects are found, per arm, and floor and ceiling.

    With several arms, the share that is found at the largest side is compared with that of the first arm.
    """
    curves, bands = analyses.curves, analyses.detection_differences
    if not curves:
        return None
    lines = []
    for at, one in curves.items():
        cells = [_side(side, one.sides) for side in (one.a50, one.a90, one.a90_95)]
        cells += [_share(value) for value in (one.floor, one.ceiling)]
        if bands:
            cells += [_share(float(one.band.value[-1])), _difference(bands.get(at))]
        lines.append(Line((at,), study.arms[at].name, tuple(cells)))
    headers = [("a50", "px"), ("a90", "px"), ("a90/95", "px"), ("floor", "%"), ("ceiling", "%")]
    notes: tuple[str, ...] = _NOTES
    if bands:
        first, sides = next(iter(curves)), curves[next(iter(curves))].sides
        name = study.arms[first].name
        headers += [(f"at {sides[-1]:.0f} px", "%"), (f"minus {name}", "points (95 % interval)")]
        names = {at: study.arms[at].name for at in curves}
        notes = (*_NOTES, *_compared(bands, names, name, sides))
    return Table("Probability of detection, by arm", "arm", tuple(headers), tuple(lines), notes)


def _side(side: float | None, sides: Floats) -> Cell:
    return Cell(reached_word(side, sides), 1e9 if side is None else side)


def _share(value: float) -> Cell:
    return Cell(points(value), value)


def _difference(band: Band | None) -> Cell:
    """Return the difference at the largest side with the interval of this side by itself."""
    if band is None:
        return Cell("")
    value, low, high = (float(values[-1]) for values in (band.value, band.low, band.high))
    return Cell(f"{points(value, sign=True)} ({interval(low, high)})", value)


def _compared(bands: Mapping[int, Band], names: Mapping[int, str], first: str, sides: Floats) -> list[str]:
    """Return what the bands of the differences show, which hold for all sides of a difference together."""
    found = [
        f"{names[at]} finds {words}" for at, one in bands.items() if (words := _certain(one, first, sides))
    ]
    shown = (
        f"{shortened(found)}; else no difference is shown" if found else f"no difference to {first} is shown"
    )
    alone = all(one.seeds for one in bands.values())
    weights = "" if alone else " Where an arm has one seed, this is about these weights, not about the neck."
    return [
        f"Exploratory, over seeds and test images: by the 95 % bands of the differences to {first}, each of "
        f"which holds for all sides together, {shown}.{weights}"
    ]


def _certain(band: Band, first: str, sides: Floats) -> str:
    """Return at which sides the band excludes 0, and which arm finds more there; empty if it nowhere does."""
    parts = []
    for word, holds in (("more", band.lower > 0), ("less", band.upper < 0)):
        if holds.any():
            low, high = (f"{side:.1f}" for side in sides[np.flatnonzero(holds)[[0, -1]]])
            parts.append(f"{word} than {first} at {low if low == high else f'{low} to {high}'} px")
    return " and ".join(parts)
