"""An experiment's answer: its arms, its contrasts, and a verdict on each."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from gffpn.figures import Figure
from gffpn.runs.folder import RunFolder
from gffpn.runs.record import Record
from gffpn.stats.arms import Arms, settings
from gffpn.stats.estimate import Estimate, Sample, estimate
from gffpn.stats.planning import Need, need
from gffpn.stats.question import Question
from gffpn.stats.replicates import Replicates, kept_replicates
from gffpn.stats.verdicts import Verdict, verdicts

FEW_OBJECTS = 20
"""A class with fewer test objects gets an interval but no verdict."""


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


def study(name: str, runs: Sequence[Run], asked: Question) -> Study:
    """Return the answer of finished runs to a question.

    Reads the predictions of each finished run once and keeps its replicates. A declared contrast that names
    none of these runs is left out, with a note; `check_contrasts` refuses one that could name none.
    """
    found = Arms([run.overrides for run in runs])
    declared, notes = found.applicable(asked.contrasts)
    arms = tuple(
        _arm(arm_name, [run for run, at in zip(runs, found.of_run, strict=True) if at == position], notes)
        for position, arm_name in enumerate(found.names)
    )
    pairs = [(arms[a], arms[b]) for a, b in found.contrasts(declared)]
    contrasts = compare(arms, pairs, asked.primary_endpoint, asked)
    return Study(name, asked, arms, contrasts, tuple(notes))


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
    arms: Sequence[Arm], pairs: Sequence[tuple[Arm, Arm]], endpoint: str, asked: Question
) -> tuple[Contrast, ...]:
    """Return the contrasts of one endpoint, with verdicts as one family."""
    samples = {arm.name: arm.sample(endpoint) for arm in arms}
    known = [sample for sample in samples.values() if sample]
    made = []
    for a, b in pairs:
        reason = _obstacle(a, b, endpoint, asked)
        one, other = samples[a.name], samples[b.name]
        found = None
        if one and other and not reason:
            found = estimate(one, other, arms=known, groups=a.replicates[0].groups)
            if not found.variance > 0:
                found, reason = None, "the figures do not vary"
        made.append(Contrast(a, b, endpoint, found, reason=reason))
    family = [one.estimate for one in made if one.estimate]
    judged = iter(verdicts(family, margin=asked.margin, alpha=asked.alpha))
    level = asked.alpha / max(len(family), 1)
    return tuple(
        Contrast(
            one.a,
            one.b,
            endpoint,
            one.estimate,
            next(judged),
            need(one.estimate, margin=asked.margin, alpha=level),
        )
        if one.estimate
        else one
        for one in made
    )


def _obstacle(a: Arm, b: Arm, endpoint: str, asked: Question) -> str:
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
    if asked.looks and not all(count in asked.looks for count in counts):
        return f"not at a declared look ({', '.join(map(str, asked.looks))} seeds)"
    if a.replicates[0].groups < 2:
        return "the test images are one group"
    if any(arm.sample(endpoint) is None for arm in (a, b)):
        return f"no figure for {endpoint}"
    if (label := endpoint.removeprefix("AP50/")) != endpoint:
        objects = {one.name: one.objects for one in a.records[0].test.classes}.get(label, 0)
        if objects < FEW_OBJECTS:
            return f"too few objects ({objects})"
    return ""
