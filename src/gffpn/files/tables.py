"""Tables as text: a CSV writer and a Markdown formatter."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gffpn.files.writing import write_atomically


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows atomically as CSV, with the columns of all rows in the order of first appearance."""
    text = io.StringIO()
    columns = list(dict.fromkeys(key for row in rows for key in row))
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(path, text.getvalue())


def plain(value: Any) -> Any:
    """Return a value as a cell of a table: words with spaces between them, other lists as JSON."""
    if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        return " ".join(value)
    return json.dumps(value) if isinstance(value, list | tuple | dict) else value


def markdown_table(headers: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table whose columns are aligned, so that it is also readable as plain text.

    A cell may hold any text: lines are joined, and a bar does not end the cell.
    """
    head, *rows = [[" ".join(cell.split()).replace("|", "\\|") for cell in line] for line in (headers, *body)]
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    ruler = ["-" * width for width in widths]
    return "\n".join(
        f"| {' | '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))} |"
        for line in (head, ruler, *rows)
    )
