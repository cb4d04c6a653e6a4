"""What an experiment asks, as its file declares it."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gffpn.metrics.matching import SIZE_EDGES, SizeRange, size_ranges
from gffpn.stats.arms import Arms

OF_A_CLASS = "AP50/"
"""Prefix of the endpoint of a class."""
ALPHA = 0.05
"""Probability with which a family of verdicts may err."""
FEW_OBJECTS = 20
"""A class or a size of object with fewer test objects gets an interval but no verdict."""
MARGIN = 0.01
"""Smallest difference that matters unless declared, in shares of 1: one point."""


@dataclass(frozen=True)
class Question:
    """What an experiment asks, as its file declares it."""

    claim: str | None = None
    primary_endpoint: str = "mAP50"
    arms: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Overrides of the arms that it names."""
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
    looks = experiment.get("looks") or ()
    if not isinstance(looks, Sequence) or any(type(look) is not int or look < 2 for look in looks):
        raise ValueError(
            f"experiment.looks: got {looks}, expected numbers of seeds from 2 up, such as [3, 6]"
        )
    return Question(
        claim=experiment.get("claim"),
        primary_endpoint=_endpoint(experiment.get("primary_endpoint")),
        arms={_word(name): tuple(map(str, words)) for name, words in (experiment.get("arms") or {}).items()},
        contrasts=_contrasts(experiment.get("contrasts") or ()),
        margin=_margin(experiment.get("margin", MARGIN)),
        looks=tuple(looks),
        paper_table=experiment.get("paper_table"),
        command=experiment.get("command"),
    )


def _endpoint(given: object) -> str:
    """Return an endpoint without its split; that of a class is checked when the data are known."""
    name = str(given).removeprefix("test/")
    known = ["mAP50", "mAP50_95", *(f"AP_{one.name}" for one in size_ranges(SIZE_EDGES) if _in_network(one))]
    if str(given) == name or (name not in known and not name.startswith(OF_A_CLASS)):
        names = [f"test/{one}" for one in (*known, f"{OF_A_CLASS}CLASS")]
        near = difflib.get_close_matches(str(given), names, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(
            f"experiment.primary_endpoint: got {given}, expected one of {', '.join(names)}{hint}"
        )
    return name


def _in_network(size: SizeRange) -> bool:
    return size.name != "all" and not size.native


def _contrasts(given: object) -> tuple[tuple[str, str], ...]:
    fault = (
        f"experiment.contrasts: got {given}, expected pairs of arms, such as [[gffpn, fpn], [gffpn, panet]]"
    )
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise ValueError(fault)
    for pair in given:
        if not isinstance(pair, Sequence) or isinstance(pair, str) or len(pair) != 2:
            raise ValueError(fault)
    return tuple((_word(a), _word(b)) for a, b in given)


def _word(value: object) -> str:
    """Return a value as it stands in an override."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def _margin(given: object) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 < given < 1:
        raise ValueError(f"experiment.margin: got {given}, expected a share such as 0.01 for one point")
    return float(given)


def check_contrasts(asked: Question, *sweeps: Sequence[Sequence[str]]) -> None:
    """Raise ValueError for a declared contrast that names no arm in any of the sweeps.

    Each is given by the overrides of its runs: that of the experiment's file, and that of the command.
    """
    known = [Arms(runs, asked.arms) for runs in sweeps if runs]
    for contrast in asked.contrasts:
        faults = [fault for arms in known if (fault := arms.fault(contrast))]
        if len(faults) == len(known):
            raise ValueError(faults[0])


def check_class(asked: Question, classes: Sequence[str]) -> None:
    """Raise ValueError if the primary endpoint is that of a class that the data do not have."""
    name = asked.primary_endpoint.removeprefix(OF_A_CLASS)
    if name != asked.primary_endpoint and name not in classes:
        raise ValueError(
            f"experiment.primary_endpoint: the data have no class {name}, but {', '.join(classes)}"
        )
