"""Tables of the operating point: rates per arm, confusion of classes, and what errors cost."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gffpn.figures import Figure
from gffpn.report.analyses import Analysed, Analyses, possible_errors
from gffpn.report.page.tables import Line, Table, spread_cell
from gffpn.stats.study import Study

_NO_CLEAN = "; n/a, because every test image has an object"
MOST_CLASSES = 12
"""A confusion matrix of more classes than this is unreadable on a page."""


def rates_table(study: Study, analyses: Analyses) -> Table | None:
    """Return precision, recall, F1, escapes and overkill of each arm at the operating point chosen on val."""
    found: dict[str, Callable[[Analysed], Figure]] = {
        "threshold": lambda one: _of(one, "threshold"),
        "precision": lambda one: _rate(one, "precision"),
        "recall": lambda one: _rate(one, "recall"),
        "F1": lambda one: _rate(one, "F1"),
        "escapes": lambda one: one.analysis.images.escape_rate() if one.analysis.images else None,
        "incomplete": lambda one: one.analysis.images.missed_object_rate() if one.analysis.images else None,
        "overkill": lambda one: one.analysis.images.overkill_rate() if one.analysis.images else None,
    }
    lines = []
    for at, (arm, runs) in enumerate(zip(study.arms, analyses.arms, strict=True)):
        if runs:
            columns = [[value(one) for one in runs] for value in found.values()]
            lines.append(Line((at,), arm.name, tuple(map(spread_cell, columns))))
    if not lines:
        return None
    images = next((one.analysis.images for arm in analyses.arms for one in arm if one.analysis.images), None)
    defective, clean = (int(images.defective.sum()), int(images.clean.sum())) if images else (0, 0)
    below = ("score, %", "", "", "", f"n={defective:,}", f"n={defective:,}", f"n={clean:,}")
    notes = (
        "At IoU 0.5 and the score threshold with the best F1 on val. Escapes: images with objects and no "
        "detection at all. Incomplete: images with objects of which at least one is missed. Overkill: images "
        f"without objects that have a detection{'' if clean or not images else _NO_CLEAN}.",
    )
    headers = tuple(zip(found, below, strict=True))
    return Table(
        "Operating point: mean ± standard deviation (seeds), percent", "arm", headers, tuple(lines), notes
    )


def _of(one: Analysed, name: str) -> Figure:
    point = one.run.record.operating_point if one.run.record else None
    return getattr(point, name) if point else None


def _rate(one: Analysed, name: str) -> Figure:
    test = _of(one, "test")
    return getattr(test, name) if test else None


@dataclass(frozen=True)
class Confusion:
    """Mean counts over the seeds of an arm: rows are true classes, columns called ones."""

    arm: int
    name: str
    labels: tuple[str, ...]
    rows: tuple[tuple[tuple[str, float], ...], ...]
    """(K + 1, K + 1) of (count, share of the row)."""


def confusions(study: Study, analyses: Analyses) -> list[Confusion]:
    """Return the confusion matrix of each arm; none with many classes or none of one class."""
    found = []
    for at, (arm, runs) in enumerate(zip(study.arms, analyses.arms, strict=True)):
        counts = [one.analysis.confusion for one in runs if one.analysis.confusion is not None]
        classes = arm.records[0].data.classes if arm.records else ()
        if counts and len(classes) <= MOST_CLASSES and len({one.shape for one in counts}) == 1:
            mean = np.mean(counts, axis=0)
            share = mean / np.maximum(mean.sum(axis=1, keepdims=True), 1)
            rows = tuple(
                tuple(
                    (f"{count:.0f}" if len(counts) == 1 else f"{count:.1f}", float(part))
                    for count, part in zip(*row, strict=True)
                )
                for row in zip(mean, share, strict=True)
            )
            found.append(Confusion(at, arm.name, (*classes, "background"), rows))
    return found


def gains_table(study: Study, analyses: Analyses) -> Table | None:
    """Return what mAP50 would gain, per arm, if all errors of a type were corrected."""
    lines, kinds = [], possible_errors(study)
    for at, (arm, runs) in enumerate(zip(study.arms, analyses.arms, strict=True)):
        if runs:
            each = np.stack([one.analysis.gains[list(kinds)] for one in runs])
            lines.append(
                Line((at,), arm.name, tuple(spread_cell(list(map(_known, column))) for column in each.T))
            )
    if not lines:
        return None
    headers = tuple((kind.name.lower(), "") for kind in kinds)
    notes = (
        "TIDE's definition: the gain in mAP50 if all errors of one type were corrected, over all thresholds. "
        "The gains of the types do not add up.",
    )
    return Table(
        "What errors cost: points of mAP50, mean ± standard deviation (seeds)",
        "arm",
        headers,
        tuple(lines),
        notes,
    )


def _known(value: float) -> Figure:
    return None if np.isnan(value) else float(value)
