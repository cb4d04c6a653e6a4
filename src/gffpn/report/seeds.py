"""Studies with several seeds, and the predictions of their runs, for tables besides the report."""

from collections.abc import Iterator, Sequence
from contextlib import suppress

from gffpn.report.caption import data_words
from gffpn.report.study_rows import root_of
from gffpn.runs.folder import RunFolder
from gffpn.runs.predictions import Predictions, read_predictions
from gffpn.stats.study import Arm, Study


def with_seeds(studies: Sequence[Study]) -> list[Study]:
    """Return the studies in which an arm has two seeds, after a line on each other one, and their notes.

    Raises ValueError if there is none.
    """
    able = []
    for study in studies:
        for note in study.notes:
            print(f"NOTE: {study.name}: {note}")
        if any(len(arm.replicates) > 1 for arm in study.arms):
            able.append(study)
        elif len(studies) > 1:
            print(f"NOTE: {study.name}: left out, as no arm has two finished runs")
    if not able:
        names = ", ".join(study.name for study in studies)
        raise ValueError(f"{names}: no arm has two finished runs, expected two seeds or more")
    return able


def data_line(study: Study) -> str:
    """Return on which data the runs of a study were tested, and whether they are simulated."""
    names = {data_words(run.record, root_of(run)) for arm in study.arms for run in arm.runs if run.record}
    return f"Data: {', '.join(sorted(names))}."


def tested(arm: Arm) -> Iterator[tuple[Predictions, int]]:
    """Yield the test predictions of each finished run that has them, and its limit of detections."""
    for run in arm.runs:
        if run.record and run.path:
            # a run whose file is missing or damaged is named in the study's notes
            with suppress(ValueError):
                yield read_predictions(RunFolder(run.path).predictions)["test"], run.record.max_detections
