"""Output files of a benchmark: all figures as CSV, readable tables as Markdown, and a plot."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from gffpn.benchmark.notes import notes
from gffpn.benchmark.picture import draw
from gffpn.benchmark.record import Record
from gffpn.files.tables import markdown_table, write_csv
from gffpn.files.writing import whole_file, write_atomically
from gffpn.report.table import decimals

Row = Mapping[str, Any]
Columns = Mapping[str, Callable[[Row], str]]


def number(key: str, count: int, row: Row, *, over: float = 1.0) -> str:
    """Return a figure, divided by `over`, with `count` decimals, or n/a if it is missing."""
    value = row[key]
    return decimals(count)(None if value is None else value / over)


def _number(key: str, count: int, *, over: float = 1.0) -> Callable[[Row], str]:
    return partial(number, key, count, over=over)


def _ratio(row: Row) -> str:
    ours, theirs = row["gflops"], row["paper_gflops"]
    return "n/a" if ours is None or theirs is None else f"{theirs / ours:.2f}"


def _form(row: Row) -> str:
    status = "" if row["status"] == "measured" else row["status"]
    return f"{row['form']} ({status})" if row["form"] and status else row["form"] or status


NAMES: Columns = {"neck": lambda row: row["neck"], "form": _form}
COSTS: Columns = {
    "reads": lambda row: row["reads"] or "n/a",
    "gives (stride:channels)": lambda row: row["gives"] or "n/a",
    "params M": _number("params", 2, over=1e6),
    "backbone M": _number("params_backbone", 2, over=1e6),
    "neck M": _number("params_neck", 2, over=1e6),
    "head M": _number("params_head", 2, over=1e6),
    "GFLOPs": _number("gflops", 2),
    "backbone G": _number("gflops_backbone", 2),
    "neck G": _number("gflops_neck", 2),
    "head G": _number("gflops_head", 2),
    "activations MiB": _number("activation_mib", 1),
    "allocator MiB": _number("allocator_mib", 1),
    "training MiB": _number("training_mib", 0),
}
TIMED_AS = {  # what was timed -> name in the table, decimals, name of images per second
    "forward": ("forward", 2, "FPS"),
    "end_to_end": ("end to end", 2, "FPS"),
    "batch": ("batch {batch}", 2, "images/s"),
    "batch_end_to_end": ("batch {batch}, end to end", 2, "images/s"),
    "training": ("training step", 1, "images/s"),
}
TIMES: Columns = {
    f"{name} {head}": _number(f"{what}_{key}", decimal)
    for what, (name, count, speed) in TIMED_AS.items()
    for head, key, decimal in (("ms", "ms", count), ("p95 ms", "p95_ms", count), (speed, "images_s", 1))
}
BESIDE_THE_PAPER: Columns = {
    "params M": _number("params", 2, over=1e6),
    "PAPER params M": _number("paper_params_m", 1),
    "GFLOPs": _number("gflops", 2),
    "PAPER GFLOPs": _number("paper_gflops", 1),
    "PAPER / counted GFLOPs": _ratio,
    "FPS (forward, here)": _number("forward_images_s", 1),
    "PAPER FPS on an RTX 3060": _number("paper_fps", 1),
}


def table(rows: Sequence[Row], columns: Columns) -> str:
    """Return the Markdown table of some columns of the rows."""
    return markdown_table(list(columns), [[show(row) for show in columns.values()] for row in rows])


def markdown(record: Record) -> str:
    """Return the page: heading, tables and notes."""
    rows, s = record.rows(), record.setting
    costs = {head: show for head, show in COSTS.items() if head != "allocator MiB" or s.device.type == "cuda"}
    times = {head.format(batch=s.batch): show for head, show in TIMES.items()}
    firsts = [row for index, row in enumerate(rows) if row["neck"] not in {r["neck"] for r in rows[:index]}]
    neck = {"neck": NAMES["neck"]}
    beside = {k: v for k, v in BESIDE_THE_PAPER.items() if v is not _ratio or record.is_the_papers}
    texts = notes(record)
    parts = [
        *texts.heading,
        "## Table A: costs",
        table(rows, {**NAMES, **costs}),
        *texts.costs,
        "## Table B: times",
        table(rows, {**NAMES, **times}),
        *texts.times,
        "## Beside the paper's Table 5",
        table(firsts, {**neck, **beside}),
        *texts.paper,
    ]
    return "\n\n".join(parts) + "\n"


def write(record: Record) -> Path:
    """Write `<name>.csv`, `.md` and `.png` into the output folder; return the path of the Markdown file."""
    stem = record.options.out / record.name
    write_csv(stem.with_name(f"{stem.name}.csv"), record.rows())
    with whole_file(stem.with_name(f"{stem.name}.png")) as draft:
        draw(record, draft)
    page = stem.with_name(f"{stem.name}.md")
    write_atomically(page, markdown(record))
    return page
