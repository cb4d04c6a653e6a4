"""Test images as data URIs, from the data set that a run's configuration names."""

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import yaml
from numpy.typing import NDArray
from PIL import Image

from gffpn.data.readers.images import read_image
from gffpn.metrics.matching import Floats
from gffpn.stats.runs import Run

QUALITY = 82
LONGEST = 440
"""Pixels of the longer side of a whole image on the page."""
CROP = 150
"""Pixels of the side of a cut-out on the page."""


class Region(NamedTuple):
    """A part of an image in native pixels: left, top, width, height."""

    left: int
    top: int
    width: int
    height: int


class SplitImages:
    """The image files of a run's test split; `missing` says why there are none."""

    def __init__(self, run: Run) -> None:
        self._roots = _roots(run)
        self.missing = ""

    def read(self, name: str) -> NDArray[np.uint8] | None:
        """Return an image (H, W, 3), or None if it cannot be read."""
        for root in self._roots:
            if (path := root / name).is_file():
                try:
                    return read_image(path)
                except (OSError, ValueError) as error:
                    self.missing = f"{path}: {error}"
                    return None
        where = " or ".join(map(str, self._roots)) or "no folder that the run's configuration names"
        self.missing = f"{name}: not found in {where}"
        return None


def _roots(run: Run) -> Sequence[Path]:
    """Return the folders to which the names of the test images may be relative."""
    if run.path is None or run.record is None:
        return []
    try:
        config = yaml.safe_load((run.path / "config.yaml").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    data, paths = config.get("data") or {}, config.get("paths") or {}
    # a relative path is relative to the folder in which training was started, usually the parent of `runs`
    bases = [Path.cwd(), *run.path.resolve().parents[:3]]
    if data.get("root"):
        found = [base / str(data["root"]) for base in bases]
    elif run.record.data.simulated:
        # below the cache, in a folder whose name begins the description of the data's origin
        folder = run.record.data.origin.removeprefix("simulated, ").partition(":")[0]
        caches = [base / str(paths.get("cache", "cache")) for base in bases]
        found = [path for cache in caches for path in (cache / folder, *cache.glob(f"*/{folder}"))]
    else:
        return []
    return list(dict.fromkeys(path for path in found if path.is_dir())) or found[:1]


def whole(pixels: NDArray[np.uint8]) -> str:
    """Return an image as a data URI, reduced to `LONGEST` pixels."""
    image = Image.fromarray(pixels)
    image.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
    return _uri(image)


def cut_out(pixels: NDArray[np.uint8], region: Region) -> str:
    """Return a part of an image as a data URI of `CROP` pixels."""
    box = (region.left, region.top, region.left + region.width, region.top + region.height)
    image = Image.fromarray(pixels).crop(box)
    return _uri(image.resize((CROP, CROP), Image.Resampling.BICUBIC))


def region_around(box: Floats, size: tuple[int, int]) -> Region:
    """Return a square around a box (4,), five times its side and at least 48 px, inside an image (H, W)."""
    height, width = size
    side = 5 * float(np.sqrt((box[2] - box[0]) * (box[3] - box[1])))
    longest = 1.3 * float(max(box[2] - box[0], box[3] - box[1]))
    wanted = round(min(max(side, longest, 48), height, width))
    left = round(min(max((box[0] + box[2]) / 2 - wanted / 2, 0), width - wanted))
    top = round(min(max((box[1] + box[3]) / 2 - wanted / 2, 0), height - wanted))
    return Region(left, top, wanted, wanted)


def _uri(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=QUALITY, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
