"""Conversion of annotations to checked records, shared by all readers."""

import logging
import os
import re
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from gffpn.choice import one_of
from gffpn.data.index import SPLITS, DataError, DataIndex, ImageRecord
from gffpn.data.readers.annotation import Annotation, Arrays, Box, Outside, checked_boxes, clear_boxes
from gffpn.data.readers.copies import warn_of_copies
from gffpn.data.readers.faults import ON_ERROR, SHOWN, Faults, Kind
from gffpn.data.readers.file_names import near_miss
from gffpn.data.readers.images import SUFFIXES
from gffpn.data.readers.inspection import Seen, inspect
from gffpn.data.readers.listing import listed, suffix_of
from gffpn.data.readers.root import Root, below
from gffpn.data.readers.splits import Partition
from gffpn.files.content import stamp_of

logger = logging.getLogger(__name__)

UNUSUAL = ("refuse", "convert")


class Intake:
    """Validation of annotations against their images, and construction of the index.

    The arguments are those of `Reader`. Raises ValueError for a value that `Reader` does not allow.
    """

    def __init__(
        self,
        *,
        root: str | None,
        classes: Sequence[str] | None,
        partition: Partition,
        group_pattern: str | None,
        outside: Outside,
        unusual_images: str,
        on_error: str,
        cache_dir: Path,
    ) -> None:
        if on_error not in ON_ERROR:
            raise ValueError(f"on_error: got {on_error!r}, expected one of {list(ON_ERROR)}")
        if unusual_images not in UNUSUAL:
            raise ValueError(f"unusual_images: got {unusual_images!r}, expected one of {list(UNUSUAL)}")
        if classes is not None and (not classes or len(set(classes)) < len(classes)):
            raise ValueError(f"classes: got {list(classes)}, expected different names, or null")
        given: Sequence[object] = classes or ()  # YAML does not know that these are names
        if any(name is None or isinstance(name, bool) for name in given):
            raise ValueError(
                f"classes: got {list(classes or ())}, expected names: put yes, no, on, off, true,"
                " false and null in quotes"
            )
        self.classes = None if classes is None else tuple(map(str, classes))
        self.partition = partition
        self._root = root
        one_of("outside", outside, Outside)
        self._outside: Outside = outside
        self._converts = unusual_images == "convert"
        self._on_error = on_error
        self._cache_dir = cache_dir
        self._group = None if group_pattern is None else _pattern(group_pattern)

    def open(self, holds: str) -> tuple[Root, Faults]:
        """Return the root and an empty collection of faults; `holds` names the root's expected contents."""
        root = Root(self._root, holds)
        return root, Faults(root.path, self._on_error)

    def index(
        self,
        root: Root,
        annotated: Mapping[str, Sequence[Annotation]],
        classes: Sequence[str],
        faults: Faults,
    ) -> DataIndex:
        """Check everything, draw the missing splits, settle the faults, and return the index."""
        if len(set(classes)) < len(classes):
            faults.add(Kind.CLASSES, f"{list(classes)}: expected each class once")
        elif not classes and not faults.refuses:  # otherwise, the faults hide the names
            faults.add(Kind.CLASSES, "no annotation names a class: label the objects")
        labels = {name: label for label, name in enumerate(classes)}
        files = {
            split: [(a, *file) for a in found if (file := _file(root, a, faults)) is not None]
            for split, found in annotated.items()
        }
        stamps = {path: stamp for found in files.values() for _, path, stamp in found}
        inspected = inspect(stamps, self._cache_dir)
        parts: dict[str, list[ImageRecord]] = {}
        for split, found in files.items():
            seen = [inspected[path] for _, path, _ in found]
            clear = clear_boxes([a for a, *_ in found], list(map(_size, seen)), labels)
            records = (
                self._record(a, path, image, arrays, labels, faults)
                for (a, path, _), image, arrays in zip(found, seen, clear, strict=True)
            )
            parts[split] = [record for record in records if record is not None]
        splits = self.partition.complete(parts, faults)
        mended = faults.settle()
        _log(root, splits, classes)
        if self._group is None:
            warn_of_copies(root.path, splits, drawn=len(annotated) < len(SPLITS))
        return DataIndex(tuple(classes), splits, mended=mended)

    def _record(
        self,
        annotation: Annotation,
        path: Path,
        seen: Seen | DataError,
        arrays: Arrays | None,
        labels: Mapping[str, int],
        faults: Faults,
    ) -> ImageRecord | None:
        if isinstance(seen, DataError):
            faults.add(Kind.UNREADABLE_IMAGE, str(seen))
            return None
        height, width, unusual = seen.look
        if unusual and not self._converts:
            for kind, what in unusual:
                faults.add(Kind(kind), f"{annotation.image}: {what}")
            return None
        for kind, _ in unusual:
            faults.count(f"{kind} converted")
        if annotation.size not in (None, (height, width)):
            faults.add(
                Kind.WRONG_SIZE,
                f"{annotation.source}: (height, width) {annotation.size}, the image has {(height, width)}"
                " after its EXIF rotation",
            )
            return None
        repeated = 0
        if arrays is None:
            valid = list(checked_boxes(annotation, height, width, labels, self._outside, faults))
            arrays, repeated = _different(valid)
        faults.count("exact duplicates of boxes dropped", repeated)
        match = self._group.search(PurePosixPath(annotation.image).stem) if self._group else None
        return ImageRecord(
            path=path,
            name=below(".", annotation.image),
            height=height,
            width=width,
            boxes=arrays.boxes,
            labels=arrays.labels,
            group=match[1] if match else annotation.group,
            content=seen.content,
            crowd=arrays.crowd,
        )


