"""An experiment's answer: its arms, its contrasts, and a verdict on each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from gffpn.runs.folder import RunFolder
from gffpn.runs.record import Record
from gffpn.stats.arms import Arms
from gffpn.stats.comparable import few_objects, obstacle
from gffpn.stats.estimate import Estimate, Family, Sample
from gffpn.stats.planning import Need, need
from gffpn.stats.question import Question
from gffpn.stats.replicates import Replicates, kept_replicates
from gffpn.stats.runs import Arm, Run, distinct
from gffpn.stats.verdicts import Verdict, verdicts

TOLERANCE = 1e-6
"""Largest difference of two figures that are computed in two ways, in shares."""
LEARNED = 0.05
"""mAP50 below which a detector has hardly learned anything."""


@dataclass(frozen=True)
class Contrast:
    """The comparison of two arms on one endpoint."""

    a: Arm
    b: Arm
    endpoint: str
    estimate: Estimate | None = None
    """None if one of the arms has no figure."""
    verdict: Verdict | None = None
    need: Need | None = None
    reason: str = ""
    """Why there is no verdict; there may be an estimate all the same."""

    @property
    def name(self) -> str:
        """The contrast in words: `gffpn - fpn`."""
        return f"{self.a.name} - {self.b.name}"


@dataclass(frozen=True)
class Study:
    """The arms and contrasts of an experiment; `contrasts` are on its primary endpoint, one family."""

    name: str
    question: Question
    arms: tuple[Arm, ...]
    contrasts: tuple[Contrast, ...]
    notes: tuple[str, ...] = field(default=())

    def explore(self, endpoint: str) -> tuple[Contrast, ...]:
        """Return the contrasts on another endpoint: exploratory, a family of their own."""
        pairs = [(one.a, one.b) for one in self.contrasts]
        return compare(self.arms, pairs, endpoint, self.question)


def study(name: str, runs: Sequence[Run], asked: Question) -> Study:
    """Return the answer of finished runs to a question.

    Reads the predictions of each finished run once and keeps its replicates. A declared contrast that names
    none of these runs is left out, with a note; `check_contrasts` refuses one that could name none.
    """
    found = Arms([run.overrides for run in runs], asked.arms)
    declared, notes = found.applicable(asked.contrasts)
    arms = tuple(
        _arm(arm_name, [run for run, at in zip(runs, found.of_run, strict=True) if at == position], notes)
        for position, arm_name in enumerate(found.names)
    )
    notes += [f"{arm.name}: {arm.diverged}; its mean is that of the others" for arm in arms if arm.diverged]
    notes += _untrained(arms)
    notes += [
        f"{one.name} and {other.name} are the same runs: their settings, by whatever names, are equal"
        for at, one in enumerate(arms)
        for other in arms[at + 1 :]
        if one.folders & other.folders
    ]
    tested_on = [arm.replicates[0].truth if arm.replicates else "" for arm in arms]
    once: dict[frozenset[int], tuple[int, int]] = {}  # a pair that is declared in both orders is one test
    for pair in found.contrasts(declared, tested_on):
        once.setdefault(frozenset(pair), pair)
    pairs = [(arms[a], arms[b]) for a, b in once.values()]
    compared = {arm.name for pair in pairs for arm in pair}
    if not declared and (alone := [arm.name for arm in arms if arm.name not in compared]) and len(arms) > 1:
        notes.append(f"not compared, as no other arm has the same data: {', '.join(alone)}")
    contrasts = compare(arms, pairs, asked.primary_endpoint, asked)
    return Study(name, asked, arms, contrasts, tuple(notes))


def _untrained(arms: Sequence[Arm]) -> list[str]:
    """Return a note if no arm has learned enough for a comparison."""
    found = [record.test.mAP50 for arm in arms for record in arm.records]
    best = [value for value in found if value is not None]  # None without test objects
    if len(arms) < 2 or not best or max(best) >= LEARNED:
        return []
    return [
        f"no run has a test mAP50 of {100 * LEARNED:.0f} %: these networks have hardly learned anything, so "
        "their differences and verdicts say nothing about necks; train longer (trainer.max_epochs)"
    ]


def _arm(name: str, runs: Sequence[Run], notes: list[str]) -> Arm:
    replicates = []
    for run in runs:
        if run.record and run.path:
            try:
                replicates.append(kept_replicates(RunFolder(run.path)))
            except ValueError as error:
                notes.append(f"{error}; contrasts are without this run")
            else:
                notes += _other_figures(run.path, run.record, replicates[-1])
    return Arm(name, tuple(runs), tuple(replicates))


def _other_figures(path: Path, record: Record, found: Replicates) -> list[str]:
    """Return a note if a run's predictions give other figures than its record has: one is not the run's."""
    recorded = record.test.columns()
    figures = zip(found.endpoints, map(recorded.get, found.endpoints), found.points, strict=True)
    others = [name for name, value, point in figures if value is not None and abs(value - point) > TOLERANCE]
    fault = f"predictions.npz does not give the {others[0]} of metrics.json" if others else ""
    return [f"{path}: {fault}, and contrasts follow from it (gffpn verify shows all)"] if others else []


def compare(
    arms: Sequence[Arm], pairs: Sequence[tuple[Arm, Arm]], endpoint: str, asked: Question
) -> tuple[Contrast, ...]:
    """Return the contrasts of one endpoint, with verdicts as one family.

    A contrast on a class or a size of few objects has an interval, but no verdict, and is not in the family.
    """
    samples = {arm.name: arm.sample(endpoint) for arm in arms}
    families: dict[str, Family] = {}
    made = []
    for a, b in pairs:
        reason, found = obstacle(a, b, endpoint, asked), None
        one, other = samples[a.name], samples[b.name]
        if one and other and not reason:
            truth = a.replicates[0].truth
            if truth not in families:
                families[truth] = _family(arms, samples, truth)
            found = families[truth].difference(one, other)
            reason = few_objects(a, endpoint)
            if not found.variance > 0:
                found, reason = None, "the figures do not vary"
        made.append(Contrast(a, b, endpoint, found, reason=reason))
    in_family = [one.estimate for one in made if one.estimate and not one.reason]
    declared = family_size(made)
    judged = iter(verdicts(in_family, margin=asked.margin, alpha=asked.alpha, declared=declared))
    level = asked.alpha / max(declared, 1)
    return tuple(
        replace(one, verdict=next(judged), need=need(one.estimate, margin=asked.margin, alpha=level))
        if one.estimate and not one.reason
        else one
        for one in made
    )


def family_size(contrasts: Sequence[Contrast]) -> int:
    """Return for how many contrasts Holm's rule accounts: those of few objects are not in the family."""
    return sum(not few_objects(one.a, one.endpoint) for one in contrasts)


def _family(arms: Sequence[Arm], samples: Mapping[str, Sample | None], truth: str) -> Family:
    """Return the arms that were tested on the same images."""
    known = [arm for arm in arms if samples[arm.name] and {one.truth for one in arm.replicates} == {truth}]
    return Family([sample for arm in distinct(known) if (sample := samples[arm.name])])
