"""Collection of the faults of a data set, which are then raised in one message, or dropped and logged."""

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
    """Kinds of faults, in the words that the message uses."""

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
    GREY_VALUES = "mask of several grey values"
    CORNERS = "corners that are not counted from 1"
    SHAPE = "shape other than an upright box"
    WRONG_SIZE = "annotated size differs from the image"
    UNKNOWN_CLASS = "unknown class"
    NOT_FINITE = "box that is not finite"
    EMPTY_BOX = "box without area"
    BOX_OUTSIDE = "box outside its image"
    DUPLICATE = "duplicate"
    TWO_SPLITS = "image in two splits"
    CROWD = "many crowd annotations"
    EMPTY_SPLIT = "empty split"  # last, because the faults above may have emptied it


FATAL = frozenset(
    {
        Kind.MISSING_FOLDER,
        Kind.EMPTY_SPLIT,
        Kind.CLASSES,
        Kind.UNREADABLE_FILE,
        Kind.OTHER_FORM,
        Kind.CROWD,
        Kind.CORNERS,
    }
)

DECIDED = frozenset({Kind.MISSING_ANNOTATION, Kind.CROWD, Kind.SHAPE, Kind.CORNERS, Kind.GREY_VALUES})
"""Kinds about which an argument of their own decides, so that no good part needs to be dropped."""

_CONVERT = "convert the files, or data.unusual_images=convert"
_DRAW = "draw the box again, or remove it from the file"
ADVICE: Mapping[str, str] = {
    Kind.MISSING_FOLDER: "correct the argument that names it; leave out val or test if it has no annotations,"
    " it is then drawn from train",
    Kind.CLASSES: "correct the names in the files",
    Kind.UNREADABLE_FILE: "export it again",
    Kind.OTHER_FORM: "choose the reader of this form; data=auto recognises many",
    Kind.MISSING_IMAGE: "export the images, too, or remove the annotations of those that are gone",
    Kind.MISSING_ANNOTATION: "data.unlabelled=background if these images show no object, data.unlabelled=drop"
    " to leave them out; otherwise label them",
    Kind.UNREADABLE_IMAGE: "copy or export the image again",
    Kind.WRONG_FORMAT: "export in the expected format, or choose the reader of the found one",
    Kind.UNREADABLE_ANNOTATION: "correct the entry, or export it again",
    Kind.WRONG_SIZE: "the boxes may belong to another version of the image: export both together",
    Kind.UNKNOWN_CLASS: "correct the name or number, or add the class to the set's names or to data.classes,"
    " which orders the names of a set and renames none",
    Kind.NOT_FINITE: _DRAW,
    Kind.EMPTY_BOX: _DRAW,
    Kind.DEEP_IMAGE: f"{_CONVERT}, which scales 65535 to 255: images from a 12-bit camera turn nearly black",
    Kind.PALETTE_IMAGE: f"is it a mask? If not, {_CONVERT}, which looks up the colours",
    Kind.CMYK_IMAGE: f"{_CONVERT}, which turns them into RGB and ignores their colour profile",
    Kind.OTHER_COLOURS: f"{_CONVERT}, which lets Pillow convert them to RGB",
    Kind.ROTATED_IMAGE: f"{_CONVERT}, which rotates them upright: correct if the boxes were drawn that way",
    Kind.TRANSPARENT_IMAGE: f"{_CONVERT}, which drops the transparency: hidden colours become visible",
    Kind.SEVERAL_FRAMES: f"{_CONVERT}, which takes the first frame",
    Kind.GREY_VALUES: "data.values={1: NAME, 2: NAME} if each value is a class;"
    " data.objects=values if each is an object;"
    " data.threshold=127 if they come from smoothing or JPEG compression",
    Kind.CORNERS: "data.corners=edges if xmax - xmin is the width, as CVAT and Datumaro write it;"
    " data.corners=pixels_from_0 if xmax is the last pixel, counted from 0;"
    " data.corners=pixels_from_1 if these boxes are mistakes, to be clipped",
    Kind.SHAPE: "data.shapes=enclose takes the upright box around it",
    Kind.BOX_OUTSIDE: "data.outside=clip cuts boxes at the border",
    Kind.DUPLICATE: "keep one of them",
    Kind.TWO_SPLITS: "a result on images of train, or of val, which chooses the epoch, is meaningless: keep"
    " each image in one split; a split that is not given is drawn from train",
    Kind.CROWD: "data.crowd=object if they are ordinary objects, such as the brush masks of CVAT;"
    " data.crowd=ignore if they mark regions that training leaves out and evaluation ignores",
    Kind.OUTSIDE_ROOT: "move the file below data.root, link to it from there, or widen data.root; if it lies"
    " there already, write its path below the folder of images into the annotations",
}
"""Cure of each kind but an empty split, whose entries name it."""


class FaultyData(DataError):
    """Raised with every fault of a data set, by kind; the message abbreviates a long list."""

    def __init__(self, root: Path, found: Mapping[Kind, Sequence[str]], *, skips: bool) -> None:
        self.root = root
        self.found = {kind: tuple(found[kind]) for kind in Kind if kind in found}
        self._skips = skips
        super().__init__(self.report(max(1, SHOWN // len(self.found))))

    def report(self, share: int | None = None) -> str:
        """Return the message with at most `share` faults per kind, or with all faults if it is None."""
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
        if DECIDED.issuperset(self.found):
            return "Choose by the arguments above."
        if not fatal:
            return "Fix them, or drop the faulty entries with data.on_error=skip."
        return f"data.on_error=skip cannot drop: {', '.join(fatal)}." if self._skips else "Fix them."


class Faults:
    """Collection of faults as (kind, description) pairs; `on_error="skip"` tolerates all but the fatal kinds.

    Repairs that do not change the meaning, such as dropping a duplicate box or clipping a border, are counted
    separately.
    """

    def __init__(self, root: Path, on_error: str) -> None:
        self.root = root
        self._skips = on_error == "skip"
        self._found: dict[Kind, list[str]] = {}
        self._repairs: Counter[str] = Counter()

    def add(self, kind: Kind, what: str) -> None:
        """Record a fault; `what` names the file and says what was found and what was expected."""
        # the name or text of a file may contain characters that break a line or a terminal
        printable = "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in what)
        self._found.setdefault(kind, []).append(printable)

    def number(self, kind: Kind | None = None) -> int:
        """Return the number of faults of a kind, or of all kinds."""
        return len(self._found.get(kind, ())) if kind else sum(map(len, self._found.values()))

    @property
    def refuses(self) -> bool:
        """True if `settle` will raise an error."""
        return any(kind in FATAL or not self._skips for kind in self._found)

    def count(self, repair: str, number: int = 1) -> None:
        """Count harmless repairs, which are logged as one number."""
        self._repairs[repair] += number

    def settle(self) -> dict[str, int]:
        """Raise FaultyData with every fault, or, if all are tolerated, log each one and clear them.

        Returns the number of dropped or repaired entries, by description.
        """
        if self.refuses:
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
