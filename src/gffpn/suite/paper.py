"""The paper's figures, to stand beside ours."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

FIGURES = Path(__file__).resolve().parents[3] / "experiments" / "results" / "paper.yaml"


def paper_mAP50(table: str, run: Mapping[str, Any]) -> float | None:
    """The paper's mAP50 (0-1) of the row whose words a run carries; None where the paper has no such row."""
    tables = yaml.safe_load(FIGURES.read_text())
    if table not in tables:
        raise ValueError(f"experiment.paper_table: got {table!r}, expected one of {list(tables)}")
    position = tables[table]["columns"].index("mAP50")
    for row in tables[table]["rows"]:
        if all(run.get(key) == value for key, value in row.items() if key != "values"):
            return float(row["values"][position]) / 100
    return None
