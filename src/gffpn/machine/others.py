"""How busy other processes keep the cores while something is timed. Does not import torch."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

SHARE = 0.1
"""Share of the usable cores from which other processes make a time doubtful, unless a core is free."""
FREE = 0.5
"""Cores, on average, that must be idle to count as free."""
LEAST_S = 0.5
"""Seconds below which the system's clocks, which tick every 10 ms, say too little."""


@dataclass(frozen=True)
class Reading:
    """Readings of clocks that run forward, in seconds since an arbitrary start."""

    wall: float
    own: float
    """CPU time of this process and of the processes that it started."""
    idle: float
    """Time that the usable cores had nothing to do."""


def read_cores() -> Reading | None:
    """Return the present readings; None if the system does not report them."""
    own, idle = _own_time(), idle_time()
    return None if own is None or idle is None else Reading(time.perf_counter(), own, idle)


class Neighbours:
    """Watch over the cores, from its construction on, for processes other than this one and its own."""

    def __init__(self, read: Callable[[], Reading | None] = read_cores) -> None:
        self._read = read
        self._start = read()

    def share(self) -> float:
        """Return the share of the usable cores that other processes took so far.

        0.0 if it is below `SHARE`, if a core was free for this process, or if the system does not report it.
        """
        start, now = self._start, self._read()
        if start is None or now is None or (wall := now.wall - start.wall) < LEAST_S:
            return 0.0
        idle, own = (now.idle - start.idle) / wall, (now.own - start.own) / wall
        taken = 1 - (idle + own) / len(os.sched_getaffinity(0))
        return taken if taken > SHARE and idle < FREE else 0.0


def idle_time() -> float | None:
    """Return the idle time of the usable cores in seconds, from Linux; None elsewhere."""
    try:
        lines = [line.split() for line in Path("/proc/stat").read_text(encoding="utf-8").splitlines()]
        cores = {f"cpu{core}" for core in os.sched_getaffinity(0)}
    except (OSError, AttributeError):
        return None
    # the fourth figure is idle time, the fifth is time idle while waiting for a disk
    ticks = [int(words[4]) + int(words[5]) for words in lines if words[0] in cores]
    return sum(ticks) / os.sysconf("SC_CLK_TCK") if len(ticks) == len(cores) else None


def _own_time() -> float | None:
    """Return the CPU time of this process and its descendants in seconds, from Linux; None elsewhere."""
    children: dict[int, list[int]] = {}
    ticks: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            # the name of a program, in brackets, may contain spaces and brackets, and ends after 15 bytes,
            # which may be inside a letter
            words = path.read_bytes().rpartition(b")")[2].split()
        except OSError:  # the process has ended
            continue
        pid, parent = int(path.parent.name), int(words[1])
        children.setdefault(parent, []).append(pid)
        ticks[pid] = sum(map(int, words[11:15]))  # with that of children that have ended
    own, left = 0, [os.getpid()]
    if left[0] not in ticks:
        return None
    while left:
        pid = left.pop()
        own += ticks[pid]
        left += children.get(pid, [])
    return own / os.sysconf("SC_CLK_TCK")
