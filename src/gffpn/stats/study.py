"""An experiment's answer: its arms, its contrasts, and a verdict on each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from gffpn.figures import Figure
from gffpn.runs.folder import RunFolder
from gffpn.runs.record import Record
from gffpn.stats.arms import Arms, settings
from gffpn.stats.estimate import Estimate, Sample, estimate
from gffpn.stats.planning import Need, need
from gffpn.stats.replicates import Replicates, kept_replicates
from gffpn.stats.verdicts import ALPHA, MARGIN, Verdict, verdicts

FEW_OBJECTS = 20
"""A class with fewer test objects gets an interval but no verdict."""


@dataclass(frozen=True)
class Question:
    """What an experiment asks, as its file declares it."""

    claim: str | None = None
    primary_endpoint: str = "mAP50"
    contrasts: tuple[tuple[str, str], ...] = ()
    margin: float = MARGIN
    looks: tuple[int, ...] = ()
    """Numbers of seeds at which verdicts may be taken; empty: once, with all seeds."""
    paper_table: str | None = None
    command: str | None = None

    @property
    def alpha(self) -> float:
        """Level of the family at each look."""
        return ALPHA / max(len(self.looks), 1)


@dataclass(frozen=True)
class Run:
    """One run of an experiment, finished or not."""

    overrides: tuple[str, ...]
    status: str
    path: Path | None
    record: Record | None
    fault: str = ""

    @property
    def seed(self) -> str:
        """The seed as it was asked for."""
        return str(self.record.seed) if self.record else settings(self.overrides).get("seed", "0")


@dataclass(frozen=True)
class Arm:
    """The runs of an experiment that differ only in their seed."""

    name: str
    runs: tuple[Run, ...]
    replicates: tuple[Replicates, ...]
    """Of the finished runs that have predictions, in their order."""

    @property
    def finished(self) -> tuple[Run, ...]:
        """The finished runs."""
        return tuple(run for run in self.runs if run.record)

    @property
    def records(self) -> tuple[Record, ...]:
        """The records of the finished runs."""
        return tuple(run.record for run in self.runs if run.record)

    def figures(self, endpoint: str) -> list[Figure]:
        """Return the figure of each finished run on test; None where it has none."""
        return [record.test.columns().get(endpoint) for record in self.records]

    def sample(self, endpoint: str) -> Sample | None:
        """Return the figures with their replicates, or None without any."""
        found = [one[endpoint] for one in self.replicates if endpoint in one.endpoints]
        if not found or any(np.isnan(point) for point, _ in found):
            return None
        return Sample(np.array([point for point, _ in found]), np.stack([values for _, values in found]))


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
    """Why there is no verdict."""

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


def study(name: str, runs: Sequence[Run], question: Question) -> Study:
    """Return the answer of finished runs to a question.

    Reads the predictions of each finished run once and keeps its replicates. Raises ValueError for a contrast
    that names no arm.
    """
    found = Arms([run.overrides for run in runs])
    notes: list[str] = []
    arms = tuple(
        _arm(arm_name, [run for run, at in zip(runs, found.of_run, strict=True) if at == position], notes)
        for position, arm_name in enumerate(found.names)
    )
    pairs = [(arms[a], arms[b]) for a, b in found.contrasts(question.contrasts)]
    contrasts = compare(arms, pairs, question.primary_endpoint, question)
    return Study(name, question, arms, contrasts, tuple(notes))


def _arm(name: str, runs: Sequence[Run], notes: list[str]) -> Arm:
    replicates = []
    for run in runs:
        if run.record and run.path:
            try:
                replicates.append(kept_replicates(RunFolder(run.path)))
            except ValueError as error:
                notes.append(str(error))
    return Arm(name, tuple(runs), tuple(replicates))


def compare(
    arms: Sequence[Arm], pairs: Sequence[tuple[Arm, Arm]], endpoint: str, question: Question
) -> tuple[Contrast, ...]:
    """Return the contrasts of one endpoint, with verdicts as one family."""
    samples = {arm.name: arm.sample(endpoint) for arm in arms}
    known = [sample for sample in samples.values() if sample]
    made = []
    for a, b in pairs:
        reason = _obstacle(a, b, endpoint, question)
        one, other = samples[a.name], samples[b.name]
        found = None
        if one and other and not reason:
            found = estimate(one, other, arms=known, groups=a.replicates[0].groups)
        made.append(Contrast(a, b, endpoint, found, reason=reason))
    family = [one.estimate for one in made if one.estimate]
    judged = iter(verdicts(family, margin=question.margin, alpha=question.alpha))
    level = question.alpha / max(len(family), 1)
    return tuple(
        Contrast(
            one.a,
            one.b,
            endpoint,
            one.estimate,
            next(judged),
            need(one.estimate, margin=question.margin, alpha=level),
        )
        if one.estimate
        else one
        for one in made
    )


def _obstacle(a: Arm, b: Arm, endpoint: str, question: Question) -> str:
    """Return why two arms cannot be compared, or an empty string."""
    counts = [len(arm.replicates) for arm in (a, b)]
    for arm, count in zip((a, b), counts, strict=True):
        if not arm.records:
            return f"{arm.name}: no finished run"
        if not count:
            return f"{arm.name}: no predictions"
    if len({one.truth for arm in (a, b) for one in arm.replicates}) > 1:
        return "tested on different images"
    if min(counts) == 1:
        return "one seed" if max(counts) == 1 else f"one seed of {(a, b)[counts.index(1)].name}"
    if question.looks and not all(count in question.looks for count in counts):
        return f"not at a declared look ({', '.join(map(str, question.looks))} seeds)"
    if any(arm.sample(endpoint) is None for arm in (a, b)):
        return f"no figure for {endpoint}"
    if (label := endpoint.removeprefix("AP50/")) != endpoint:
        objects = {one.name: one.objects for one in a.records[0].test.classes}.get(label, 0)
        if objects < FEW_OBJECTS:
            return f"too few objects ({objects})"
    return ""


def question(experiment: Mapping[str, Any]) -> Question:
    """Return the question of a configuration's `experiment`. Raises ValueError for a wrong value."""
    endpoint = str(experiment["primary_endpoint"])
    margin, looks = experiment.get("margin", MARGIN), experiment.get("looks") or ()
    if not endpoint.startswith("test/"):
        raise ValueError(f"experiment.primary_endpoint: got {endpoint}, expected a figure such as test/mAP50")
    if not 0 < float(margin) < 1:
        raise ValueError(f"experiment.margin: got {margin}, expected a share such as 0.01 for one point")
    return Question(
        claim=experiment.get("claim"),
        primary_endpoint=endpoint.removeprefix("test/"),
        contrasts=tuple((str(a), str(b)) for a, b in experiment.get("contrasts") or ()),
        margin=float(margin),
        looks=tuple(map(int, looks)),
        paper_table=experiment.get("paper_table"),
        command=experiment.get("command"),
    )
