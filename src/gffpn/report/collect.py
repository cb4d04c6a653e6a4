"""The runs of a report, found in folders of sweeps and of runs, by the question that they answer."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gffpn.report.caption import numbered, shortened
from gffpn.report.looks import earlier_verdicts
from gffpn.report.loose import by_data, by_name, each_once, pseudo_overrides, unnamed_differences
from gffpn.report.state import damage, unfinished
from gffpn.runs.folder import RunFolder
from gffpn.runs.record import Record
from gffpn.runs.sweeps import PLAN, folder_of_run, is_sweep, read_jobs, read_plan
from gffpn.stats.arms import Arms, settings
from gffpn.stats.question import Question, question
from gffpn.stats.runs import Run
from gffpn.stats.study import Study, study

Members = list[list[tuple[str, Record | None]]]
"""Name and record of each run, by arm."""


@dataclass(frozen=True)
class Source:
    """Runs that answer one question."""

    name: str
    folder: Path
    """The sweep's folder, or the folder of the runs."""
    runs: tuple[Run, ...]
    question: Question
    command: tuple[str, ...] = ()
    """Words of the sweep's command; empty for runs that no sweep started, or if it is not recorded."""
    notes: tuple[str, ...] = ()
    started: bool = True
    """True if a sweep started the runs, so that their overrides are those of its command."""

    def study(self) -> Study:
        """Return the answer of the runs."""
        found = study(self.name, self.runs, self.question)
        return replace(found, notes=(*self.notes, *found.notes))


def collect(paths: Sequence[Path], *, alone: Path | None = None) -> list[Source]:
    """Return the sweeps and the other runs in `paths`, each of which is a sweep, a run, or a folder of runs.

    Runs that none of the sweeps started are grouped by their data set; of copies of one run, one counts, and
    of sweeps that ask the same of the same runs, the first one. Sources of one name get numbers.
    If `alone` is given, a bundle, no run outside this folder is read, wherever a sweep says that its runs
    are, and no sweep is left out for asking the same.
    A sweep in a folder of runs whose own files are damaged is left out, with a note; its runs are then runs
    that no sweep started.
    Raises ValueError for a path without runs, for the folder of a damaged sweep, and if other versions of
    gffpn wrote all that there are.
    """
    sweeps, runs = dict[Path, None](), dict[Path, None]()
    for path in paths:
        found = [*_sweeps(path)], [*_runs(path)]
        if not any(found):
            raise ValueError(_nothing(path))
        sweeps |= dict.fromkeys(folder.resolve() for folder in found[0])
        runs |= dict.fromkeys(folder.resolve() for folder in found[1])
    made, damaged = list[Source](), list[str]()
    for folder in sweeps:
        try:
            made.append(_of_sweep(folder, alone))
        except ValueError as error:
            if folder in [path.resolve() for path in paths]:
                raise
            damaged.append(f"the sweep {folder.name} is left out: {error}")
    made = [source for source in made if source.runs]
    used = {run.path.resolve(): run.record for source in made for run in source.runs if run.path}
    known = {path.name: record for path, record in used.items() if record}
    made = made if alone else _each_once(made)
    loose = [folder for folder in by_name([*runs]) if folder not in used]
    # a copy of a sweep's run is no further one
    copies = [folder for folder in loose if folder.name in known]
    copies = [folder for folder in copies if RunFolder(folder).read() == known[folder.name]]
    others = _of_loose([folder for folder in loose if folder not in copies])
    if damaged and not made + others:
        raise ValueError(damaged[0])
    # the runs of a damaged sweep are among the others
    noted = [_noted(source, damaged) for source in others or made[:1]]
    made = [*made, *noted] if others else [*noted, *made[1:]]
    every = [run for source in made for run in source.runs]
    if not any(run.record for run in every):
        for run in every:
            if run.status == "other version":
                raise ValueError(run.fault)
    names = numbered([source.name for source in made])
    return [replace(source, name=name) for source, name in zip(made, names, strict=True)]


def _noted(source: Source, notes: Sequence[str]) -> Source:
    """Return a source with further notes."""
    return replace(source, notes=(*source.notes, *notes))


def _sweeps(path: Path) -> list[Path]:
    """Return the folders of sweeps in a path: itself, those in it, or those of a folder of runs."""
    if is_sweep(path):
        return [path]
    return [folder for folder in sorted([*path.glob("*"), *path.glob("sweeps/*")]) if is_sweep(folder)]


def _runs(path: Path) -> list[Path]:
    """Return the folders of runs in a path: itself or those in it."""
    if RunFolder(path).config.is_file():
        return [path]
    return sorted(file.parent for file in path.glob("*/config.yaml"))


def _nothing(path: Path) -> str:
    if not path.exists():
        return f"{path}: no such folder; expected the folder of a run, of a sweep, or of runs"
    return f"{path}: holds no runs; expected the folder of a run, of a sweep, or of runs, such as runs"


def _of_sweep(folder: Path, alone: Path | None) -> Source:
    plan = read_plan(folder)
    runs = list[Run]()
    for job in read_jobs(folder, plan.jobs if plan else ()):
        path = folder_of_run(folder, job["run"], alone=alone)
        run = _run(job["overrides"], path, fault=job["fault"])
        # a sweep may hold one job twice, such as seed=0,0, whose run is one
        if not any(_same(run, other) for other in runs):
            runs.append(run)
    notes: list[str] = []
    if plan and not plan.jobs:
        notes.append("the sweep chose its runs by the results so far, so their differences are no evidence")
    asked = _question_of(plan.experiment, folder / PLAN) if plan else _of_runs(runs, notes)
    asked = _nameable(asked, runs, notes)
    notes += earlier_verdicts(folder, runs, asked)
    return Source(folder.name, folder, tuple(runs), asked, plan.command if plan else (), tuple(notes))


