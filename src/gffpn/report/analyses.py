"""The analyses of a study's runs, by arm, and what is averaged or compared over them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from gffpn.metrics.matching import Floats
from gffpn.runs.folder import RunFolder
from gffpn.stats.analysis import CURVE_REPLICATES, Analysis, kept_analysis
from gffpn.stats.bands import Band, Curves, band
from gffpn.stats.detection_curve import ArmCurve, arm_curve
from gffpn.stats.draws import draws
from gffpn.stats.study import Contrast, Run, Study

FEW = 5
"""Size bins with fewer test objects are left out of comparisons of errors."""


@dataclass(frozen=True)
class Analysed:
    """One finished run with the analysis of its predictions."""

    run: Run
    analysis: Analysis


@dataclass
class Analyses:
    """The analysed runs of each arm, in the order of the study's arms, and what is computed once for all."""

    study: Study

    arms: tuple[tuple[Analysed, ...], ...]
    notes: tuple[str, ...]
    """One line for each run whose predictions cannot be read."""

    def __post_init__(self) -> None:
        self._explored: dict[str, tuple[Contrast, ...]] = {}

    def explored(self, endpoint: str) -> tuple[Contrast, ...]:
        """Return the study's contrasts on another endpoint."""
        if endpoint not in self._explored:
            self._explored[endpoint] = self.study.explore(endpoint)
        return self._explored[endpoint]

    @cached_property
    def curves(self) -> dict[int, ArmCurve]:
        """Probability of detection of each arm, by its position; none if the runs' sides differ."""
        return _detection_curves(self)

    @property
    def same_images(self) -> bool:
        """True if all runs were tested on the same images, so that their errors can be compared."""
        return len({one.analysis.groups for arm in self.arms for one in arm}) == 1


def read_analyses(study: Study) -> Analyses:
    """Return the analyses of a study's finished runs; the first time, each is computed and kept."""
    notes: list[str] = []
    return Analyses(study, tuple(tuple(_analysed(arm.runs, notes)) for arm in study.arms), tuple(notes))


def _analysed(runs: Sequence[Run], notes: list[str]) -> list[Analysed]:
    found = []
    for run in runs:
        if run.record and run.path:
            try:
                found.append(Analysed(run, kept_analysis(RunFolder(run.path), run.record)))
            except ValueError as error:
                notes.append(str(error))
    return found


def _detection_curves(analyses: Analyses) -> dict[int, ArmCurve]:
    runs = [one.analysis for arm in analyses.arms for one in arm]
    if not runs or not analyses.same_images:
        return {}
    sides = runs[0].sides
    if any(one.curve is None or one.sides.shape != sides.shape or (one.sides != sides).any() for one in runs):
        return {}
    images = len(set(runs[0].groups))
    return {
        at: arm_curve([one.analysis.curve for one in arm if one.analysis.curve], sides, images=images)
        for at, arm in enumerate(analyses.arms)
        if arm
    }


@dataclass(frozen=True)
class ErrorDifferences:
    """Errors of arm A minus those of arm B, per 100 objects of a size bin, by type."""

    bins: tuple[int, ...]
    """Positions of the bins that are compared."""
    bands: tuple[Band, ...]
    """(6,) over the bins, in the order of ErrorType; the ends hold for all bins of a type together."""


def error_differences(analyses: Analyses, a: int, b: int) -> ErrorDifferences | None:
    """Return how the errors of two arms differ, or None where they cannot be compared."""
    arms = [analyses.arms[at] for at in (a, b)]
    runs = [one.analysis for arm in arms for one in arm]
    if not all(arms) or not analyses.same_images or any(one.errors is None for one in runs):
        return None
    counts = [[one.analysis.errors for one in arm if one.analysis.errors] for arm in arms]
    objects = counts[0][0].objects
    if any(one.objects.shape != objects.shape for arm in counts for one in arm):
        return None
    bins = np.flatnonzero(objects.sum(axis=0) >= FEW)
    if not bins.size:
        return None
    groups = runs[0].groups
    weights = draws(groups, CURVE_REPLICATES).T.astype(np.float64)
    weights = np.concatenate([np.ones_like(weights[:1]), weights])
    each = [
        np.stack([_per_object(one.errors[:, :, bins], objects[:, bins], weights) for one in arm])
        for arm in counts
    ]
    made = []
    for kind in range(each[0].shape[2]):
        one, other = (Curves(rates[:, 0, kind], rates[:, 1:, kind]) for rates in each)
        made.append(band(one, other, images=len(set(groups))))
    return ErrorDifferences(tuple(map(int, bins)), tuple(made))


def _per_object(errors: Floats, objects: Floats, weights: Floats) -> Floats:
    """Return errors per 100 objects (1 + B, 6, bins) from counts per image (N, 6, bins) and (N, bins)."""
    total = (weights @ errors.reshape(len(errors), -1)).reshape(len(weights), *errors.shape[1:])
    return 100 * total / np.maximum(weights @ objects, 1)[:, None]
