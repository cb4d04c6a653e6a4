"""Faults of a data set: all are collected, then refused in one message or dropped and logged."""

import logging
from collections import Counter
from enum import StrEnum
from pathlib import Path

from gffpn.data.index import DataError

logger = logging.getLogger(__name__)

SHOWN = 20
ON_ERROR = ("raise", "skip")


class Kind(StrEnum):
    """What can be wrong; the words stand in the message."""

    MISSING_FOLDER = "missing folder or file"
    EMPTY_SPLIT = "empty split"
    CLASSES = "class names that cannot be used"
    UNREADABLE_FILE = "unreadable file"
    MISSING_IMAGE = "missing image"
    MISSING_ANNOTATION = "missing annotation"
    OUTSIDE_ROOT = "path that leaves the root"
    UNREADABLE_IMAGE = "unreadable image"
    UNREADABLE_ANNOTATION = "unreadable annotation"
    WRONG_SIZE = "annotated size differs from the image"
    UNKNOWN_CLASS = "unknown class"
    NOT_FINITE = "box that is not finite"
    EMPTY_BOX = "box without area"
    BOX_OUTSIDE = "box outside its image"
    DUPLICATE = "duplicate"
    TWO_SPLITS = "image in two splits"


FATAL = frozenset({Kind.MISSING_FOLDER, Kind.EMPTY_SPLIT, Kind.CLASSES, Kind.UNREADABLE_FILE})


class Faults:
    """Collects (kind, what) pairs. `on_error="skip"` forgives all but the fatal kinds.

    Counts, kept apart, are repairs that change no meaning: a duplicate box dropped, a border clipped.
    """

    def __init__(self, root: Path, on_error: str) -> None:
        self.root = root
        self._skips = on_error == "skip"
        self._found: dict[Kind, list[str]] = {}
        self._repairs: Counter[str] = Counter()

    def add(self, kind: Kind, what: str) -> None:
        """Note a fault; `what` names the file and tells what was found and expected."""
        self._found.setdefault(kind, []).append(what)

    def count(self, repair: str, number: int = 1) -> None:
        """Note harmless repairs, to be logged as one number."""
        self._repairs[repair] += number

    def settle(self) -> None:
        """Raise DataError with every fault, or log each one that is forgiven; then forget them."""
        if any(kind in FATAL or not self._skips for kind in self._found):
            raise DataError(self._message())
        for kind, whats in self._found.items():
            for what in whats:
                logger.warning("%s: dropped, %s: %s", self.root, kind, what)
        for repair, number in self._repairs.items():
            if number:
                logger.info("%s: %s: %d", self.root, repair, number)
        self._found.clear()
        self._repairs.clear()

    def _message(self) -> str:
        total = sum(map(len, self._found.values()))
        lines = [f"{self.root}: {total} fault{'s' if total > 1 else ''} in the data set"]
        share = max(1, SHOWN // len(self._found))
        for kind, whats in sorted(self._found.items(), key=lambda item: list(Kind).index(item[0])):
            lines.append(f"{kind} ({len(whats)}):")
            lines += [f"  {what}" for what in whats[:share]]
            if len(whats) > share:
                lines.append(f"  ... and {len(whats) - share} more")
        if not FATAL & self._found.keys():
            lines.append("Mend them, or drop what is bad with data.on_error=skip.")
        return "\n".join(lines)