def _size(seen: Seen | DataError) -> tuple[int, int]:
    return (0, 0) if isinstance(seen, DataError) else (seen.look.height, seen.look.width)


def _different(boxes: Sequence[tuple[Box, int, bool]]) -> tuple[Arrays, int]:
    """Return boxes without exact duplicates, and the number of these."""
    found = dict.fromkeys(boxes)
    corners, classes, crowd = zip(*found, strict=True) if found else ((), (), ())
    arrays = Arrays(
        np.array(corners, np.float32).reshape(-1, 4), np.array(classes, np.int64), np.array(crowd, np.bool_)
    )
    return arrays, len(boxes) - len(found)


def _file(root: Root, annotation: Annotation, faults: Faults) -> tuple[Path, list[int]] | None:
    """Return the path and the stamp of an image, or record a fault and return None."""
    located = root.located(annotation.image)
    if located is None:
        hint = _nearest(root, annotation, Kind.OUTSIDE_ROOT, faults)
        faults.add(Kind.OUTSIDE_ROOT, f"{annotation.source}: {annotation.image}{hint}")
    elif (status := located[1]) is None or not stat.S_ISREG(status.st_mode):
        tail = annotation.image.partition("/")[2]
        other = root.inside(tail) if tail else None
        if other and os.path.isfile(other):
            hint = f", but {tail} exists: try data.images=."
        else:
            hint = _nearest(root, annotation, Kind.MISSING_IMAGE, faults)
        faults.add(Kind.MISSING_IMAGE, f"{annotation.source}: {annotation.image}: no such file{hint}")
    else:
        return Path(located[0]), stamp_of(status)
    return None


def _nearest(root: Root, annotation: Annotation, kind: Kind, faults: Faults) -> str:
    # looking through all files takes time, and the message shows few of the faults
    if faults.number(kind) >= SHOWN:
        return ""
    return near_miss([name for name in listed(root.path) if suffix_of(name) in SUFFIXES], annotation.image)


def _pattern(text: str) -> re.Pattern[str]:
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise ValueError(f"group_pattern: got {text!r}, expected a regular expression: {error}") from error
    if pattern.groups < 1:
        raise ValueError(f"group_pattern: got {text!r}, expected a group in round brackets")
    return pattern


def _log(root: Root, splits: Mapping[str, Sequence[ImageRecord]], classes: Sequence[str]) -> None:
    for split in SPLITS:
        labels = np.concatenate([record.objects.labels for record in splits[split]])
        boxes = np.bincount(labels, minlength=len(classes)).tolist()
        crowds = sum(int(record.crowd.sum()) for record in splits[split] if record.has_crowd)
        more = f", {crowds} crowd regions" if crowds else ""
        logger.info(
            "%s: %s has %d images, %d boxes%s", root.path, split, len(splits[split]), len(labels), more
        )
        absent = [name for name, number in zip(classes, boxes, strict=True) if number == 0]
        if absent:
            logger.warning("%s: %s has no box of %s", root.path, split, ", ".join(absent))
