"""Output of the runs of a sweep: lines that say which run printed them, and how much of the sweep is left."""

import logging
import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from gffpn.runs.folder import RunFolder
from gffpn.runs.sweeps import PLAN, SweepPlan, read_jobs, read_plan
from gffpn.stats.arms import SEED, Arms, differing, settings


class Labelled:
    """Text stream that writes whole lines, each behind a label; it is no terminal, so no bar is drawn on it.

    Several processes may write to one stream, so each line is written at once.
    """

    def __init__(self, stream: TextIO, label: str) -> None:
        self.stream = stream
        self.label = label
        self._part = ""

    def write(self, text: str) -> int:
        *lines, self._part = (self._part + text).split("\n")
        if lines:
            self.stream.write("".join(f"[{self.label}] {line}\n" if line.strip() else "\n" for line in lines))
            self.stream.flush()
        return len(text)

    def flush(self) -> None:
        self.stream.flush()

    def isatty(self) -> bool:
        return False

    def close(self) -> None:
        """Write the line that has no end yet; the stream remains open."""
        if self._part:
            self.write("\n")

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextmanager
def labelled(label: str) -> Iterator[None]:
    """Write what is printed and logged inside the block behind a label; do nothing if the label is empty."""
    if not label:
        yield
        return
    before = sys.stdout, sys.stderr
    streams = [Labelled(stream, label) for stream in before]
    _redirect(dict(zip(before, streams, strict=True)))
    sys.stdout, sys.stderr = streams
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
        _redirect(dict(zip(streams, before, strict=True)))
        for stream in streams:
            stream.close()


def _redirect(streams: Mapping[Any, Any]) -> None:
    """Make the log write to other streams."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler) and handler.stream in streams:
            handler.setStream(streams[handler.stream])


@contextmanager
def without_log() -> Iterator[None]:
    """Leave out what is logged inside the block, up to warnings, because each run logs the same."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def label_of(plan: SweepPlan | None, overrides: Sequence[str], number: int) -> str:
    """Return the short name of a sweep's job: what varies, such as `neck=fpn seed=1`, or else its number.

    An arm that the experiment names has this name: `LSAM seed=1`.
    """
    chosen = settings(overrides)
    keys = differing([settings(job) for job in plan.jobs]) if plan else []
    if plan and (named := plan.experiment.get("arms")):
        seed = [f"{SEED}={chosen[SEED]}"] if SEED in keys else []
        arms = Arms(plan.jobs, named)
        return " ".join([arms.names[arms.of_run[number]], *seed])
    return " ".join(f"{key}={chosen[key]}" for key in keys if key in chosen) or f"run {number + 1}"


def print_progress(sweep: Path, *, at_a_time: int) -> None:
    """Print how many runs of a sweep are finished, and the time left if that can be estimated.

    Nothing is printed for a sweep that chooses its jobs as it goes.
    """
    plan = None
    with suppress(ValueError):  # damaged; the sweep's end reports it
        plan = read_plan(sweep)
    if not plan or not plan.jobs:
        return
    started = (sweep / PLAN).stat().st_mtime
    taken, running, ended, finished = [], [], 0, 0
    for number, job in enumerate(read_jobs(sweep, plan.jobs)):
        if job["fault"] == "not started" or not job["run"]:
            ended += not job["run"] and job["fault"] != "not started"
            continue
        run, begun = RunFolder(Path(job["run"])), (sweep / "jobs" / f"{number:04d}.json").stat().st_mtime
        if run.metrics.exists():
            finished += 1
            if (end := run.metrics.stat().st_mtime) > started:
                taken.append(end - begun)
        elif run.traceback.exists():
            ended += 1
        else:
            running.append(time.time() - begun)
    waiting = len(plan.jobs) - finished - ended - len(running)
    left = seconds_left(taken, running, waiting, at_a_time)
    words = f", about {left / 60:.0f} min left" if left is not None and waiting + len(running) else ""
    print(f"{finished} of {len(plan.jobs)} runs finished{words}", flush=True)


def seconds_left(
    taken: Sequence[float], running: Sequence[float], waiting: int, at_a_time: int
) -> float | None:
    """Return the seconds until a sweep ends, or None without a finished run.

    `taken` are the seconds of finished runs, `running` those since the start of unfinished ones.
    """
    if not taken:
        return None
    each = statistics.mean(taken)
    rest = sum(max(0.0, each - spent) for spent in running) + waiting * each
    return rest / min(at_a_time, max(1, len(running) + waiting))
