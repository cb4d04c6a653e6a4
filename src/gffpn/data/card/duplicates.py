"""Detection of identical and nearly identical images, which leak data from one split into another.

Two images are near-duplicates if no cell of their 32 x 32 grey thumbnails differs by more than `TOLERANCE`.
This allows for recompression, resizing and slightly more light, but not for a defect that covers a few cells.
Mirrored, rotated or cropped copies are not found.
"""

import hashlib
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from scipy.spatial import KDTree

from gffpn.data.index import ImageRecord
from gffpn.machine.threads import in_threads

CELLS, COARSE = 32, 8
TOLERANCE = 10
"""Grey levels, out of 255. In NEU-DET, none of 20 images saved again as JPEG of quality 30 differs by more
than 5; apart from one exact pair, no two of its 1,800 images differ by less than 13."""
_BLOCK = 64
"""Number of images whose neighbours are in memory at a time; each image may be a neighbour of all others."""


class Thumbnail(NamedTuple):
    """Features of an image that are compared with those of other images."""

    digest: bytes
    """SHA-256 of the file's bytes."""
    grey: NDArray[np.uint8]
    """Grey values (32, 32)."""


class Pair(NamedTuple):
    """Positions of two near-duplicate images, the lower one first."""

    one: int
    other: int
    exact: bool
    """True if the files are equal byte for byte."""


def near_duplicates(records: Sequence[ImageRecord]) -> list[Pair]:
    """Return all pairs of identical or nearly identical images."""
    thumbnails = list(in_threads(_thumbnail, [record.path for record in records], "Comparing images"))
    grey = np.stack([thumbnail.grey for thumbnail in thumbnails])
    return [
        Pair(one, other, thumbnails[one].digest == thumbnails[other].digest)
        for one, other in close_pairs(grey, TOLERANCE)
    ]


def close_pairs(grey: NDArray[np.uint8], tolerance: int) -> Iterator[tuple[int, int]]:
    """Yield the positions i < j of thumbnails (N, 32, 32) in which no cell differs by more than `tolerance`.

    No such pair is missed: if no cell differs by more than `tolerance`, neither does any mean of 4 x 4 cells.
    A tree over 16 of these means, spread evenly, finds the few pairs to be compared cell by cell.
    """
    step = CELLS // COARSE
    means = grey.reshape(-1, COARSE, step, COARSE, step).mean((2, 4), dtype=np.float64)
    places = means[:, 1::2, 1::2].reshape(len(grey), -1)
    tree = KDTree(places)
    for start in range(0, len(grey), _BLOCK):
        near = tree.query_ball_point(places[start : start + _BLOCK], tolerance, p=np.inf)
        for one, found in enumerate(near, start):
            later = sorted(other for other in found if other > one)
            differences = np.abs(grey[later].astype(np.int16) - grey[one]).max((1, 2)) if later else ()
            yield from ((one, k) for k, most in zip(later, differences, strict=True) if most <= tolerance)


def _thumbnail(path: Path) -> Thumbnail:
    content = path.read_bytes()
    with Image.open(io.BytesIO(content)) as image:
        if isinstance(image, JpegImageFile):
            image.draft("L", (4 * CELLS, 4 * CELLS))  # decodes a smaller image, but none below this size
        deep = image.mode.startswith("I")  # 16-bit grey, which Pillow would clip
        whole = Image.fromarray((np.asarray(image) // 256).astype(np.uint8)) if deep else image.convert("L")
        small = whole.resize((CELLS, CELLS), Image.Resampling.BOX)
        return Thumbnail(hashlib.sha256(content).digest(), np.asarray(small))
