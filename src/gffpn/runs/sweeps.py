"""Folder of a sweep: what it asks and plans, written at its start, and a record of each of its jobs."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gffpn.files.typed_json import from_json, parsed
from gffpn.files.writing import write_atomically

PLAN = "sweep.json"
CURE = "repeating the sweep's command writes it again"


@dataclass(frozen=True)
class Earlier:
    """What an earlier command of a sweep had finished when the next one started, or another sweep."""

    until: str
    """When that was, in UTC: `2026-11-30T23:59:59+00:00`; empty for another sweep."""
    seeds: tuple[str, ...]
    """Seeds that it planned."""
    looks: tuple[int, ...]
    """Numbers of seeds at which it declared verdicts."""
    runs: tuple[str, ...]
    """Names of the finished runs."""
    asked: tuple[str, ...] = ()
    """Its question, see `asked_words`; empty for another sweep."""
    sweep: str = ""
    """Name of the other sweep, which lay beside this one when a bundle was made."""


@dataclass(frozen=True)
class SweepPlan:
    """What a sweep asks and plans: contents of sweep.json."""

    command: tuple[str, ...]
    """Words of the command that repeats it."""
    experiment: Mapping[str, Any]
    """The `experiment` of its configuration. A run that was finished before has that of its own command."""
    jobs: tuple[tuple[str, ...], ...]
    """Overrides of each job; empty for a sweeper that chooses them by the results so far."""
    data: tuple[str, ...] = ()
    """Fingerprint of each job's data set as it was at the start; empty where it is generated."""
    earlier: tuple[Earlier, ...] = ()
    """Earlier commands, one for all that asked the same of equal seeds; in a bundle also other sweeps."""


def asked_words(experiment: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the part of an `experiment` on which its verdicts depend, as words such as `margin=0.01`."""
    keys = ("primary_endpoint", "contrasts", "margin", "looks")
    return tuple(f"{key}={json.dumps(experiment.get(key))}" for key in keys)


def write_plan(folder: Path, plan: SweepPlan) -> None:
    """Write sweep.json into the sweep's folder."""
    write_atomically(folder / PLAN, plan_text(plan))


def plan_text(plan: SweepPlan) -> str:
    """Return the contents of sweep.json."""
    return json.dumps(asdict(plan), indent=1) + "\n"


def read_plan(folder: Path) -> SweepPlan | None:
    """Return what a sweep planned; None for a sweep from before this was recorded.

    Raises ValueError with one line if the file is damaged.
    """
    path = folder / PLAN
    try:
        content = parsed(path.read_text(encoding="utf-8"))
        return SweepPlan(
            tuple(map(str, content["command"])),
            dict(content["experiment"]),
            tuple(tuple(map(str, job)) for job in content["jobs"]),
            tuple(map(str, content.get("data", ()))),
            tuple(from_json(Earlier, one) for one in content.get("earlier", ())),
        )
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: damaged: {error}; {CURE}") from error


def is_sweep(folder: Path) -> bool:
    """Return whether a folder is that of a sweep."""
    return (folder / PLAN).is_file() or any((folder / "jobs").glob("*.json"))


def record_job(
    folder: Path, number: int, *, overrides: Sequence[str], run: Path | None, fault: str = ""
) -> None:
    """Write the record of a job to the sweep's folder."""
    record = {"overrides": list(overrides), "run": str(run) if run else "", "fault": fault}
    write_atomically(folder / "jobs" / f"{number:04d}.json", json.dumps(record) + "\n")


def read_jobs(folder: Path, planned: Sequence[Sequence[str]] = ()) -> list[dict[str, Any]]:
    """Return the sweep's job records in order; a planned job without a record has the status `missing`.

    Raises ValueError with one line for a damaged record.
    """
    records: dict[int, dict[str, Any]] = {
        number: {"overrides": list(overrides), "run": "", "fault": "not started", "status": "missing"}
        for number, overrides in enumerate(planned)
    }
    for path in (folder / "jobs").glob("*.json"):
        if not path.stem.isdecimal():  # such as ._0001.json, which another system adds to a copy
            continue
        try:
            records[int(path.stem)] = _checked(parsed(path.read_text(encoding="utf-8")))
        except ValueError as error:
            raise ValueError(f"{path}: damaged: {error}; {CURE}") from error
    return [records[number] for number in sorted(records)]


def _checked(record: Any) -> dict[str, Any]:
    """Return the record of a job. Raises ValueError if it is none."""
    kinds = {"overrides": list, "run": str, "fault": str}
    if not isinstance(record, dict):
        raise ValueError(f"got {record!r:.60}, expected {', '.join(kinds)}")
    for key, kind in kinds.items():
        if not isinstance(record.get(key), kind):
            raise ValueError(f"{key}: got {record.get(key)!r:.60}, expected a {kind.__name__}")
    if not all(isinstance(word, str) for word in record["overrides"]):
        raise ValueError(f"overrides: got {record['overrides']!r:.60}, expected words")
    return record


def folder_of_run(sweep: Path, recorded: str, *, alone: Path | None = None) -> Path | None:
    """Return the folder of a job's run, given the path in its record; None for a job without a run.

    The runs of a sweep lie beside its own folder, also after both were moved or copied together. If `alone`
    is given, a folder of runs from elsewhere, the run is looked for nowhere else.
    """
    name = Path(recorded).name
    if not recorded or name in ("", ".."):
        return None
    if alone:
        return alone / name
    beside = sweep.resolve().parent.parent / name
    return beside if beside.is_dir() else Path(recorded)
