"""Data index, the result of every reader: the images of a data set, their boxes and their splits."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

SPLITS = ("train", "val", "test")


class DataError(ValueError):
    """Raised for a data set that cannot be used; the message names each file and its fault."""


@dataclass(frozen=True)
class ImageRecord:
    """One image and its ground truth."""

    path: Path
    name: str
    """Unique name within the data set: the path relative to the root, with forward slashes."""
    height: int
    width: int
    boxes: NDArray[np.float32]
    """(M, 4) xyxy in native pixels, with 0 <= x1 < x2 <= width and likewise for y."""
    labels: NDArray[np.int64]
    """(M,) positions in the data set's `classes`."""
    group: str = ""
    """Group of the images with the same origin; if empty, the image is its own group."""
    content: str = ""
    """Digest of the file's contents."""
    crowd: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))
    """(M,) true for a crowd region: a box around objects that were not annotated one by one. Evaluation
    ignores what is detected there, and training leaves the box out. If not given, no box is one."""

    def __post_init__(self) -> None:
        if len(self.crowd) == 0:
            object.__setattr__(self, "crowd", np.zeros(len(self.labels), np.bool_))
        assert len(self.crowd) == len(self.labels)

    @property
    def has_crowd(self) -> bool:
        """True if any box is a crowd region."""
        return any(self.crowd.tolist())  # for few boxes, faster than NumPy's

    @property
    def objects(self) -> Self:
        """This record without its crowd regions."""
        if not self.has_crowd:
            return self
        kept = ~self.crowd
        return replace(self, boxes=self.boxes[kept], labels=self.labels[kept], crowd=self.crowd[kept])


@dataclass(frozen=True)
class DataIndex:
    """Class names of a data set and the images of each split."""

    classes: tuple[str, ...]
    splits: Mapping[str, tuple[ImageRecord, ...]]
    origin: str = ""
    """Origin of the pixels if it is known (the version and dials of a simulator), else empty."""
    simulated: bool = False
    mended: Mapping[str, int] = field(default_factory=dict)
    """Number of entries that were dropped or repaired while reading, by kind."""

    @cached_property
    def fingerprint(self) -> str:
        """12 hex digits of a hash of the origin, the classes and the records with their contents.

        It does not cover the folder. An `origin` stands for the contents: files that a simulator writes may
        differ in their compression, but not in their pixels.
        """
        digest = hashlib.sha256("\n".join([self.origin, *self.classes]).encode())
        for split, records in sorted(self.splits.items()):
            digest.update(f"\n{split} {len(records)}\n".encode())
            for record in records:
                content = "" if self.origin else record.content
                facts = f"{record.name} {record.height} {record.width} {record.group} {content}\n"
                digest.update(facts.encode())
                digest.update(np.ascontiguousarray(record.boxes, dtype="<f4").tobytes())
                digest.update(np.ascontiguousarray(record.labels, dtype="<i8").tobytes())
                if record.has_crowd:
                    digest.update(b"crowd" + np.ascontiguousarray(record.crowd, dtype="u1").tobytes())
        return digest.hexdigest()[:12]
