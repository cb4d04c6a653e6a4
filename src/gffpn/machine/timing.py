"""The timing loop: in each round every subject has a turn, so that noise affects all of them equally."""

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
OnRound = Callable[[int, float, float], None]
"""Called after each round with its number, the seconds of the kept rounds, and the share that is done."""


class Turn(Protocol):
    """Something that is timed repeatedly."""

    def take(self, number: int) -> bool:
        """Take one turn (round 0 is the warm-up, which is not kept); return False after a failure."""
        ...


def rotated(items: Sequence[T], number: int) -> list[T]:
    """Return the items in their order, starting with another item in each round."""
    start = number % len(items) if items else 0
    return [*items[start:], *items[:start]]


def repeat(
    work: Callable[[int], bool],
    *,
    warmup: int,
    rounds: int,
    seconds: float,
    on_round: OnRound = lambda number, spent, share: None,
) -> None:
    """Call `work` with the number of the round, from 0.

    After `warmup` rounds that do not count there are at least `rounds`, and more until those that count have
    taken `seconds` of wall time. A round that returns False is the last.
    """
    number, spent, start = 0, 0.0, time.perf_counter()
    while number < warmup + rounds or spent < seconds:
        if not work(number):
            return
        number += 1
        if number <= warmup:
            start = time.perf_counter()
        spent = time.perf_counter() - start
        share = min((number - warmup) / rounds, spent / seconds if seconds else 1.0)
        on_round(number - 1, spent, min(max(share, 0.0), 1.0))


def take_rounds(subjects: Sequence[Turn], *, rounds: int, seconds: float, title: str) -> None:
    """Give every subject a turn in a warm-up round and in each round of `repeat`, until it fails."""
    left = list(subjects)

    def take(number: int) -> bool:
        failed = [subject for subject in rotated(left, number) if not subject.take(number)]
        left[:] = [subject for subject in left if subject not in failed]
        return bool(left)

    with _progress(title) as on_round:
        repeat(take, warmup=1, rounds=rounds, seconds=seconds, on_round=on_round)


@contextmanager
def _progress(title: str) -> Iterator[OnRound]:
    """Show a progress bar on a terminal, or else print a line per round."""
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
        """Summarise at least one time, in milliseconds."""
        return cls(float(np.median(times_ms)), float(np.quantile(times_ms, 0.95)), len(times_ms))


def latency(
    *stages: Callable[[Any], Any],
    device: torch.device,
    warmup: int = 3,
    rounds: int = 10,
    budget_s: float = 1.0,
) -> tuple[Latency, ...]:
    """Time stages that run one after another on `device`, each from the start of its round to its own end.

    A stage receives the value that the stage before it returned; the first one receives None. See `repeat`
    for the number of rounds.
    """
    wait = synchronizer(device)
    times: list[list[float]] = []

    def work(number: int) -> bool:
        value, row, start = None, [], time.perf_counter()
        for stage in stages:
            value = stage(value)
            wait()
            row.append(1e3 * (time.perf_counter() - start))
        times.append(row)
        return True

    repeat(work, warmup=warmup, rounds=rounds, seconds=budget_s)
    return tuple(Latency.of(stage) for stage in zip(*times[warmup:], strict=True))


def side_by_side(
    *calls: Callable[[], object],
    device: torch.device,
    warmup: int = 3,
    rounds: int = 10,
    budget_s: float = 1.0,
) -> tuple[Latency, ...]:
    """Time independent calls on `device` in the same rounds, in an order that rotates from round to round."""
    wait = synchronizer(device)
    times: list[list[float]] = [[] for _ in calls]

    def work(number: int) -> bool:
        for which in rotated(range(len(calls)), number):
            start = time.perf_counter()
            calls[which]()
            wait()
            times[which].append(1e3 * (time.perf_counter() - start))
        return True

    repeat(work, warmup=warmup, rounds=rounds, seconds=budget_s)
    return tuple(Latency.of(one[warmup:]) for one in times)
