"""Tables of finished runs: on the terminal, as CSV and as Markdown."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gffpn.figures import BinFigures
from gffpn.files.tables import markdown_table, plain, write_csv
from gffpn.files.writing import write_atomically
from gffpn.report.caption import STILL_IMPROVING, Row, caption, cites, varied
from gffpn.runs.record import Record
from gffpn.stats.arms import settings


def percent(value: float | None) -> str:
    """Return a share as percent (0.4213 -> 42.1), or n/a for the None of a metric without objects."""
    return "n/a" if value is None else f"{100 * value:.1f}"


def decimals(count: int) -> Callable[[float | None], str]:
    """Return a function that prints a number with `count` decimals, and None as n/a."""
    return lambda value: "n/a" if value is None else f"{value:.{count}f}"


Column = tuple[str, Callable[[float | None], str]]
"""The key of a row and its formatter."""
AVERAGES: dict[str, Column] = {
    "mAP50": ("test/mAP50", percent),
    "mAP50_95": ("test/mAP50_95", percent),
    # only for an experiment that names a table of the paper
    "AP50 (their rule)": ("test/AP50_paper", percent),
    "PAPER mAP50": ("paper/mAP50", percent),
}
COSTS: dict[str, Column] = {
    "params M": ("params_m", decimals(2)),
    "neck M": ("params_neck", lambda value: decimals(2)(value and value / 1e6)),
    "GFLOPs": ("gflops", decimals(2)),
    "neck G": ("gflops_neck", decimals(2)),
    "FPS net": ("fps_forward", decimals(1)),
    "FPS all": ("fps_end_to_end", decimals(1)),
    "minutes": ("minutes", decimals(1)),
}


BESIDE_THE_PAPER = ("AP50 (their rule)", "PAPER mAP50")


def row_of(row: Row, record: Record | None) -> dict[str, Any]:
    """Return a table's row: `row` (overrides and status) and, for a finished run, its record and columns."""
    return {**row, **(record.columns() if record else {}), "record": record}


def _bins(finished: Sequence[Row]) -> dict[str, Column]:
    """Return a column for each size bin of the rows, with its number of objects if they agree on it."""
    found: dict[str, list[BinFigures]] = {}
    for row in finished:
        for size in row["record"].test.network_bins:
            found.setdefault(size.name, []).append(size)
    columns: dict[str, Column] = {}
    for name, sizes in sorted(found.items(), key=lambda item: item[1][0].low):
        columns[f"{'' if columns else 'AP '}{bin_title(sizes)}"] = (f"test/AP_{name}", percent)
    return columns


def bin_title(sizes: Sequence[BinFigures]) -> str:
    """Return the limits of a size bin, and its number of objects if all runs agree on it: `8-16 (n=3)`."""
    low, high = sizes[0].low, sizes[0].high
    counts = {size.objects for size in sizes}
    count = f" (n={counts.pop()})" if len(counts) == 1 else ""
    return (f"{low:g}+" if high is None else f"{low:g}-{high:g}") + count


def cells(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Return headers and printed cells of a table; a run without metrics shows its status."""
    keys = varied(rows)
    finished = [row for row in rows if row["status"] == "finished"]
    beside = cites(rows)
    averages = {name: one for name, one in AVERAGES.items() if beside or name not in BESIDE_THE_PAPER}
    columns = {**averages, **_bins(finished), **COSTS}
    body = []
    for row in rows:
        chosen = settings(row["overrides"])
        line = [chosen.get(key, str(row.get(key, ""))) for key in keys]
        if row["status"] == "finished":
            shown = [show(row.get(key)) for key, show in columns.values()]
            mark = f" {STILL_IMPROVING}" if row["record"].training.still_improving else ""
            line += [shown[0] + mark, *shown[1:]]
        else:
            line += [row["status"], *[""] * (len(columns) - 1)]
        body.append(line)
    return [*keys, *columns], body


def write_tables(folder: Path, rows: Sequence[Row], *, answer: str = "") -> None:
    """Write results.csv (all figures of all runs) and results.md (the answer, if any, and a row per run)."""
    flat = [{key: plain(value) for key, value in row.items() if key != "record"} for row in rows]
    write_csv(folder / "results.csv", flat)
    write_atomically(folder / "results.md", f"{answer}\n{markdown(rows)}" if answer else markdown(rows))


def markdown(rows: Sequence[Row]) -> str:
    """Return the table as Markdown, with its caption."""
    lines = [markdown_table(*cells(rows)), "", *(f"{line}  " for line in caption(rows)), ""]
    return "\n".join(lines)


def print_table(rows: Sequence[Row], *, title: str) -> None:
    """Print the table with its caption."""
    print_cells(*cells(rows), title=title, left=len(varied(rows)), caption=caption(rows))


def print_cells(
    headers: Sequence[str],
    body: Sequence[Sequence[str]],
    *,
    title: str,
    left: int,
    caption: Sequence[str] = (),
) -> None:
    """Print a table whose first `left` columns are words and whose others are numbers."""
    # Text, because rich would take square brackets in an override for markup
    table = Table(title=Text(title), caption=Text("\n".join(caption)), caption_justify="left")
    for position, header in enumerate(headers):
        table.add_column(Text(header.replace(" (", "\n(")), justify="left" if position < left else "right")
    for line in body:
        table.add_row(*map(Text, line))
    # a pipe or a log file has no width
    width = None if os.isatty(1) else 180
    Console(width=width).print(table)
