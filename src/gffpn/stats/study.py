"""An experiment's answer: its arms, its contrasts, and a verdict on each."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from gffpn.figures import BinFigures, Figure
from gffpn.runs.folder import RunFolder
from gffpn.runs.record import Record
from gffpn.stats.arms import Arms, settings
from gffpn.stats.estimate import Estimate, Family, Sample
from gffpn.stats.planning import Need, need
from gffpn.stats.question import Question
from gffpn.stats.replicates import Replicates, kept_replicates
from gffpn.stats.verdicts import Verdict, verdicts

FEW_OBJECTS = 20
"""A class or a size of object with fewer test objects gets an interval but no verdict."""
UNVARIED: tuple[tuple[tuple[str, ...], Callable[[Record], object], str], ...] = (
    (("trainer.precision",), lambda record: record.settings.precision, "trained in different precisions"),
    (("trainer.accelerator",), lambda record: record.devices, "trained on different devices"),
    (
        ("trainer.devices", "trainer.num_nodes"),
        lambda record: record.training.processes,
        "trained by different numbers of processes",
    ),
)
"""What the machine decides unless arms differ in a setting: the settings, their outcome, and why arms are not
compared. The option of `trainer` may set each of them."""
OF_DATA = ("data", "image_size", "scale")
"""Settings on which the data depend, those of simulated images on their size; `data` stands for all of it."""
LEARNED = 0.05
"""mAP50 below which a detector has hardly learned anything."""


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

    @property
    def folders(self) -> set[Path]:
        """The folders of the finished runs; of two arms, they overlap if both are one and the same."""
        return {run.path for run in self.finished if run.path}

    @property
    def diverged(self) -> str:
        """`2 of 5 diverged`, or an empty string if no run did; a run that diverged is a result."""
        count = self.count_diverged
        return f"{count} of {len(self.runs)} diverged" if count else ""

    @property
    def count_diverged(self) -> int:
        """The number of runs that diverged."""
        return sum(run.status == "diverged" for run in self.runs)

    def may_share_images(self, other: "Arm") -> bool:
        """Return whether the test images of two arms are equal, for all that is known."""
        return len({one.truth for arm in (self, other) for one in arm.replicates}) < 2

    def figures(self, endpoint: str) -> list[Figure]:
        """Return the figure of each finished run on test; None where it has none."""
        return [record.test.columns().get(endpoint) for record in self.records]

    def sample(self, endpoint: str) -> Sample | None:
        """Return the figures with their replicates, or None without any, or if the test images differ."""
        found = [one[endpoint] for one in self.replicates if endpoint in one.endpoints]
        if not found or any(np.isnan(one.point) for one in found):
            return None
        if len({one.truth for one in self.replicates}) > 1:
            return None
        return Sample.of(found)


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
    pairs = [(arms[a], arms[b]) for a, b in found.contrasts(declared, tested_on)]
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
                notes.append(str(error))
    return Arm(name, tuple(runs), tuple(replicates))


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
        reason, found = _obstacle(a, b, endpoint, asked), None
        one, other = samples[a.name], samples[b.name]
        if one and other and not reason:
            truth = a.replicates[0].truth
            if truth not in families:
                families[truth] = _family(arms, samples, truth)
            found = families[truth].difference(one, other)
            reason = _few_objects(a, endpoint)
            if not found.variance > 0:
                found, reason = None, "the figures do not vary"
        made.append(Contrast(a, b, endpoint, found, reason=reason))
    in_family = [one.estimate for one in made if one.estimate and not one.reason]
    declared = sum(not _few_objects(one.a, endpoint) for one in made)
    judged = iter(verdicts(in_family, margin=asked.margin, alpha=asked.alpha, declared=declared))
    level = asked.alpha / max(declared, 1)
    return tuple(
        replace(one, verdict=next(judged), need=need(one.estimate, margin=asked.margin, alpha=level))
        if one.estimate and not one.reason
        else one
        for one in made
    )


def _family(arms: Sequence[Arm], samples: Mapping[str, Sample | None], truth: str) -> Family:
    """Return the arms that were tested on the same images."""
    known = [arm for arm in arms if samples[arm.name] and {one.truth for one in arm.replicates} == {truth}]
    return Family([sample for arm in distinct(known) if (sample := samples[arm.name])])


def distinct(arms: Sequence[Arm]) -> list[Arm]:
    """Return the arms without those whose runs an earlier one has, which are no further seeds."""
    found, counted = list[Arm](), set[Path]()
    for arm in arms:
        if not arm.folders & counted:
            found.append(arm)
            counted |= arm.folders
    return found


def _obstacle(a: Arm, b: Arm, endpoint: str, asked: Question) -> str:
    """Return why two arms cannot be compared, or an empty string."""
    counts = [len(arm.replicates) for arm in (a, b)]
    for arm, count in zip((a, b), counts, strict=True):
        if not arm.records:
            return f"{arm.name}: no finished run"
        if not count:
            return f"{arm.name}: no predictions"
    if a.folders & b.folders:
        return "the same runs"
    if not a.may_share_images(b):
        return "tested on different images"
    if (
        endpoint.startswith("AP_")
        and len({_bin(record, endpoint) for record in (*a.records, *b.records)}) > 1
    ):
        return "the bins of size hold different objects"
    if reason := unvaried_difference(a, b):
        return reason
    if min(counts) == 1:
        return "one seed" if max(counts) == 1 else f"one seed of {(a, b)[counts.index(1)].name}"
    # a run that diverged is a result too, and is not replaced
    ended = [count + arm.count_diverged for arm, count in zip((a, b), counts, strict=True)]
    if asked.looks and not all(count in asked.looks for count in ended):
        return f"not at a declared look ({', '.join(map(str, asked.looks))} seeds)"
    if a.replicates[0].groups < 2:
        return "the test images are one group"
    if any(arm.sample(endpoint) is None for arm in (a, b)):
        return f"no figure for {endpoint}"
    return ""


def unvaried_difference(a: Arm, b: Arm) -> str:
    """Return in what the trainings of two arms differ although no setting varies it, or an empty string."""
    for arm in (a, b):
        if len({record.data.fingerprint for record in arm.records}) > 1:
            return f"{arm.name}: trained on different data"
    chosen = [[settings(run.overrides) for run in arm.runs] for arm in (a, b)]

    def differ(keys: Iterable[str]) -> bool:
        one, other = ({tuple(map(run.get, keys)) for run in runs} for runs in chosen)
        return one != other

    for keys, outcome, reason in UNVARIED:
        found = [{outcome(record) for record in arm.records} for arm in (a, b)]
        if found[0] != found[1] and not differ([*keys, "trainer"]):
            return reason
    given = dict.fromkeys(key for runs in chosen for run in runs for key in run)
    of_data = [key for key in given if key in OF_DATA or key.startswith("data.")]
    if a.records[0].data.fingerprint != b.records[0].data.fingerprint and not differ(of_data):
        return "trained on different data"
    return ""


def _bin(record: Record, endpoint: str) -> BinFigures | None:
    """Return the size bin of an endpoint without its figure, to be compared."""
    found = [one for one in record.test.network_bins if endpoint == f"AP_{one.name}"]
    return replace(found[0], AP=None) if found else None


def _few_objects(arm: Arm, endpoint: str) -> str:
    """Return that a class or a size has too few test objects for a verdict, or an empty string."""
    if not arm.records:
        return ""
    test = arm.records[0].test
    counts = {f"AP50/{one.name}": one.objects for one in test.classes}
    counts |= {f"AP_{one.name}": one.objects for one in test.network_bins}
    objects = counts.get(endpoint, FEW_OBJECTS)
    return f"too few objects ({objects})" if objects < FEW_OBJECTS else ""
