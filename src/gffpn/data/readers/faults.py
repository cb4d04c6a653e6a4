"""Faults of a data set: all are collected, then refused in one message or dropped and logged."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path

from gffpn.data.index import DataError

logger = logging.getLogger(__name__)

SHOWN = 20
ON_ERROR = ("raise", "skip")


class Kind(StrEnum):
    """Kinds of faults; the words stand in the message."""

    MISSING_FOLDER = "missing folder or file"
    CLASSES = "class names that cannot be used"
    UNREADABLE_FILE = "unreadable file"
    OTHER_FORM = "data set of another form"
    MISSING_IMAGE = "missing image"
    MISSING_ANNOTATION = "missing annotation"
    OUTSIDE_ROOT = "path that leaves the root"
    UNREADABLE_IMAGE = "unreadable image"
    DEEP_IMAGE = "16-bit image"
    PALETTE_IMAGE = "palette image"
    CMYK_IMAGE = "CMYK image"
    OTHER_COLOURS = "image that is neither grey nor RGB"
    ROTATED_IMAGE = "EXIF-rotated image"
    TRANSPARENT_IMAGE = "transparent image"
    SEVERAL_FRAMES = "image of several frames"
    WRONG_FORMAT = "annotation in another format"
    UNREADABLE_ANNOTATION = "unreadable annotation"
    WRONG_SIZE = "annotated size differs from the image"
    UNKNOWN_CLASS = "unknown class"
    NOT_FINITE = "box that is not finite"
    EMPTY_BOX = "box without area"
    BOX_OUTSIDE = "box outside its image"
    DUPLICATE = "duplicate"
    TWO_SPLITS = "image in two splits"
    EMPTY_SPLIT = "empty split"  # last: what stands above may have emptied it


FATAL = frozenset(
    {Kind.MISSING_FOLDER, Kind.EMPTY_SPLIT, Kind.CLASSES, Kind.UNREADABLE_FILE, Kind.OTHER_FORM}
)

_CONVERT = "convert the files, or data.unusual_images=convert"
ADVICE: Mapping[str, str] = {
    Kind.DEEP_IMAGE: f"{_CONVERT}, which scales 65535 to 255: what a 12-bit camera wrote turns nearly black",
    Kind.PALETTE_IMAGE: f"is it a mask? If not, {_CONVERT}, which looks the colours up",
    Kind.CMYK_IMAGE: f"{_CONVERT}, which makes RGB of them without their colour profile",
    Kind.OTHER_COLOURS: f"{_CONVERT}, which lets Pillow turn them into RGB",
    Kind.ROTATED_IMAGE: f"{_CONVERT}, which turns pictures upright: right if boxes were drawn so",
    Kind.TRANSPARENT_IMAGE: f"{_CONVERT}, which drops the transparency: hidden colours come to light",
    Kind.SEVERAL_FRAMES: f"{_CONVERT}, which takes the first frame",
    Kind.DUPLICATE: "keep one of them",
    Kind.TWO_SPLITS: "a figure on images that were trained on tells nothing: keep them in one",
    Kind.OUTSIDE_ROOT: "move the file below data.root, or widen data.root",
}
"""The advice for a kind, where it depends on the kind alone."""


class FaultyData(DataError):
    """Every fault of a data set, by kind; `told()` is the whole list, the message a part of a long one."""

    def __init__(self, root: Path, found: Mapping[Kind, Sequence[str]], *, skips: bool) -> None:
        self.root = root
        self.found = {kind: tuple(found[kind]) for kind in Kind if kind in found}
        self._skips = skips
        super().__init__(self.told(max(1, SHOWN // len(self.found))))

    def told(self, share: int | None = None) -> str:
        """Return the message with at most `share` faults of each kind, or all of them for None."""
        total = sum(map(len, self.found.values()))
        lines = [f"{self.root}: {total} fault{'s' if total > 1 else ''} in the data set"]
        for kind, whats in self.found.items():
            lines.append(f"{kind} ({len(whats)}):" + (f" {ADVICE[kind]}" if kind in ADVICE else ""))
            lines += [f"  {what}" for what in whats[:share]]
            if share is not None and len(whats) > share:
                lines.append(f"  ... and {len(whats) - share} more; python -m gffpn data check lists all")
        lines.append(self._way_out())
        return "\n".join(lines)

    def _way_out(self) -> str:
        fatal = [kind for kind in self.found if kind in FATAL]
        if not fatal:
            return "Mend them, or drop what is bad with data.on_error=skip."
        return f"data.on_error=skip cannot drop: {', '.join(fatal)}." if self._skips else "Mend them."


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
        """Note a fault; `what` names the file and says what was found and expected."""
        # a file's name or text may hold what breaks a line or a terminal
        printable = "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in what)
        self._found.setdefault(kind, []).append(printable)

    def count(self, repair: str, number: int = 1) -> None:
        """Note harmless repairs, to be logged as one number."""
        self._repairs[repair] += number

    def settle(self) -> dict[str, int]:
        """Raise FaultyData with every fault, or log each one that is forgiven; then forget them.

        Gives how often what was dropped or repaired.
        """
        if any(kind in FATAL or not self._skips for kind in self._found):
            raise FaultyData(self.root, self._found, skips=self._skips)
        found = {kind: self._found[kind] for kind in Kind if kind in self._found}
        for kind, whats in found.items():
            for what in whats:
                logger.warning("%s: dropped, %s: %s", self.root, kind, what)
        dropped = {kind: len(whats) for kind, whats in found.items()}
        if dropped:
            counts = ", ".join(f"{number} {kind}" for kind, number in dropped.items())
            logger.warning("%s: dropped %d: %s", self.root, sum(dropped.values()), counts)
        repaired = {repair: number for repair, number in self._repairs.items() if number}
        for repair, number in repaired.items():
            logger.info("%s: %s: %d", self.root, repair, number)
        self._found.clear()
        self._repairs.clear()
        return {f"dropped, {kind}": number for kind, number in dropped.items()} | repaired
