"""Figures and verdicts of a bundle, computed again from its predictions alone."""

import math
from collections.abc import Sequence

from gffpn.report.bundle import StoredVerdict, verdicts_of
from gffpn.report.collect import Source
from gffpn.runs.folder import RunFolder
from gffpn.runs.predictions import read_predictions
from gffpn.runs.verify import differences
from gffpn.stats.study import Study

TOLERANCE = 1e-9
"""Largest difference that counts as agreement, in shares."""


def check_figures(sources: Sequence[Source]) -> tuple[int, int, list[str]]:
    """Return how many runs and figures were computed again from predictions alone, and a line per fault."""
    runs, figures, faults = 0, 0, []
    for run in (run for source in sources for run in source.runs):
        if run.record and run.path:
            count, lines = differences(run.record, read_predictions(RunFolder(run.path).predictions))
            runs, figures = runs + 1, figures + count
            faults += [f"{run.path.name}: {line}" for line in lines]
    return runs, figures, faults


def check_verdicts(stored: Sequence[StoredVerdict], studies: Sequence[Study]) -> list[str]:
    """Return a line for each stored verdict that does not follow from the predictions."""
    now = {(one.study, one.contrast, one.endpoint): one for one in verdicts_of(studies)}
    faults = []
    for one in stored:
        key = (one.study, one.contrast, one.endpoint)
        found = now.get(key)
        if found is None or not _agree(one, found):
            words = "nothing" if found is None else _words(found)
            faults.append(f"{one.study}: {one.contrast}: stored is {_words(one)}, computed is {words}")
    return faults


def _agree(one: StoredVerdict, other: StoredVerdict) -> bool:
    pairs = [(getattr(one, name), getattr(other, name)) for name in ("delta", "low", "high", "p")]
    return one.word == other.word and all(
        a == b or (a is not None and b is not None and math.isclose(a, b, rel_tol=1e-6, abs_tol=TOLERANCE))
        for a, b in pairs
    )


def _words(one: StoredVerdict) -> str:
    if one.delta is None:
        return "no verdict"
    return f"{one.word or 'no verdict'} ({one.delta:+.6f}, p {one.p})"
