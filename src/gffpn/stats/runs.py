"""Runs of an experiment, and its arms: the runs that differ only in their seed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gffpn.figures import Figure
from gffpn.runs.record import Record
from gffpn.stats.arms import settings
from gffpn.stats.estimate import Sample
from gffpn.stats.replicates import Replicates


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


def distinct(arms: Sequence[Arm]) -> list[Arm]:
    """Return the arms without those whose runs an earlier one has, which are no further seeds."""
    found, counted = list[Arm](), set[Path]()
    for arm in arms:
        if not arm.folders & counted:
            found.append(arm)
            counted |= arm.folders
    return found
