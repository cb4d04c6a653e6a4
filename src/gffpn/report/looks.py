"""Verdicts that were taken on fewer seeds of the same arms: looks that nobody declared."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from gffpn.runs.sweeps import Earlier, is_sweep, read_jobs, read_plan
from gffpn.stats.arms import Arms
from gffpn.stats.question import Question
from gffpn.stats.runs import Run


def undeclared_looks(sweep: Path, runs: Sequence[Run], asked: Question) -> Iterator[str]:
    """Yield a note on each time that fewer seeds of two or more of a sweep's arms had verdicts.

    They were those of another sweep beside it, or its own before it was extended. Who adds seeds until there
    is a verdict finds differences that are not there.
    """
    arms = Arms([run.overrides for run in runs], asked.arms)
    members = [
        [run for run, at in zip(runs, arms.of_run, strict=True) if at == arm and run.path]
        for arm in range(len(arms.names))
    ]
    for had, when, look in _looks(sweep):
        early = list[int]()
        for arm in members:
            names = {run.path.name for run in arm if run.path}
            count = len(names & set(look.runs))
            # a sweep that was interrupted, and resumed for the same seeds, has not been extended
            extended = 1 < count < len(names) and {run.seed for run in arm} - set(look.seeds)
            if extended and count not in asked.looks and (not look.looks or count in look.looks):
                early.append(count)
        if len(early) > 1:
            yield (
                f"{had} verdicts on {max(early)} of these seeds{when}; with another look "
                "that experiment.looks did not declare, more than 5 % of equal arms are called different"
            )


def _looks(sweep: Path) -> Iterator[tuple[str, str, Earlier]]:
    """Yield the runs that had verdicts, after the words that come before and behind `verdicts on N seeds`."""
    for other in sorted(sweep.resolve().parent.iterdir()):
        with suppress(ValueError, OSError):  # damaged, or another user's; its own report says so
            if not is_sweep(other):
                continue
            plan = read_plan(other)
            if other.name == sweep.name:
                for look in plan.earlier if plan else ():
                    yield f"the sweep {other.name} had", f" before it was extended on {look.until[:10]}", look
            else:
                looks = plan.experiment.get("looks") if plan else None
                found = tuple(Path(job["run"]).name for job in read_jobs(other))
                yield f"the sweep {other.name} has", "", Earlier("", (), tuple(looks or ()), found)
