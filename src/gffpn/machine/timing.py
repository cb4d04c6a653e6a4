"""Rounds in which every subject has its turn, so that the machine's noise meets all alike."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from rich.progress import Progress

from gffpn.machine.devices import synchronizer

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


@dataclass(frozen=True)
class Latency:
    """Wall time of a call over n rounds."""

    median_ms: float
    p95_ms: float
    n: int

    @classmethod
    def of(cls, times_ms: Sequence[float]) -> "Latency":
        """Of one time a round, in milliseconds, at least one."""
        return cls(float(np.median(times_ms)), float(np.quantile(times_ms, 0.95)), len(times_ms))


def latency(
    *stages: Callable[[Any], Any],
    device: torch.device,
    warmup: int = 3,
    rounds: int = 10,
    budget_s: float = 1.0,
) -> tuple[Latency, ...]:
    """Time from a round's start to the end of each stage, which works on `device`.

    A stage gets what the one before it gave (the first: None). All are timed in the same rounds, so that the
    noise of the machine meets all alike: at least `rounds`, and more until `budget_s` is spent.
    """
    wait = synchronizer(device)
    times: list[list[float]] = []
    while len(times) < warmup + rounds or sum(row[-1] for row in times[warmup:]) < budget_s:
        value, row, start = None, [], time.perf_counter()
        for stage in stages:
            value = stage(value)
            wait()
            row.append(time.perf_counter() - start)
        times.append(row)
    return tuple(Latency.of(stage) for stage in 1e3 * np.array(times[warmup:]).T)


def side_by_side(
    *calls: Callable[[], object],
    device: torch.device,
    warmup: int = 3,
    rounds: int = 10,
    budget_s: float = 1.0,
) -> tuple[Latency, ...]:
    """Time of each call, which works on `device`, in rounds in which each has its turn.

    The order turns round by round. Rounds as in `latency`, the warm-up's times kept out.
    """
    wait = synchronizer(device)
    times: list[list[float]] = [[] for _ in calls]
    number, spent = 0, 0.0
    while number < warmup + rounds or spent < budget_s:
        for turn in range(len(calls)):
            which = (turn + number) % len(calls)
            start = time.perf_counter()
            calls[which]()
            wait()
            taken = time.perf_counter() - start
            if number >= warmup:
                times[which].append(1e3 * taken)
                spent += taken
        number += 1
    return tuple(Latency.of(one) for one in times)
