"""Work on many images at a time, results in order; PIL decodes and resizes without the interpreter's lock."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from rich.console import Console
from rich.progress import track

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_threads(work: Callable[[Item], Result], items: Sequence[Item], title: str) -> Iterator[Result]:
    """`work` of each item, in order, a few items ahead of the reader; a bar with `title` on a terminal."""
    threads = min(8, os.cpu_count() or 1)
    ahead = 4 * threads  # results in memory at a time
    starts = range(0, len(items), ahead)
    console = Console(stderr=True)
    quiet = not console.is_terminal  # a log file would get empty lines
    with ThreadPoolExecutor(threads) as pool:
        for start in track(starts, title, console=console, transient=True, disable=quiet):
            yield from pool.map(work, items[start : start + ahead])
