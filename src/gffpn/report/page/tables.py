"""Tables of the page: arms, classes, contrasts and exploratory differences, as cells with sorting values."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from gffpn.figures import Figure
from gffpn.report.analyses import Analyses
from gffpn.report.answer import contrast_cells, interval, points, spread_words
from gffpn.report.figures.sizes import bins, size_word
from gffpn.report.paper import paper_classes, paper_row
from gffpn.report.table import decimals
from gffpn.report.timing import doubt_in_study, minutes_compare, speeds_compare
from gffpn.report.which import difference_name
from gffpn.runs.record import Record
from gffpn.stats.runs import Arm
from gffpn.stats.study import Study

MOST_CLASSES = 20
"""With more classes than this, differences by class are left out."""


@dataclass(frozen=True)
class Cell:
    """One cell of a table."""

    text: str
    value: float | None = None
    """By which rows are sorted; None for words, which are sorted as text."""
    wraps: bool = False
    """True for words that may take several lines on a small screen."""


@dataclass(frozen=True)
class Line:
    """One row of a table and the paper's row beneath it, if there is one."""

    arms: tuple[int, ...]
    """Positions of the arms that the row is about."""
    name: str
    cells: tuple[Cell, ...]
    paper: tuple[str, ...] = ()
    mark: str = ""
    """Class of the row's style, such as the word of a verdict."""


@dataclass(frozen=True)
class Table:
    """A table whose first column names what a row is about."""

    caption: str
    first: str
    headers: tuple[tuple[str, str], ...]
    """(name, what stands below it: a number of objects, a unit)"""
    lines: tuple[Line, ...]
    notes: tuple[str, ...] = field(default=())


def arms_table(study: Study) -> Table:
    """Return a row per arm: mean ± sd (n) of average precision in percent, and costs."""
    sizes = bins(study)
    objects = {record.test.objects for arm in study.arms for record in arm.records}
    count = f"n={objects.pop():,}" if len(objects) == 1 else ""
    shown = {"mAP50": ("mAP50", count), "mAP50_95": ("mAP50-95", count)}
    shown |= {f"AP_{one.name}": (f"AP {size_word(one)} px", f"n={one.objects:,}") for one in sizes}
    papers = {arm.name: _paper(study, arm) for arm in study.arms}
    if any(papers.values()):
        shown["AP50_paper"] = ("AP50", "their rule")
    headers = (("seeds", ""), *shown.values(), ("params", "M"), ("GFLOPs", ""), ("FPS", "network"))
    lines = []
    fps = speeds_compare(study)
    for at, arm in enumerate(study.arms):
        done, asked = len(arm.records), len(arm.runs)
        seeds = Cell(str(done) if done == asked else f"{done} of {asked}", done)
        costs = [_costs(arm.records, fps=fps)[name] for name in ("params", "GFLOPs", "FPS network")]
        cells = (seeds, *(spread_cell(arm.figures(name)) for name in shown), *costs)
        beside = papers[arm.name]
        row = ("1", *(points(beside[name]) if name in beside else "" for name in shown)) if beside else ()
        padded = (*row, *[""] * (len(headers) - len(row))) if row else ()
        lines.append(Line((at,), arm.name, cells, padded))
    return Table("Arms: mean ± standard deviation (seeds), percent", "arm", headers, tuple(lines))


def _paper(study: Study, arm: Arm) -> dict[str, float]:
    table = study.question.paper_table
    return (paper_row(table, arm.records[0].columns()) or {}) if table and arm.records else {}


def spread_cell(values: Sequence[Figure]) -> Cell:
    """Return the mean ± sd (n) of shares, sorted by the mean."""
    known = [value for value in values if value is not None]
    return Cell(spread_words(values), statistics.mean(known) if known else None)


def costs_table(study: Study) -> Table:
    """Return what each arm costs, and its share in the neck."""
    fps, minutes = speeds_compare(study), minutes_compare(study)
    rows = [
        (at, arm.name, _costs(arm.records, fps=fps, minutes=minutes))
        for at, arm in enumerate(study.arms)
        if arm.records
    ]
    lines = tuple(Line((at,), name, tuple(costs.values())) for at, name, costs in rows)
    headers = (
        ("params", "M"),
        ("of the neck", "M"),
        ("GFLOPs", "2 x MAC"),
        ("of the neck", "2 x MAC"),
        ("FPS", "network"),
        ("FPS", "with decoding"),
        ("minutes", "of training"),
    )
    doubt = "" if minutes else " Minutes are left out: the runs differ in device, threads or neighbours."
    doubt += "" if fps else f" Left out (n/a): {doubt_in_study(study)}."
    return Table("Cost by arm", "arm", headers, lines, (f"FPS and minutes: medians over the seeds.{doubt}",))


