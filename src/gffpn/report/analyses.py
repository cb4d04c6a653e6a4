"""The analyses of a study's runs, by arm, and what is averaged or compared over them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from gffpn.runs.folder import RunFolder
from gffpn.runs.reading import Curves as LoggedCurves
from gffpn.runs.reading import curves as logged_curves
from gffpn.stats.analysis import CURVE_REPLICATES, Analysis, kept_analysis
from gffpn.stats.bands import Band, Curves, band
from gffpn.stats.comparable import unvaried_difference
from gffpn.stats.detection_curve import ArmCurve, arm_curve, curves
from gffpn.stats.draws import draws
from gffpn.stats.error_types import ErrorType
from gffpn.stats.rates import error_rates
from gffpn.stats.runs import Run
from gffpn.stats.study import Contrast, Study

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
    logged: Mapping[str, Sequence[LoggedCurves]]
    """The logged curves of the runs that have a folder, by the name of the arm."""
    notes: tuple[str, ...]
    """One line for each run whose predictions or whose log cannot be read."""

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

    @cached_property
    def detection_differences(self) -> dict[int, Band]:
        """Probability of detection of each other arm minus that of the first arm with a curve."""
        if len(self.curves) < 2:
            return {}
        runs = {at: [one.analysis.curve for one in self.arms[at] if one.analysis.curve] for at in self.curves}
        first, *others = runs
        images = len(set(self.arms[first][0].analysis.groups))
        return {
            at: band(curves(runs[at]), curves(runs[first]), images=images)
            for at in others
            if self.comparable(at, first)
        }

    def comparable(self, a: int, b: int) -> bool:
        """Return whether two arms, by position, are not the same and were trained alike but for settings."""
        one, other = self.study.arms[a], self.study.arms[b]
        return not (one.folders & other.folders or unvaried_difference(one, other))

    @property
    def same_images(self) -> bool:
        """True if all runs were tested on the same images and objects: their errors can be compared."""
        return len({one.analysis.truth for arm in self.arms for one in arm}) == 1


def read_analyses(study: Study) -> Analyses:
    """Return the analyses of a study's finished runs; the first time, each is computed and kept."""
    notes: list[str] = []
    arms = tuple(tuple(_analysed(arm.runs, notes)) for arm in study.arms)
    logged = {arm.name: _logged(arm.runs, notes) for arm in study.arms}
    return Analyses(study, arms, logged, tuple(notes))


def _logged(runs: Sequence[Run], notes: list[str]) -> list[LoggedCurves]:
    found = []
    for path in (run.path for run in runs if run.path):
        try:
            found.append(logged_curves(path))
        except ValueError as error:
            notes.append(str(error))
    return found


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


def one_class(study: Study) -> bool:
    """Return whether the data of all finished runs have a single class."""
    records = [record for arm in study.arms for record in arm.records]
    return bool(records) and all(len(record.data.classes) == 1 for record in records)


def possible_errors(study: Study) -> tuple[ErrorType, ...]:
    """Return the types of error that the data allow: of a single class, no detection has a wrong one."""
    wrong_class = (ErrorType.CLASSIFICATION, ErrorType.BOTH) if one_class(study) else ()
    return tuple(kind for kind in ErrorType if kind not in wrong_class)


@dataclass(frozen=True)
class ErrorDifferences:
    """Errors of arm A minus those of B by type and size bin: per 100 images, missed ones per 100 objects."""

    bins: tuple[int, ...]
    """Positions of the bins that are compared."""
    bands: tuple[Band, ...]
    """(6,) over the bins, in the order of ErrorType; the ends hold for all bins of a type together."""


def error_differences(analyses: Analyses, a: int, b: int) -> ErrorDifferences | None:
    """Return how the errors of two arms differ, or None where they cannot be compared."""
    arms = [analyses.arms[at] for at in (a, b)]
    runs = [one.analysis for arm in arms for one in arm]
    counts = [[one.analysis.errors for one in arm if one.analysis.errors] for arm in arms]
    if not all(counts) or sum(map(len, counts)) < len(runs) or not analyses.same_images:
        return None
    if not analyses.comparable(a, b):
        return None
    objects = counts[0][0].objects
    if any(not np.array_equal(one.objects, objects) for arm in counts for one in arm):
        return None
    bins = np.flatnonzero(objects.sum(axis=0) >= FEW)
    if not bins.size:
        return None
    groups = runs[0].groups
    weights = draws(groups, CURVE_REPLICATES).T.astype(np.int64)
    one, other = (error_rates(arm, weights) for arm in counts)
    made = []
    for kind in range(len(ErrorType)):
        at = kind * objects.shape[1] + bins
        parts = [
            Curves(100 * rates.points[:, at], 100 * rates.replicates[:, :, at]) for rates in (one, other)
        ]
        made.append(band(*parts, images=len(set(groups))))
    return ErrorDifferences(tuple(map(int, bins)), tuple(made))
