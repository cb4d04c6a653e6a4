"""What an experiment asks, as its file declares it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gffpn.stats.arms import Arms

ALPHA = 0.05
"""Probability with which a family of verdicts may err."""
MARGIN = 0.01
"""Smallest difference that matters unless declared, in shares of 1: one point."""


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


def question(experiment: Mapping[str, Any]) -> Question:
    """Return the question of a configuration's `experiment`. Raises ValueError for a wrong value."""
    endpoint = str(experiment["primary_endpoint"])
    margin, looks = experiment.get("margin", MARGIN), experiment.get("looks") or ()
    if not endpoint.startswith("test/"):
        raise ValueError(f"experiment.primary_endpoint: got {endpoint}, expected a figure such as test/mAP50")
    if not 0 < float(margin) < 1:
        raise ValueError(f"experiment.margin: got {margin}, expected a share such as 0.01 for one point")
    if any(look < 2 for look in map(int, looks)):
        raise ValueError(f"experiment.looks: got {list(looks)}, expected numbers of seeds from 2 up")
    return Question(
        claim=experiment.get("claim"),
        primary_endpoint=endpoint.removeprefix("test/"),
        contrasts=tuple((str(a), str(b)) for a, b in experiment.get("contrasts") or ()),
        margin=float(margin),
        looks=tuple(map(int, looks)),
        paper_table=experiment.get("paper_table"),
        command=experiment.get("command"),
    )


def check_contrasts(asked: Question, runs: Sequence[Sequence[str]]) -> None:
    """Raise ValueError for a declared contrast that names no arm of the `runs`, given as overrides."""
    if asked.contrasts:
        Arms(runs).contrasts(asked.contrasts)
