"""Detection of identical and nearly identical images, which leak data from one split into another.

Two images are near-duplicates if no cell of their 32 x 32 grey thumbnails differs by more than `TOLERANCE`.
This allows for recompression, resizing and slightly more light, but not for a defect that covers a few cells.
Mirrored, rotated or cropped copies are not found.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from scipy.spatial import KDTree

from gffpn.data.index import ImageRecord
from gffpn.data.readers.images import opened, upright_rgb
from gffpn.machine.threads import in_threads

CELLS, COARSE = 32, 8
TOLERANCE = 10
"""Grey levels, out of 255. In NEU-DET, none of 20 images saved again as JPEG of quality 30 differs by more
than 5; apart from one exact pair, no two of its 1,800 images differ by less than 13."""
_BLOCK = 64
"""Number of images whose neighbours are in memory at a time; each image may be a neighbour of all others."""


class Pair(NamedTuple):
    """Positions of two near-duplicate images, the lower one first."""

    one: int
    other: int
    exact: bool
    """True if the files are equal byte for byte."""


class Group(NamedTuple):
    """Images that are near-duplicates of each other, or connected by others."""

    images: tuple[int, ...]
    """Their positions, ascending."""
    pairs: tuple[Pair, ...]
    """Near-duplicates that connect them, one pair fewer than images."""

    @property
    def exact(self) -> bool:
        """True if all files are equal byte for byte."""
        return all(pair.exact for pair in self.pairs)


def near_duplicates(records: Sequence[ImageRecord]) -> list[Group]:
    """Return the groups of identical or nearly identical images."""
    grey = np.stack(list(in_threads(_thumbnail, [record.path for record in records], "Comparing images")))
    found: list[Group] = []
    for links in connections(grey, TOLERANCE):
        pairs = tuple(
            Pair(one, other, records[one].content == records[other].content) for one, other in links
        )
        found.append(Group(tuple(sorted({place for link in links for place in link})), pairs))
    return found


def connections(grey: NDArray[np.uint8], tolerance: int) -> list[list[tuple[int, int]]]:
    """Group thumbnails (N, 32, 32), and return the pairs (i, j), i < j, that connect each group.

    No cell differs by more than `tolerance` in a pair. There is one pair fewer than thumbnails in the group:
    all pairs of a thousand frames of one scene would be half a million.
    """
    groups, first = _Groups(len(grey)), dict[bytes, int]()
    for place, one in enumerate(grey):
        groups.connect(first.setdefault(one.tobytes(), place), place)
    distinct = np.array(list(first.values()))
    for position, others in _candidates(grey[distinct], tolerance):
        one, near = int(distinct[position]), distinct[others]
        apart = near[(near > one) & (groups.root[near] != groups.root[one])]
        most = np.abs(grey[apart].astype(np.int16) - grey[one]).max((1, 2), initial=0)
        for other in apart[most <= tolerance].tolist():
            groups.connect(one, other)
    return sorted(sorted(found) for found in groups.links if found)


class _Groups:
    """Groups of positions, each of which is alone at first."""

    def __init__(self, number: int) -> None:
        self.root = np.arange(number)
        """A position of the group of each position, the same one for all of a group."""
        self.links: list[list[tuple[int, int]]] = [[] for _ in range(number)]
        """Pairs that connected each group, by its root."""
        self._members = [[place] for place in range(number)]

    def connect(self, one: int, other: int) -> None:
        """Join the groups of two positions unless they are in one."""
        roots = {int(self.root[one]), int(self.root[other])}
        if len(roots) == 2:
            gone, kept = sorted(roots, key=lambda root: len(self._members[root]))
            self.root[self._members[gone]] = kept
            self._members[kept] += self._members[gone]
            self.links[kept] += [*self.links[gone], (one, other)]
            self._members[gone], self.links[gone] = [], []


def _candidates(grey: NDArray[np.uint8], tolerance: int) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Yield each position with those, ascending, of all thumbnails that may be near it.

    None is missed: if no cell differs by more than `tolerance`, neither does any mean of 4 x 4 cells. A tree
    over 16 of these means, spread evenly, finds the few pairs to be compared cell by cell.
    """
    step = CELLS // COARSE
    means = grey.reshape(-1, COARSE, step, COARSE, step).mean((2, 4), dtype=np.float64)
    places = means[:, 1::2, 1::2].reshape(len(grey), -1)
    tree = KDTree(places)
    for start in range(0, len(grey), _BLOCK):
        near = tree.query_ball_point(places[start : start + _BLOCK], tolerance, p=np.inf, return_sorted=True)
        yield from ((one, np.array(found, np.int64)) for one, found in enumerate(near, start))


def _thumbnail(path: Path) -> NDArray[np.uint8]:
    """Return the grey values (32, 32) of an image as training sees it: upright, and in 8 bits."""
    with opened(path) as image:
        if isinstance(image, JpegImageFile):
            image.draft("L", (4 * CELLS, 4 * CELLS))  # decodes a smaller image, but none below this size
        whole = Image.fromarray(upright_rgb(image)).convert("L")
        return np.asarray(whole.resize((CELLS, CELLS), Image.Resampling.BOX))
