"""How far runs differ by luck on small test sets: the table and the figure of `gffpn luck`."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gffpn.files.tables import markdown_table
from gffpn.files.writing import write_atomically
from gffpn.metrics.matching import Floats
from gffpn.report.answer import interval, margin_words, points
from gffpn.report.figures.canvas import save
from gffpn.report.figures.luck import histograms
from gffpn.report.seeds import check_equal_images, data_line, note_lines, tested
from gffpn.report.which import difference_name
from gffpn.stats.small_tests import Luck, figures_on, luck, small_sets
from gffpn.stats.study import Study


def luck_of(study: Study, *, objects: int, sets: int) -> list[Luck]:
    """Return how runs of a study differ on small test sets, drawn alike for all of them.

    Raises ValueError if the runs were tested on different images.
    """
    check_equal_images(study)
    drawn = None
    runs: dict[str, list[tuple[Floats, float]]] = {arm.name: [] for arm in study.arms}
    for arm in study.arms:
        for test, max_detections in tested(arm):
            drawn = small_sets(test, objects, sets) if drawn is None else drawn
            runs[arm.name].append(figures_on(test, drawn, max_detections=max_detections))
    return luck(runs, [(one.a.name, one.b.name) for one in study.contrasts])


def name_of(one: Luck) -> str:
    """Return what is compared, in words."""
    a, b = one.pair
    return f"{a}, two seeds" if a == b else difference_name(a, b)


def luck_cells(found: Sequence[Luck], marks: Sequence[float]) -> tuple[list[str], list[list[str]]]:
    """Return the head and the rows of the table, in percent points; `marks` are shares."""
    head = ["runs", "all images", "on small sets: sd", "95 % of them"]
    head += [f"luck of \N{PLUS-MINUS SIGN}{margin_words(mark)} or more" for mark in marks]
    rows = []
    for one in found:
        low, high = np.percentile(one.differences, [2.5, 97.5])
        rows.append(
            [
                name_of(one),
                points(one.whole, sign=True),
                f"{100 * one.differences.std():.1f}",
                interval(low, high),
                *(f"{100 * one.beyond(mark):.0f} %" for mark in marks),
            ]
        )
    return head, rows


def write_luck(
    folder: Path, study: Study, found: Sequence[Luck], *, objects: int, sets: int, marks: Sequence[float]
) -> list[Path]:
    """Write the table as Markdown and the figure as SVG; return the files."""
    head, rows = luck_cells(found, marks)
    title = f"# {study.name}: how far runs differ by luck on small test sets"
    said = [caption(objects, sets), data_line(study), *note_lines(study)]
    page = "\n\n".join([title, *said, markdown_table(head, rows)])
    files = [folder / "luck.md", folder / "luck.svg"]
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(files[0], page + "\n")
    save(histograms(found, [name_of(one) for one in found], objects, marks), files[1], "svg")
    return files


def caption(objects: int, sets: int) -> str:
    """Return what the table shows."""
    return (
        f"Differences in mAP50, percent points, between two runs on each of {sets} small test sets of about "
        f"{objects} objects, drawn from the test images. All images: the mean difference on the whole test "
        "set; two seeds of one arm, taken in both orders, differ by luck alone. Luck: the share of the "
        "differences that are so far from it; for two arms, the luck of that mean is not part of it. As the "
        "sets are drawn from one larger set, they vary a little less than independent ones."
    )
