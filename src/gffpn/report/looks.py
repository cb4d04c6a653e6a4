"""Verdicts that were taken on the same arms before: looks and questions that nobody declared."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from gffpn.runs.sweeps import Earlier, asked_words, is_sweep, read_jobs, read_plan
from gffpn.stats.arms import Arms
from gffpn.stats.question import Question
from gffpn.stats.runs import Run

TOO_MANY = "more than 5 % of equal arms are called different"


def earlier_verdicts(sweep: Path, runs: Sequence[Run], asked: Question) -> Iterator[str]:
    """Yield a note on each time that two or more of a sweep's arms had verdicts before, undeclared ones.

    They were those of another sweep beside it on fewer of the same seeds, or its own before it was extended,
    or before it was asked something else. Who adds seeds, or tries questions, until there is a verdict finds
    differences that are not there.
    """
    arms = Arms([run.overrides for run in runs], asked.arms)
    members = [
        [run for run, at in zip(runs, arms.of_run, strict=True) if at == arm and run.path]
        for arm in range(len(arms.names))
    ]
    questions = dict[str, str]()
    for name, look, changed in _looks(sweep):
        early, judged = list[int](), 0
        for arm in members:
            names = {run.path.name for run in arm if run.path}
            count = len(names & set(look.runs))
            if count < 2 or (look.looks and count not in look.looks):
                continue
            judged += 1
            # a sweep that was interrupted, and resumed for the same seeds, has not been extended
            if (
                count < len(names)
                and count not in asked.looks
                and {run.seed for run in arm} - set(look.seeds)
            ):
                early.append(count)
        if len(early) > 1:
            had = f"had verdicts on {max(early)} of these seeds before it was extended on {look.until[:10]}"
            has = f"has verdicts on {max(early)} of these seeds"
            look_words = "with another look that experiment.looks did not declare"
            yield f"the sweep {name} {had if look.until else has}; {look_words}, {TOO_MANY}"
        if judged > 1 and changed:
            words = ", ".join(f"{word:.60}" for word in changed)
            had = f"had verdicts for {words} until {look.until[:10]}"
            questions[words] = f"the sweep {name} {had}; with both, {TOO_MANY}"
    yield from questions.values()


def _looks(sweep: Path) -> Iterator[tuple[str, Earlier, list[str]]]:
    """Yield the sweep, the runs that had verdicts, and what it asked of them that it no longer asks."""
    beside = others_beside(sweep)
    yield from ((other.sweep, other, []) for other in beside)
    with suppress(ValueError, OSError):
        if plan := read_plan(sweep):
            now, there = asked_words(plan.experiment), {other.sweep for other in beside}
            for look in plan.earlier:
                if look.sweep not in there:
                    changed = [word for word in look.asked if word not in now]
                    yield look.sweep or sweep.name, look, changed


def others_beside(sweep: Path) -> list[Earlier]:
    """Return the other sweeps beside one, with their runs."""
    found = list[Earlier]()
    for other in sorted(sweep.resolve().parent.iterdir()):
        with suppress(ValueError, OSError):  # damaged, or another user's; its own report says so
            if other.name != sweep.name and is_sweep(other):
                plan = read_plan(other)
                looks = plan.experiment.get("looks") if plan else None
                runs = tuple(Path(job["run"]).name for job in read_jobs(other))
                found.append(Earlier("", (), tuple(looks or ()), runs, sweep=other.name))
    return found
