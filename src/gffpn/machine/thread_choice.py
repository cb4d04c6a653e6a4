"""The number of CPU threads that trains fastest beside other processes.

The threads of an operator wait for each other at its end. If another process takes the core of one of them,
all of them wait, again and again in each training step: on two cores beside one busy process, a step takes
twice as long with two threads as with one, and beside several up to ten times as long.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from gffpn.machine.cores import usable_cores
from gffpn.machine.others import FREE, idle_time

AT_START = min(torch.get_num_threads(), usable_cores())
"""What torch chooses itself, OMP_NUM_THREADS or all cores, of which a container may grant only some."""
WARM_UP = 3
"""Training steps before the first look, which prepare kernels and memory; only one if it is slow."""
LOOK_S, TRIAL_S = 2.0, 1.0
"""Seconds of training steps that a look and a trial take, if these are `LEAST_STEPS`."""
LEAST_STEPS = 3
ENOUGH = 3
"""Factor of this time after which fewer steps suffice: beside many processes, one may take 10 s."""
WAITING = 0.2
"""Threads, on average, that must wait for a core before fewer are tried."""
GAIN = 1.1
"""Factor by which another number must be faster."""
HOPELESS = 2.0
"""Factor of one slow step that ends a trial."""
WORSE = 1.5
"""Factor by which the present number must be slower than one that was rejected, for it to be tried early."""
PATIENCE_S, LONGEST_PATIENCE_S = 30.0, 480.0
"""Seconds of training until a number is tried again; doubled each time that it is rejected."""


@dataclass(frozen=True)
class Usage:
    """Readings of clocks that run forward, in seconds since an arbitrary start."""

    wall: float
    cpu: float
    """CPU time of all threads of this process."""
    waited: float | None
    """Time that these threads were ready to run, but had no core; None if the system does not report it."""
    idle: float | None
    """Time that the usable cores had nothing to do; None if the system does not report it."""


def read_usage() -> Usage:
    """Return the present readings (about half a millisecond)."""
    return Usage(time.perf_counter(), time.process_time(), _waited(), idle_time())


def _waited() -> float | None:
    """Return the run delays of this process's threads, from Linux."""
    total, found = 0, False
    for task in Path("/proc/self/task").glob("*/schedstat"):
        try:
            total += int(task.read_text(encoding="utf-8").split()[1])
            found = True
        except (OSError, IndexError):  # the thread has ended
            continue
    return total / 1e9 if found else None


@dataclass(frozen=True)
class Verdict:
    """Outcome of a trial of `tried` threads instead of `before`."""

    before: int
    tried: int
    seconds_before: float
    """Seconds per image with `before` threads."""
    seconds_tried: float
    """Seconds per image with `tried` threads."""

    @property
    def accepted(self) -> bool:
        """True if training continues with the number that was tried."""
        return self.seconds_tried * GAIN < self.seconds_before


class _Window:
    """Training steps with one number of threads, and the usage of the machine meanwhile."""

    def __init__(self, usage: Usage) -> None:
        self.start = usage
        self.steps = self.images = 0
        self.seconds = 0.0

    def add(self, seconds: float, images: int) -> None:
        self.steps += 1
        self.seconds += seconds
        self.images += images

    def lasts(self, seconds: float) -> bool:
        return self.seconds >= seconds * (1 if self.steps >= LEAST_STEPS else ENOUGH)

    @property
    def pace(self) -> float:
        """Seconds per image: a mean, since a step that waits for seconds must count."""
        return self.seconds / self.images


class ThreadChoice:
    """Choice of the number of threads, up to `most`, that trains fastest; it goes on while training.

    It looks at a few seconds of training steps at a time. If threads wait for cores, a smaller number is
    tried in the next steps, and if cores are free, a larger one. The number changes if the trial was faster
    by `GAIN`. A machine that is not busy sees no trial.
    """

    def __init__(self, most: int, read: Callable[[], Usage] = read_usage) -> None:
        self.most = most
        self.number = most
        """The number of threads for the next step."""
        self._read = read
        self._trial: tuple[int, float] | None = None  # the number before, and its seconds per image
        self._unmeasured = WARM_UP
        self._window = _Window(read())
        self._rest = {"fewer": 0.0, "more": 0.0}  # seconds of training until the next trial
        self._patience = {"fewer": PATIENCE_S, "more": PATIENCE_S}
        self._rejected: float | None = None  # seconds per image of fewer threads that were not faster

    def step(self, seconds: float, images: int) -> Verdict | None:
        """Take account of a training step with `number` threads; return the verdict if it ends a trial.

        `seconds` is the duration of the step, and `images` the number of its images.
        """
        self._rest = {way: rest - seconds for way, rest in self._rest.items()}
        if self._unmeasured:
            self._unmeasured = 0 if seconds > LOOK_S else self._unmeasured - 1
            if not self._unmeasured:
                self._window = _Window(self._read())
            return None
        self._window.add(seconds, images)
        if self._trial is None:
            if self._window.lasts(LOOK_S):
                self._look()
            return None
        hopeless = seconds / images > HOPELESS * self._trial[1]
        return self._judge(*self._trial) if hopeless or self._window.lasts(TRIAL_S) else None

    def _look(self) -> None:
        """Start a trial if another number may be faster."""
        pace, usage = self._window.pace, self._read()
        other = self._candidate(usage)
        way = "fewer" if other < self.number else "more"
        early = way == "fewer" and self._rejected is not None and pace > WORSE * self._rejected
        if other != self.number and (self._rest[way] <= 0 or early):
            self._trial = self.number, pace
            self.number = other
            self._unmeasured = 1  # new kernels, or threads that have slept
        else:
            self._window = _Window(usage)

    def _candidate(self, usage: Usage) -> int:
        """Return the number of threads that have a core to themselves, or the present one if it seems right.

        A process that shares a core with a thread lets it wait half the time.
        """
        before = self._window.start
        wall = usage.wall - before.wall
        if usage.waited is None or before.waited is None:
            waiting = self.number - (usage.cpu - before.cpu) / wall
        else:
            waiting = (usage.waited - before.waited) / wall
        if waiting > WAITING and self.number > 1:
            # not by more than half at once: threads beside many processes still share the work
            return max(self.number - max(1, round(2 * waiting)), self.number // 2)
        if usage.idle is None or before.idle is None:
            free = float(self.most - self.number)
        else:
            free = (usage.idle - before.idle) / wall
        return min(self.most, self.number + max(1, round(free))) if free > FREE else self.number

    def _judge(self, before: int, seconds_before: float) -> Verdict:
        """Keep the number that was faster, and decide when to try again."""
        verdict = Verdict(before, self.number, seconds_before, self._window.pace)
        way = "fewer" if verdict.tried < before else "more"
        if verdict.accepted:
            self._patience = {"fewer": PATIENCE_S, "more": PATIENCE_S}
            # down again at once if cores get scarce, but up only later: other processes work in bursts
            self._rest = {"fewer": 0.0, "more": PATIENCE_S if way == "fewer" else 0.0}
            self._rejected = None
        else:
            self.number = before
            self._rest[way] = self._patience[way]
            self._patience[way] = min(2 * self._patience[way], LONGEST_PATIENCE_S)
            self._rejected = verdict.seconds_tried if way == "fewer" else self._rejected
        self._trial = None
        self._unmeasured = 1
        return verdict
