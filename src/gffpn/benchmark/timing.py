"""Rounds in which every subject has its turn, so that the machine's noise meets all alike."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, TypeVar

from rich.progress import Progress

T = TypeVar("T")
Tell = Callable[[int, float, float], None]


class Turn(Protocol):
    """Something to be timed, over and over."""

    def take(self, number: int) -> bool:
        """One turn in a round, of which round 0 warms up and is not kept; False if it failed and is out."""
        ...


def rotated(items: Sequence[T], number: int) -> list[T]:
    """The items in their order, beginning with another one each round."""
    start = number % len(items) if items else 0
    return [*items[start:], *items[:start]]


def take_rounds(subjects: Sequence[Turn], *, rounds: int, seconds: float, title: str) -> None:
    """A warm-up round, then at least `rounds` and until they have taken `seconds`."""
    left = list(subjects)
    with _progress(title) as tell:
        number, start = 0, time.perf_counter()
        while left and (number <= rounds or time.perf_counter() - start < seconds):
            failed = [subject for subject in rotated(left, number) if not subject.take(number)]
            left = [subject for subject in left if subject not in failed]
            if number == 0:
                start = time.perf_counter()
            spent = time.perf_counter() - start
            tell(number, spent, min(number / rounds, spent / seconds if seconds else 1.0, 1.0))
            number += 1


@contextmanager
def _progress(title: str) -> Iterator[Tell]:
    """A bar on a terminal, else a line a round."""
    if not os.isatty(1):
        yield lambda number, spent, share: print(
            f"{title}: {'warm-up' if number == 0 else f'round {number}, {spent:.1f} s'}", flush=True
        )
        return
    with Progress(transient=True) as bars:
        bar = bars.add_task(title, total=1.0)
        yield lambda number, spent, share: bars.update(
            bar, completed=share, description=f"{title}, round {number}"
        )
