"""The result of every reader: the images of a data set, their boxes and their splits."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SPLITS = ("train", "val", "test")


class DataError(ValueError):
    """A data set that cannot be used as it is; the message names each file and its fault."""


@dataclass(frozen=True)
class ImageRecord:
    """One image and its ground truth."""

    path: Path
    name: str
    """Identifies the image within its data set: the path below the root, with forward slashes."""
    height: int
    width: int
    boxes: NDArray[np.float32]
    """(M, 4) xyxy in native pixels, 0 <= x1 < x2 <= width."""
    labels: NDArray[np.int64]
    """(M,) positions in the data set's `classes`."""
    group: str = ""
    """Images that share an origin share a group; empty: the image is its own group."""


@dataclass(frozen=True)
class DataIndex:
    """A data set: class names and the images of each split."""

    classes: tuple[str, ...]
    splits: Mapping[str, tuple[ImageRecord, ...]]
    origin: str = ""
    """Names how the pixels came about where that is known (a simulator's version and dials); else empty."""
    simulated: bool = False
    mended: Mapping[str, int] = field(default_factory=dict)
    """How often what was dropped or repaired while reading."""

    @property
    def fingerprint(self) -> str:
        """12 hex digits over classes and records; not the folder nor (with no `origin`) the pixels."""
        digest = hashlib.sha256("\n".join([self.origin, *self.classes]).encode())
        for split, records in sorted(self.splits.items()):
            digest.update(f"\n{split} {len(records)}\n".encode())
            for record in records:
                digest.update(f"{record.name} {record.height} {record.width} {record.group}\n".encode())
                digest.update(np.ascontiguousarray(record.boxes, dtype="<f4").tobytes())
                digest.update(np.ascontiguousarray(record.labels, dtype="<i8").tobytes())
        return digest.hexdigest()[:12]
