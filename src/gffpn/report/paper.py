"""The paper's figures, to be compared with ours."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

FIGURES = Path(__file__).with_name("paper.yaml")
COSTS = "table5_complexity"


@cache
def _tables() -> dict[str, Any]:
    tables: dict[str, Any] = yaml.safe_load(FIGURES.read_text(encoding="utf-8"))
    return tables


def check_paper_table(table: str | None) -> None:
    """Raise ValueError unless `table` is None or names a table of the paper that has an mAP50 column."""
    tables = _tables()
    known = [name for name, content in tables.items() if "mAP50" in content["columns"]]
    if table is not None and table not in known:
        raise ValueError(f"experiment.paper_table: got {table!r}, expected null or one of {known}")


def paper_row(table: str, run: Mapping[str, Any]) -> dict[str, float] | None:
    """Return the paper's figures (0-1) by column in the row that matches a run, or None without such a row.

    The columns are mAP50, mAP50_95 and the classes in the paper's order, as far as the table has them. Raises
    ValueError for an unknown table.
    """
    check_paper_table(table)
    content = _tables()[table]
    for row in content["rows"] if run.get("data") == content["data"] else []:
        if all(run.get(key) == value for key, value in row.items() if key != "values"):
            values = zip(content["columns"], row["values"], strict=True)
            return {name: float(value) / 100 for name, value in values if name != "gflops"}
    return None


def paper_mAP50(table: str, run: Mapping[str, Any]) -> float | None:
    """Return the paper's mAP50 (0-1) in the row that matches a run, or None if the paper has no such row.

    Raises ValueError for an unknown table.
    """
    row = paper_row(table, run)
    return row["mAP50"] if row else None


def paper_classes(table: str) -> tuple[str, ...]:
    """Return the classes of a table of the paper, in its order; none for a table without them."""
    columns = _tables()[table]["columns"]
    return tuple(name for name in columns if name not in ("mAP50", "mAP50_95", "gflops"))


def paper_figure(table: str, run: Mapping[str, Any], column: str) -> float | None:
    """Return one figure of the paper, as printed, in the row that matches a run, or None without one.

    Raises KeyError for an unknown table.
    """
    content = _tables()[table]
    if column not in content["columns"]:
        return None
    for row in content["rows"]:
        if all(run.get(key) == value for key, value in row.items() if key != "values"):
            figure = row["values"][content["columns"].index(column)]
            return None if figure is None else float(figure)
    return None


def paper_costs() -> dict[str, dict[str, float | None]]:
    """Return the paper's `fps`, `params_m` and `gflops` per neck, None for figures that it does not give."""
    content = _tables()[COSTS]
    return {row["neck"]: dict(zip(content["columns"], row["values"], strict=True)) for row in content["rows"]}


def paper_setting() -> dict[str, Any]:
    """Return the detector of the paper's costs: backbone, size, head, image_size, classes."""
    return _tables()[COSTS]["setting"]
