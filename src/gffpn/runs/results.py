"""Finished runs as data for a user's own analysis: records, curves, predictions, tables."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gffpn.files.tables import plain, write_csv
from gffpn.runs.folder import RunFolder
from gffpn.runs.predictions import Predictions, read_predictions
from gffpn.runs.reading import Curves, curves, finished_runs, other_versions
from gffpn.runs.record import Record

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class Result:
    """One finished run."""

    run: str
    """The folder's name."""
    arm: str
    """Six hex digits that are equal for runs that differ only in their seed."""
    path: Path
    record: Record

    def curves(self) -> Curves:
        """Return the values logged while training, by name: (epoch, value), epochs from 0."""
        return curves(self.path)

    def predictions(self) -> Mapping[str, Predictions]:
        """Return detections and truth of `val` and `test`. Raises ValueError if the file is missing."""
        return read_predictions(RunFolder(self.path).predictions)

    def row(self) -> dict[str, Any]:
        """Return all values of the record by the names of their columns, shares from 0 to 1."""
        values = {name: plain(value) for name, value in self.record.columns().items()}
        return {"run": self.run, "arm": self.arm, **values}


class Results(tuple[Result, ...]):
    """Finished runs, sorted by name."""

    def rows(self) -> list[dict[str, Any]]:
        """Return a row per run, all with the same columns; None where a run has no such value."""
        rows = [result.row() for result in self]
        columns = dict.fromkeys(name for row in rows for name in row)
        return [{name: row.get(name) for name in columns} for row in rows]

    def to_csv(self, path: str | Path) -> None:
        """Write a CSV file with a row per run."""
        write_csv(Path(path), self.rows())

    def to_pandas(self) -> "pandas.DataFrame":
        """Return a DataFrame with a row per run. Raises ValueError if pandas is not installed."""
        try:
            import pandas
        except ImportError as error:
            raise ValueError("to_pandas() needs pandas: pip install pandas, or use to_csv()") from error
        return pandas.DataFrame(self.rows())


def load_results(runs: str | Path) -> Results:
    """Return the finished runs in a folder, or the one run if it is the folder of one.

    Raises ValueError if there is none.
    """
    folder = Path(runs).resolve()
    parent = folder.parent if RunFolder(folder).metrics.is_file() else folder
    rows = finished_runs(parent)
    found = [Result(row.run, row.arm, parent / row.run, row.record) for row in rows]
    if parent != folder:
        found = [result for result in found if result.path.name == folder.name]
    if not found:
        others = other_versions(parent)
        raise ValueError(others[0] if others else f"{folder}: holds no finished runs")
    return Results(found)
