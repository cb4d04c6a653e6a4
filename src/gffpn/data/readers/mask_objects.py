"""Objects in a mask: the regions of its grey values, of which 0 is the background."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gffpn.data.index import DataError
from gffpn.data.readers.annotation import Box
from gffpn.data.readers.images import opened

NEIGHBOURS = {4: 1, 8: 2}
"""Rank of scipy's structuring element by the number of a pixel's neighbours."""


class Region(NamedTuple):
    """One object in a mask."""

    value: int
    """Grey value of its pixels."""
    box: Box
    """xyxy in pixels, where a whole mask is (0, 0, width, height)."""
    area: int
    """Number of its pixels."""


class Mask(NamedTuple):
    """What a mask file shows."""

    height: int
    width: int
    regions: tuple[Region, ...]
    """Regions by ascending value, those of one value from top to bottom."""


def read_mask(path: Path, *, threshold: int | None, connectivity: int | None) -> Mask:
    """Return the regions of a mask file.

    If `threshold` is given, every higher value counts as 1 and every other as 0. With a `connectivity` of 4
    or 8 neighbours, each connected component is a region; if it is None, all pixels of one value are one.

    Raises DataError, naming the file, if it cannot be read, or has colours or fractions instead of greys.
    """
    with opened(path) as image:
        values = np.asarray(image)
    try:
        grey = _grey(values)
    except ValueError as error:
        raise DataError(f"{path}: {error}") from error
    if threshold is not None:
        grey = (grey > threshold).astype(np.uint8)
    height, width = grey.shape
    return Mask(height, width, tuple(_regions(grey, connectivity)))


def _grey(values: NDArray[Any]) -> NDArray[np.int32]:
    """Return the values (H, W) of a grey or palette image, or of a colour image that shows only greys."""
    if values.dtype.kind == "f":
        raise ValueError("floating point values, expected grey values of 8 or 16 bits")
    if values.ndim == 3:
        # the last channel of LA and RGBA is not part of the mask
        colours = values[..., : 3 if values.shape[2] >= 3 else 1]
        if (colours != colours[..., :1]).any():
            raise ValueError("shows colours, expected one grey value for each class or object")
        values = values[..., 0]
    grey = np.asarray(values, np.int32)
    if grey.min(initial=0) < 0 or grey.max(initial=0) > 65535:
        raise ValueError(f"grey values {grey.min()} to {grey.max()}, expected 8 or 16 bits")
    return grey


def _regions(grey: NDArray[Any], connectivity: int | None) -> Iterator[Region]:
    from scipy import ndimage  # takes longer to import than most sets to read, and only masks need it

    areas, places = np.bincount(grey.ravel()), ndimage.find_objects(grey)
    for value in np.flatnonzero(areas).tolist():
        if value == 0:
            continue
        place = places[value - 1]
        if connectivity is None:
            yield Region(value, _box(place, (0, 0)), int(areas[value]))
            continue
        structure = ndimage.generate_binary_structure(2, NEIGHBOURS[connectivity])
        parts, _ = ndimage.label(grey[place] == value, structure)
        sizes = np.bincount(parts.ravel())
        corner = place[0].start, place[1].start
        for number, part in enumerate(ndimage.find_objects(parts), start=1):
            yield Region(value, _box(part, corner), int(sizes[number]))


def _box(place: tuple[slice, ...], corner: tuple[int, int]) -> Box:
    rows, columns = place
    top, left = corner
    return (
        float(columns.start + left),
        float(rows.start + top),
        float(columns.stop + left),
        float(rows.stop + top),
    )
