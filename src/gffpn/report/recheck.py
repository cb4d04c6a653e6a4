"""Figures and verdicts of a bundle, computed again from its predictions alone."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from gffpn.report.bundle import StoredVerdict, verdicts_of
from gffpn.report.collect import Source
from gffpn.runs.folder import RunFolder
from gffpn.runs.predictions import read_predictions
from gffpn.runs.record import read_record
from gffpn.runs.verify import differences
from gffpn.stats.study import Study

TOLERANCE = 1e-9
"""Largest difference that counts as agreement, in shares."""


@dataclass(frozen=True)
class Figures:
    """Figures of finished runs, compared with what their predictions give."""

    runs: int
    count: int
    agreeing: int
    faults: tuple[str, ...]
    """A line for each figure that differs, and for each run whose predictions cannot be read."""


def check_figures(sources: Sequence[Source]) -> Figures:
    """Compute the figures of every finished run again, from its predictions alone."""
    paths = dict.fromkeys(run.path for source in sources for run in source.runs if run.record and run.path)
    count, differing, unreadable = 0, list[str](), list[str]()
    for path in paths:
        folder = RunFolder(path)
        try:
            compared, lines = differences(read_record(folder.metrics), read_predictions(folder.predictions))
        except ValueError as error:
            unreadable.append(str(error).replace(f"{path.parent}/", ""))  # a folder that will be gone
            continue
        count += compared
        differing += [f"{path.name}: {line}" for line in lines]
    return Figures(len(paths), count, count - len(differing), (*differing, *unreadable))


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


def missing_verdicts(stored: Sequence[StoredVerdict], studies: Sequence[Study]) -> list[str]:
    """Return a line for each verdict that follows from the predictions but is not stored."""
    known = {(one.study, one.contrast, one.endpoint) for one in stored}
    return [
        f"{one.study}: {one.contrast}: stored is nothing, computed is {_words(one)}"
        for one in verdicts_of(studies)
        if one.word and (one.study, one.contrast, one.endpoint) not in known
    ]


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
