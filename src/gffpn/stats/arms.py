"""The arms of an experiment, and the contrasts between them that it declares."""

import difflib
import re
from collections.abc import Mapping, Sequence
from itertools import product

SEED = "seed"
OF_DATA = ("data", "image_size", "scale")
"""Settings on which the data depend, those of simulated images on their size; `data` stands for all of it."""
Settings = Mapping[str, str]
"""Overrides by key."""


def settings(overrides: Sequence[str]) -> dict[str, str]:
    """Return overrides as a dictionary: `["neck='fpn'", "seed=1"]` -> `{"neck": "fpn", "seed": "1"}`."""
    pairs = [override.lstrip("+~").split("=", 1) for override in overrides if "=" in override]
    return {key: _unquoted(value) for key, value in pairs}


def _unquoted(value: str) -> str:
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    return value[1:-1] if quoted else value


def differing(chosen: Sequence[Settings]) -> list[str]:
    """Return the keys whose values differ, in the order in which they first appear."""
    keys = dict.fromkeys(key for one in chosen for key in one)
    return [key for key in keys if len({one.get(key) for one in chosen}) > 1]


class Arms:
    """The arms of an experiment: what its runs have in common that differ only in their seed."""

    def __init__(
        self, runs: Sequence[Sequence[str]], declared: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        """Read the overrides of each run, in the order of the sweep.

        `declared` are the overrides of the arms that the experiment's file names.
        """
        chosen = [{key: value for key, value in settings(one).items() if key != SEED} for one in runs]
        self.axes = differing(chosen)
        """Keys by which the arms differ."""
        points = [tuple(one.get(axis) for axis in self.axes) for one in chosen]
        self._points = list(dict.fromkeys(points))
        self.of_run = [self._points.index(point) for point in points]
        """Position of each run's arm."""
        named = {name: settings(overrides) for name, overrides in (declared or {}).items()}
        keys = {key for arm in named.values() for key in arm}
        self._of_file = [at for at, axis in enumerate(self.axes) if axis in keys]
        self._declared = [
            _declared(chosen[self.of_run.index(at)], named, keys) for at in range(len(self._points))
        ]
        first = chosen[0] if chosen else {}
        alone = first.get("neck") or next(iter(first.values()), "the run")
        short = [self._name(at) or alone for at in range(len(self._points))]
        self.names = [
            self._name(at, keys=True) if short.count(name) > 1 else name for at, name in enumerate(short)
        ]
        """Name of each arm: that in the file, or its values, with the key where one says nothing alone."""

    def _name(self, at: int, *, keys: bool = False) -> str:
        """Return an arm in words: its name in the file, and the values that it does not stand for.

        A value has its key with it, always or only where it says nothing alone. Of several axes, only those
        are named that the arm sets.
        """
        declared = self._declared[at]
        values = [*zip(self.axes, self._points[at], strict=True)]
        if declared is not None:
            values = [value for place, value in enumerate(values) if place not in self._of_file]
        if declared is not None or len(values) > 1:
            values = [(axis, value) for axis, value in values if value is not None]
        words = [
            f"{axis.rpartition('.')[2]}={value}" if keys else _word(axis, value) for axis, value in values
        ]
        if declared is not None:
            return " ".join([declared, *words])
        return " ".join(words) or ("default" if self.axes else "")

    @property
    def one_run_each(self) -> bool:
        """True if no arm has several runs."""
        return len(self.names) == len(self.of_run)

    def contrasts(
        self, declared: Sequence[Sequence[str]], tested_on: Sequence[str] = ()
    ) -> list[tuple[int, int]]:
        """Return the declared contrasts as pairs of arms.

        Each side of a contrast names an arm by its name in the file, by one or several of its values, or as
        `key=value`. If it leaves out some of the axes, the arms are compared at each of their settings.
        Raises ValueError for a side that names no arm, or several ones for one arm of the other side.

        Without declared ones, each arm stands against the first one on its data from which it differs in one
        axis, or, if there is none, against the first one on its data. `tested_on` names the test images of
        each arm, empty where they are unknown.
        """
        if not declared:
            return self._default(tested_on or [""] * len(self.names))
        pairs = [pair for contrast in declared for pair in self._pairs(contrast)]
        return list(dict.fromkeys(pairs))

    def _default(self, tested_on: Sequence[str]) -> list[tuple[int, int]]:
        found = list[tuple[int, int]]()
        for arm in range(len(self.names)):
            known = [one for one in range(arm) if self._on_equal_data(arm, one, tested_on)]
            nearest = [one for one in known if self.steps(arm, one) == 1]
            found += [(arm, one) for one in [*nearest, *known][:1]]
        return found

    def _on_equal_data(self, one: int, other: int, tested_on: Sequence[str]) -> bool:
        """Return whether two arms share their test images, for all that is known."""
        keys = [self.axes[at] for at in self._differing(one, other)]
        if not any(key == "data" or key.startswith("data.") for key in keys):
            return True
        if tested_on[one] and tested_on[other]:  # equal for other numbers of training images, for instance
            return tested_on[one] == tested_on[other]
        return not {"data", "data.root"} & set(keys)

    def steps(self, one: int, other: int) -> int:
        """Return in how many axes two arms differ, by position; those of the file's arms count as one."""
        found = self._differing(one, other)
        return len(found - set(self._of_file)) + bool(found & set(self._of_file))

    def applicable(self, declared: Sequence[Sequence[str]]) -> tuple[list[Sequence[str]], list[str]]:
        """Return the declared contrasts whose arms are among these, and a note on each other one."""
        faults = {tuple(contrast): self.fault(contrast) for contrast in declared}
        kept = [contrast for contrast in declared if not faults[tuple(contrast)]]
        return kept, [f"not compared: {fault}" for fault in faults.values() if fault]

    def fault(self, contrast: Sequence[str]) -> str:
        """Return why a contrast compares no two of these arms, or an empty string."""
        try:
            self._pairs(contrast)
        except ValueError as error:
            return str(error)
        return ""

    def _pairs(self, contrast: Sequence[str]) -> list[tuple[int, int]]:
        said = f"experiment.contrasts: [{', '.join(map(str, contrast))}]"
        if len(contrast) != 2:
            raise ValueError(f"{said}: expected two arms")
        one, other = (self._side(str(side), said) for side in contrast)
        free = [at for at in range(len(self.axes)) if at not in one and at not in other]
        found = [
            (a, b)
            for a, b in product(self._matching(one), self._matching(other))
            if a != b and all(self._points[a][at] == self._points[b][at] for at in free)
        ]
        # what one side alone names holds for both, if such arms exist
        both = one.keys() & other.keys()
        alike = [(a, b) for a, b in found if self._differing(a, b) <= both]
        settings_of_others = {tuple(self._points[a][at] for at in free) for a, _ in found}
        found, unclear = alike or found, not alike and len(settings_of_others) < len(found)
        if (unclear or not found) and contrast[0] != contrast[1] and set(contrast) <= set(self.names):
            return [(self.names.index(contrast[0]), self.names.index(contrast[1]))]
        if unclear:
            raise ValueError(f"{said}: {self._ambiguous(found, contrast)}")
        if not found:
            raise ValueError(f"{said}: no two arms differ in this alone; the arms are {self._listed()}")
        return found

    def _differing(self, one: int, other: int) -> set[int]:
        """Return the positions of the axes in which two arms differ."""
        return {at for at in range(len(self.axes)) if self._points[one][at] != self._points[other][at]}

    def _ambiguous(self, found: Sequence[tuple[int, int]], contrast: Sequence[str]) -> str:
        """Return which side of a contrast names several arms for one of the other side."""
        sides = [list(dict.fromkeys(arms)) for arms in zip(*found, strict=True)]
        side, arms = max(zip(contrast, sides, strict=True), key=lambda one: len(one[1]))
        names = ", ".join(self.names[at] for at in arms)
        return f"{side} names several arms ({names}); name one of them"

    def _side(self, side: str, said: str) -> dict[int, str | None]:
        """Return the values that one side of a contrast names, or all values of the arm of this name."""
        if not side.strip():
            raise ValueError(f"{said}: an empty side names no arm; the arms are {self._listed()}")
        if side in self._declared:
            point = self._points[self._declared.index(side)]
            return {at: point[at] for at in self._of_file}
        try:
            return {**self._named(side, said)}
        except ValueError:
            if side not in self.names:
                raise
            return dict(enumerate(self._points[self.names.index(side)]))

    def _named(self, side: str, said: str) -> dict[int, str]:
        """Return the values that one side of a contrast names, by the position of their axis."""
        named = {}
        for word in side.split():
            places = [
                (at, value)
                for at, axis in enumerate(self.axes)
                for value in dict.fromkeys(point[at] for point in self._points)
                if value is not None
                and word in (value, f"{axis}={value}", f"{axis.rpartition('.')[2]}={value}")
            ]
            if not places:
                raise ValueError(f"{said}: {word} names no arm{self._nearest(word)}")
            if len(places) > 1:
                keys = " or ".join(f"{self.axes[at]}={value}" for at, value in places)
                raise ValueError(f"{said}: {word} has several meanings; write {keys}")
            named[places[0][0]] = places[0][1]
        return named

    def _matching(self, named: Mapping[int, str | None]) -> list[int]:
        return [
            at
            for at, point in enumerate(self._points)
            if all(point[axis] == value for axis, value in named.items())
        ]

    def _nearest(self, word: str) -> str:
        known = [value for point in self._points for value in point if value is not None]
        near = difflib.get_close_matches(word, known, n=1)
        return f"; did you mean {near[0]}?" if near else f"; the arms are {self._listed()}"

    def _listed(self) -> str:
        return ", ".join(self.names) or "none"


def _declared(chosen: Settings, named: Mapping[str, Settings], keys: set[str]) -> str | None:
    """Return the arm of the file that a run belongs to: of all `keys` of arms, it sets what this one does."""
    own = {key: value for key, value in chosen.items() if key in keys}
    return next((name for name, arm in named.items() if arm == own), None)


def _word(axis: str, value: str | None) -> str:
    """Return a value if it can stand alone, such as `fpn`, else with the last part of its key."""
    if value is not None and re.search(r"[A-Za-z]", value) and value not in ("true", "false", "null"):
        return value
    return f"{axis.rpartition('.')[2]}={'default' if value is None else value}"
