"""Studies with several seeds, and the predictions of their runs, for tables besides the report."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace

from gffpn.report.caption import data_words, shortened
from gffpn.report.study_rows import root_of
from gffpn.report.which import difference_name
from gffpn.runs.folder import RunFolder
from gffpn.runs.predictions import Predictions, read_predictions
from gffpn.stats.runs import Arm
from gffpn.stats.study import Study


def with_seeds(studies: Sequence[Study]) -> list[Study]:
    """Return the studies with their arms of two seeds or more, after their notes and a line on other studies.

    Their contrasts are those that have an interval on mAP50. Raises ValueError if no study is left.
    """
    able = []
    for study in map(_with_intervals, studies):
        for note in study.notes:
            print(f"NOTE: {study.name}: {note}")
        if study.arms:
            able.append(study)
        elif len(studies) > 1:
            print(f"NOTE: {study.name}: left out, as no arm has two finished runs")
    if not able:
        names = ", ".join(study.name for study in studies)
        raise ValueError(f"{names}: no arm has two finished runs, expected two seeds or more")
    return able


def _with_intervals(study: Study) -> Study:
    """Return a study without the arms and the contrasts that have no interval, each named in a note."""
    arms = {arm.name: arm for arm in study.arms if len(arm.replicates) > 1}
    notes = [
        f"{arm.name}: left out, as it has fewer than two finished runs with predictions"
        for arm in study.arms
        if arms and arm.name not in arms
    ]
    explored = [one for one in study.explore("mAP50") if one.a.name in arms and one.b.name in arms]
    notes += [
        f"{difference_name(one.a.name, one.b.name)}: left out: {one.reason}"
        for one in explored
        if not one.estimate
    ]
    contrasts = tuple(one for one in explored if one.estimate)
    return replace(study, arms=tuple(arms.values()), contrasts=contrasts, notes=(*study.notes, *notes))


@contextmanager
def naming(study: Study) -> Iterator[None]:
    """Put the name of a study before the message of a ValueError that the block raises."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{study.name}: {error}") from error


def check_equal_images(study: Study) -> None:
    """Raise ValueError unless all runs of a study were tested on the same images."""
    if len({one.truth for arm in study.arms for one in arm.replicates}) > 1:
        raise ValueError(
            "the runs were tested on different images, or on images of different sizes; give the folders of "
            "those that were tested on the same ones"
        )


def data_line(study: Study) -> str:
    """Return on which data the runs of a study were tested, whether they are simulated, and their number."""
    names = {data_words(run.record, root_of(run)) for arm in study.arms for run in arm.runs if run.record}
    of_count: dict[int, list[str]] = {}
    for arm in study.arms:
        of_count.setdefault(len(arm.replicates), []).append(arm.name)
    counts = [
        f"{count} ({shortened(arms)})" if len(of_count) > 1 else str(count)
        for count, arms in sorted(of_count.items())
    ]
    return f"Data: {', '.join(sorted(names))}. Runs per arm: {', '.join(counts)}."


def note_lines(study: Study) -> list[str]:
    """Return the notes of a study, as paragraphs of a page."""
    return [f"NOTE: {note}." for note in study.notes]


def tested(arm: Arm) -> Iterator[tuple[Predictions, int]]:
    """Yield the test predictions of each finished run that has them, and its limit of detections."""
    for run in arm.runs:
        if run.record and run.path:
            # a run whose file is missing or damaged is named in the study's notes
            with suppress(ValueError):
                yield read_predictions(RunFolder(run.path).predictions)["test"], run.record.max_detections
