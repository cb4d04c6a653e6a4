"""Work on many images at a time, with results in order.

Threads suffice, because Pillow releases the interpreter lock while it works.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from rich.console import Console
from rich.progress import track

from gffpn.machine.cores import usable_cores

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_threads(work: Callable[[Item], Result], items: Sequence[Item], title: str) -> Iterator[Result]:
    """Yield `work(item)` for each item in order, computed a few items ahead of the reader.

    On a terminal, a progress bar shows `title`.
    """
    threads = min(8, usable_cores())
    ahead = 4 * threads  # results in memory at a time
    starts = range(0, len(items), ahead)
    console = Console(stderr=True)
    quiet = not console.is_terminal  # in a log file, the bar would leave empty lines
    with ThreadPoolExecutor(threads) as pool:
        for start in track(starts, title, console=console, transient=True, disable=quiet):
            yield from pool.map(work, items[start : start + ahead])
