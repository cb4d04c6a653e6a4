"""Where the runs of a study come from, what it lacks, and the commands that repeat a run or fill a gap."""

import shlex
from collections.abc import Sequence
from typing import Any

from gffpn.files.sources import code_digest
from gffpn.report.collect import Source
from gffpn.report.facts import Gap, RunFacts, StudyFacts
from gffpn.runs.commands import run_command
from gffpn.runs.folder import RunFolder
from gffpn.runs.provenance import Provenance
from gffpn.runs.record import Record
from gffpn.stats.runs import Arm, Run
from gffpn.stats.study import Study


def study_facts(study: Study, source: Source) -> StudyFacts:
    """Return the provenance of a study's runs and its gaps, in the order of its arms."""
    pairs = [(arm, run) for arm in study.arms for run in arm.runs]
    return StudyFacts(
        source=str(source.folder),
        command=shlex.join(source.command),
        runs=tuple(_run_facts(arm, run, source) for arm, run in pairs),
        gaps=tuple(_gap(arm, run, source) for arm, run in pairs if not run.record),
    )


def _gap(arm: Arm, run: Run, source: Source) -> Gap:
    causes = {"failed", "interrupted", "diverged", "other version", "damaged"}
    cause = run.status if run.status in causes else "missing"
    command = "" if cause == "diverged" else _filling(run, source)
    return Gap(arm.name, run.seed, cause, run.fault, command, run.path)  # type: ignore[arg-type]


def _filling(run: Run, source: Source) -> str:
    """Return the command of the run, or that of its sweep, which alone knows a run without a folder."""
    known = run.path is not None and run.path.exists()
    words = _repeating(run, source) if known or not source.command else source.command
    if words and run.status == "damaged":
        # its record may be whole, and a finished run is not repeated. A name would be that of its sweep
        words = [*(word for word in words if not (source.started and word.startswith("name="))), "rerun=all"]
    return shlex.join(words)


def _repeating(run: Run, source: Source) -> list[str]:
    """Return the words of the command that repeats a run, empty if it is not recorded."""
    words = RunFolder(run.path).read_command() if run.path else []
    if not words and source.started:
        words = run_command(run.overrides)
    return words


def _run_facts(arm: Arm, run: Run, source: Source) -> RunFacts:
    start = RunFolder(run.path).read_start() if run.path else None
    origin = run.record.provenance if run.record else start.provenance if start else None
    return RunFacts(
        arm=arm.name,
        seed=run.seed,
        status=run.status,
        name=run.path.name if run.path else "",
        path=run.path,
        command=shlex.join(_repeating(run, source)),
        started_by=source.name if source.started else "",
        data=run.record.data.fingerprint if run.record else start.data if start else "",
        **_of_origin(origin),
        **_of_record(run.record),
    )


def _of_origin(origin: Provenance | None) -> dict[str, Any]:
    if origin is None:
        return {}
    return {
        "commit": origin.commit,
        "dirty": origin.dirty,
        "code": code_digest(origin.code),
        "versions": (("Python", origin.python), *origin.libraries.items()),
    }


def _of_record(record: Record | None) -> dict[str, Any]:
    if record is None:
        return {}
    trained = record.training
    return {
        "device": ", ".join(record.devices),
        "threads": trained.threads,
        "processes": trained.processes,
        "precision": record.settings.precision,
        "minutes": trained.minutes,
        "tested_epoch": trained.chosen_epoch,
        "trained_epochs": trained.trained_epochs,
        "still_improving": trained.still_improving,
    }


def counts(gaps: Sequence[Gap]) -> str:
    """Return the number of gaps by cause: `1 failed, 2 missing`."""
    causes = dict.fromkeys(gap.cause for gap in gaps)
    return ", ".join(f"{sum(gap.cause == cause for gap in gaps)} {cause}" for cause in causes)