def _each_once(sources: Sequence[Source]) -> list[Source]:
    """Return sweeps without those that repeat an earlier one, with a note on it, and on runs asked twice."""
    kept = list[tuple[Members, tuple[object, ...], Source]]()
    for source in sources:
        members, asked = _asked(source)
        alike = [at for at, one in enumerate(kept) if one[0] == members]
        repeated = [at for at in alike if kept[at][1] == asked]
        for at in repeated[:1]:
            first = kept[at][2]
            copy = source.folder if source.name == first.name else f"the sweep {source.name}"
            note = f"{copy} asks the same of the same runs, and is left out"
            kept[at] = members, asked, _noted(first, [note])
        if not repeated:
            others = [kept[at][2].name for at in alike]
            notes = [
                f"the sweep {name} asks something else of these runs; each may err in 5 %" for name in others
            ]
            kept.append((members, asked, _noted(source, notes)))
    return [source for _, _, source in kept]


def _asked(source: Source) -> tuple[Members, tuple[object, ...]]:
    """Return the names and records of the runs of each arm, which a copy has, too, and what is asked of them.

    Neither depends on the order of the arms.
    """
    asked = source.question
    arms = Arms([run.overrides for run in source.runs], asked.arms)
    members: Members = [[] for _ in arms.names]
    for run, at in zip(source.runs, arms.of_run, strict=True):
        members[at].append((run.path.name if run.path else " ".join(run.overrides), run.record))
    names = [tuple(sorted(name for name, _ in runs)) for runs in members]
    pairs = {frozenset((names[a], names[b])) for a, b in arms.contrasts(asked.contrasts)}
    runs = sorted((sorted(runs, key=lambda run: run[0]) for runs in members), key=lambda runs: runs[0][0])
    return runs, (asked.primary_endpoint, asked.margin, asked.looks, pairs)


def _of_loose(folders: Sequence[Path]) -> list[Source]:
    """Return runs that no sweep started, by their data set."""
    made = []
    sets = by_data(folders)
    for (name, fingerprint), every in sets.items():
        members, notes = each_once(every)
        overrides = pseudo_overrides(members)
        runs = [_run(words, path) for words, path in zip(overrides, members, strict=True)]
        if others := unnamed_differences(members, overrides):
            said = f"these runs also differ in {shortened(others)}"
            notes.append(f"{said}: a difference of their arms may come from that")
        asked = _nameable(_of_runs(runs, notes), runs, notes)
        alike = sum(name == other for other, _ in sets) > 1
        title = f"runs on {name}{f' {fingerprint[:6]}' if alike else ''}"
        made.append(Source(title, members[0].parent, tuple(runs), asked, notes=tuple(notes), started=False))
    return made


def _run(overrides: Sequence[str], path: Path | None, *, fault: str = "") -> Run:
    if path is None:
        # a job that failed before its run had a folder, or that never started
        status = "missing" if fault == "not started" else "failed"
        return Run(tuple(overrides), status, None, None, fault)
    if fault := damage(RunFolder(path)):
        return Run(tuple(overrides), "damaged", path, None, fault)
    if record := RunFolder(path).read():
        return Run(tuple(overrides), "finished", path, record)
    status, reason = unfinished(RunFolder(path))
    return Run(tuple(overrides), status, path, None, reason)


def _same(one: Run, other: Run) -> bool:
    return one.path == other.path and settings(one.overrides) == settings(other.overrides)


def _of_runs(runs: Sequence[Run], notes: list[str]) -> Question:
    """Return the question of the first run that has one; a note says if others asked something else."""
    found = [
        (run.path, asked)
        for run in runs
        if run.path and run.status != "damaged"
        if (asked := RunFolder(run.path).read_config().get("experiment"))
    ]
    if not found:
        return Question()
    path, first = found[0]
    others = [other.name for other, asked in found if asked != first]
    if others:
        notes.append(
            f"the runs were started for different experiments; their question is that of {path.name}, "
            f"not that of {others[0]}{f' and {len(others) - 1} more' if len(others) > 1 else ''}"
        )
    try:
        return _question_of(first, RunFolder(path).config)
    except ValueError as error:
        notes.append(f"{error}; arms are compared as without a question")
        return Question()


def _question_of(experiment: Any, file: Path) -> Question:
    """Return the question of an `experiment`. Raises ValueError, with its file's name, for a wrong one."""
    try:
        return question(experiment) if experiment else Question()
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{file}: {error}") from error


def _nameable(asked: Question, runs: Sequence[Run], notes: list[str]) -> Question:
    """Return a question without the contrasts that name no arm of the runs; a note says which."""
    arms, kept = Arms([run.overrides for run in runs], asked.arms), []
    for pair in asked.contrasts:
        try:
            arms.contrasts([pair])
            kept.append(pair)
        except ValueError as error:
            notes.append(f"{error}; left out")
    if asked.contrasts and not kept and len(arms.names) > 1:
        notes.append("none of the declared contrasts is among the runs, so arms are compared as without any")
    return replace(asked, contrasts=tuple(kept))
