"""Validity test 5: boxes, masks and the visible defects agree to within a pixel."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tinyindus.dials import Dials, preset
from tinyindus.scene import Picture, render
from tinyindus.truth import THRESHOLD, Truth
from tinyindus.write import run_lengths
from validity.crops import Box
from validity.finding import Finding
from validity.scenes import SEED

Mask = NDArray[np.bool_]


def bounds(mask: Mask) -> Box:
    """Return the tight box of a mask that is not empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def decoded(counts: Sequence[int], image_size: tuple[int, int]) -> Mask:
    """Decode COCO's uncompressed run lengths to a mask (H, W)."""
    values = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    return values.reshape(image_size, order="F")


def stored_error(truth: Truth, image_size: tuple[int, int]) -> int:
    """Return the largest distance of a box's side from that of the mask stored in the annotations, pixels."""
    mask = decoded(run_lengths(truth.mask, truth.box, image_size), image_size)
    return int(np.abs(np.subtract(bounds(mask), truth.box)).max())


def seen_error(picture: Picture, twin: Picture) -> int | None:
    """Return the largest distance of the box's sides from the pixels that differ from the twin's, pixels.

    The picture has at most one defect; without any, the result is None.
    """
    if not picture.truths:
        return None
    (truth,) = picture.truths
    seen = np.abs(picture.levels - twin.levels).max(axis=0) > THRESHOLD
    return int(np.abs(np.subtract(bounds(seen), truth.box)).max())


def lone(i: int, dials: Dials, image_size: tuple[int, int]) -> tuple[Picture, Picture]:
    """Render scene i with one defect, and its twin without it."""
    one = replace(dials, empty_share=0.0, defects_per_image=(1, 1))
    picture = render(i, "test", one, image_size, SEED)
    return picture, render(i, "test", one, image_size, SEED, with_defects=False)


def measure(*, scenes: int = 500, side: int = 640) -> list[Finding]:
    """Run test 5; scenes of preset laptop have half the side, for which it is meant."""
    return [
        *findings(scenes, "paper", side, ""),
        *findings(scenes, "laptop", side // 2, ", preset laptop"),
    ]


def findings(scenes: int, name: str, side: int, where: str) -> list[Finding]:
    """Return the findings of one preset."""
    image_size = (side, side)
    pairs = [lone(i, preset(name), image_size) for i in range(scenes)]
    stored = [stored_error(t, image_size) for picture, _ in pairs for t in picture.truths]
    seen = [error for pair in pairs if (error := seen_error(*pair)) is not None]
    n = f"{len(stored)} defects at {side} px"
    return [
        Finding(f"largest distance of a box's side from its mask's, px{where}", max(stored), n, at_most=1),
        Finding(f"the same from the pixels that differ from the twin's, px{where}", max(seen), n, at_most=1),
        Finding(
            f"share of boxes that differ at all from the twin's pixels{where}",
            float(np.mean(np.array(seen) > 0)),
            n,
        ),
    ]
