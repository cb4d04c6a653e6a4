"""Equal and nearly equal images of a set, which leak from one split into another.

Two images are near-duplicates if no cell of their 32 x 32 grey thumbnails differs by more than `TOLERANCE`:
another compression, another size or a little more light pass, a defect of a few cells does not. Mirrored,
turned or cropped copies are not found.
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

from gffpn.data.index import ImageRecord
from gffpn.machine.threads import in_threads

CELLS, COARSE = 32, 8
TOLERANCE = 10
"""Grey levels of 255. In NEU-DET, of 20 images saved again as JPEG of quality 30 none differs by more than 5;
no two of its 1,800 images but one exact pair are nearer than 13."""
_BLOCK = 512


class Thumbnail(NamedTuple):
    """The features of an image that are compared."""

    digest: bytes
    """Of the file's bytes."""
    grey: NDArray[np.uint8]
    """(32, 32)"""


class Pair(NamedTuple):
    """Positions of two images, the lower one first."""

    one: int
    other: int
    exact: bool
    """The files are equal byte for byte."""


def near_duplicates(records: Sequence[ImageRecord]) -> list[Pair]:
    """Return all pairs of equal or nearly equal images."""
    thumbnails = list(in_threads(_thumbnail, [record.path for record in records], "Comparing images"))
    grey = np.stack([thumbnail.grey for thumbnail in thumbnails])
    return [
        Pair(one, other, thumbnails[one].digest == thumbnails[other].digest)
        for one, other in close_pairs(grey, TOLERANCE)
    ]


def close_pairs(grey: NDArray[np.uint8], tolerance: int) -> Iterator[tuple[int, int]]:
    """Return the positions i < j of thumbnails (N, 32, 32) of which no cell differs by more than `tolerance`.

    None is missed: if no cell differs by more, then neither do the means of 4 x 4 cells, and so two such
    coarse thumbnails lie within 8 times `tolerance`, which one matrix product tests for all pairs.
    """
    step = CELLS // COARSE
    coarse = grey.reshape(-1, COARSE, step, COARSE, step).mean((2, 4), dtype=np.float64)
    points = (coarse.reshape(len(grey), -1) - 127.5).astype(np.float32)
    norms = (points**2).sum(1)
    bound = float(COARSE * tolerance) ** 2 + 1  # 1: float32
    for start in range(0, len(points), _BLOCK):
        block = slice(start, start + _BLOCK)
        distances = norms[block, None] + norms[None, start:] - 2 * points[block] @ points[start:].T
        for row, column in np.argwhere(np.triu(distances <= bound, k=1)).tolist():
            one, other = start + row, start + column
            if np.abs(grey[one].astype(np.int16) - grey[other]).max() <= tolerance:
                yield one, other


def _thumbnail(path: Path) -> Thumbnail:
    content = path.read_bytes()
    with Image.open(io.BytesIO(content)) as image:
        if isinstance(image, JpegImageFile):
            image.draft("L", (4 * CELLS, 4 * CELLS))  # decodes less, never below this size
        deep = image.mode.startswith("I")  # 16 bit grey, which Pillow would clip
        whole = Image.fromarray((np.asarray(image) // 256).astype(np.uint8)) if deep else image.convert("L")
        small = whole.resize((CELLS, CELLS), Image.Resampling.BOX)
        return Thumbnail(hashlib.sha256(content).digest(), np.asarray(small))
