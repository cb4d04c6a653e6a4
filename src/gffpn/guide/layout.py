"""Two columns of text for the terminal."""

import shutil
import textwrap
from collections.abc import Iterator, Sequence

LEFT_WIDTH = 34
"""Largest width of the left column; a longer cell has a line of its own."""


def width() -> int:
    """Return the width of the text: that of the terminal, but at most 110 columns."""
    return min(110, max(60, shutil.get_terminal_size((110, 24)).columns))


def columns(rows: Sequence[tuple[str, str]], *, indent: int = 2) -> Iterator[str]:
    """Yield lines with the left cells in one column and the wrapped right cells in another."""
    fitting = [len(left) for left, _ in rows if len(left) <= LEFT_WIDTH]
    edge = indent + max(fitting, default=0) + 2
    for left, right in rows:
        lines = textwrap.wrap(right, width() - edge, break_on_hyphens=False) or [""]
        head = f"{' ' * indent}{left}"
        if len(left) > LEFT_WIDTH:
            yield head
        else:
            yield f"{head:<{edge}}{lines.pop(0)}".rstrip()
        yield from (f"{' ' * edge}{line}" for line in lines if line)


def paragraph(text: str, *, indent: int = 2) -> Iterator[str]:
    """Yield the wrapped lines of a paragraph."""
    margin = " " * indent
    yield from textwrap.wrap(
        text, width(), initial_indent=margin, subsequent_indent=margin, break_on_hyphens=False
    )