def _costs(records: Sequence[Record], *, fps: bool, minutes: bool = False) -> dict[str, Cell]:
    """Return the costs of an arm: those of its first run, and medians of what was timed.

    Without `fps` or `minutes`, these are left out, because they do not compare.
    """
    if not records:
        return dict.fromkeys(("params", "GFLOPs", "FPS network"), Cell(""))
    cost = records[0].cost
    exact = {
        "params": cost.params_m,
        "neck params": cost.params_neck / 1e6,
        "GFLOPs": cost.gflops,
        "neck GFLOPs": cost.gflops_neck,
    }
    timed = {
        "FPS network": [one.speed.fps_forward for one in records if one.speed and fps],
        "FPS with decoding": [one.speed.fps_end_to_end for one in records if one.speed and fps],
        "minutes": [one.training.minutes for one in records if minutes],
    }
    cells = {name: Cell(decimals(2)(value), value) for name, value in exact.items()}
    for name, values in timed.items():
        median = statistics.median(values) if values else None
        cells[name] = Cell(decimals(1)(median), median)
    return cells


def classes_table(study: Study) -> Table | None:
    """Return AP50 of each class by arm, in the order of the paper where its table is named.

    None for a single class, and if the runs' classes differ.
    """
    records = [record for arm in study.arms for record in arm.records]
    if len({record.data.classes for record in records}) != 1:
        return None
    counts = {one.name: one.objects for one in records[0].test.classes}
    table = study.question.paper_table
    if len(counts) == 1 and not table:  # its AP50 is mAP50
        return None
    first = [name for name in (paper_classes(table) if table else ()) if name in counts]
    names = [*first, *(name for name in counts if name not in first)]
    lines = []
    for at, arm in enumerate(study.arms):
        if arm.records:
            beside = _paper(study, arm)
            paper = tuple(points(beside[name]) if name in beside else "" for name in names)
            cells = tuple(spread_cell(arm.figures(f"AP50/{name}")) for name in names)
            lines.append(Line((at,), arm.name, cells, paper if any(paper) else ()))
    return Table(
        "AP50 by class: mean ± standard deviation (seeds), percent",
        "arm",
        tuple((name, f"n={counts[name]:,}") for name in names),
        tuple(lines),
    )


def contrasts_table(study: Study) -> Table | None:
    """Return a row per contrast on the primary endpoint, or None without contrasts."""
    if not study.contrasts:
        return None
    headers, body = contrast_cells(study)
    position = {arm.name: at for at, arm in enumerate(study.arms)}
    lines = []
    for contrast, (_, delta, word, needed, *rest) in zip(study.contrasts, body, strict=True):
        name = difference_name(contrast.a.name, contrast.b.name)
        value = contrast.estimate.delta if contrast.estimate else None
        mark = contrast.verdict.word.replace(" ", "-") if contrast.verdict else "no-verdict"
        arms = position[contrast.a.name], position[contrast.b.name]
        words = (Cell(word, wraps=True), Cell(needed, wraps=True))
        lines.append(Line(arms, name, (Cell(delta, value), *words, *map(Cell, rest)), mark=mark))
    return Table(
        f"Contrasts on {study.question.primary_endpoint}, percent points",
        headers[0],
        tuple((header, "") for header in headers[1:]),
        tuple(lines),
    )


def exploratory_table(study: Study, analyses: Analyses) -> Table | None:
    """Return the differences of each contrast on the other endpoints, with intervals and without verdicts."""
    shown = {"mAP50": ("mAP50", ""), "mAP50_95": ("mAP50-95", "")}
    shown |= {f"AP_{one.name}": (f"AP {size_word(one)} px", f"n={one.objects:,}") for one in bins(study)}
    records = [record for arm in study.arms for record in arm.records]
    if records and 1 < len(records[0].test.classes) <= MOST_CLASSES:
        shown |= {f"AP50/{one.name}": (one.name, f"n={one.objects:,}") for one in records[0].test.classes}
    shown.pop(study.question.primary_endpoint, None)
    found = [analyses.explored(name) for name in shown]
    if not any(contrast.estimate for column in found for contrast in column):
        return None
    position = {arm.name: at for at, arm in enumerate(study.arms)}
    lines = []
    for row in zip(*found, strict=True):
        cells = []
        for contrast in row:
            one = contrast.estimate
            text = f"{points(one.delta, sign=True)} ({interval(*one.interval())})" if one else contrast.reason
            cells.append(Cell(text, one.delta if one else None))
        arms = position[row[0].a.name], position[row[0].b.name]
        lines.append(Line(arms, difference_name(row[0].a.name, row[0].b.name), tuple(cells)))
    caption = (
        "Exploratory: differences on other endpoints, percent points, each with the 95 % interval of this "
        "difference by itself"
    )
    note = (
        "The intervals of the figure by size hold for all sizes of a contrast together, so they are wider. "
        "Among many intervals of single differences, some exclude 0 by chance."
    )
    return Table(caption, "contrast", tuple(shown.values()), tuple(lines), (note,))
