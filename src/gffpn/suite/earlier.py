"""What the folder of a sweep holds of earlier commands when the next one starts."""

import shlex
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from gffpn.runs.folder import RunFolder
from gffpn.runs.sweeps import Earlier, asked_words, folder_of_run, read_jobs, read_plan
from gffpn.stats.arms import settings


def mention_replaced(folder: Path, planned: Sequence[Sequence[str]]) -> None:
    """Print which sweep had this folder before, if this one does not hold all of its runs."""
    with suppress(ValueError):  # damaged
        earlier = read_plan(folder)
        if earlier and set(earlier.jobs) - set(map(tuple, planned)):
            print(
                f"{folder} had the table of other runs, which is replaced; the runs are kept. To have both, "
                f"choose another name=NAME. The earlier sweep: {shlex.join(earlier.command)}",
                flush=True,
            )


def earlier_commands(folder: Path) -> tuple[Earlier, ...]:
    """Return what each earlier command of a sweep had finished when the next one started, the last one now.

    Commands that ask the same of equal seeds count as one. None for a new sweep, or if its plan is missing or
    damaged.
    """
    with suppress(ValueError):
        if plan := read_plan(folder):
            kept = {(one.seeds, one.asked): one for one in plan.earlier}
            seeds = tuple(sorted({settings(job).get("seed", "0") for job in plan.jobs}))
            found = [folder_of_run(folder, job["run"]) for job in read_jobs(folder)]
            done = {path.name for path in found if path and RunFolder(path).read()}
            key = seeds, asked_words(plan.experiment)
            if key in kept:
                done |= set(kept[key].runs)
            if done:
                now = datetime.now(UTC).isoformat(timespec="seconds")
                looks = tuple(plan.experiment.get("looks") or ())
                kept[key] = Earlier(now, seeds, looks, tuple(sorted(done)), key[1])
            return tuple(kept.values())
    return ()
