"""The scenes that the checks share: with defects, without them, and with the places of further ones."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from tinyindus.camera import noise_sigma
from tinyindus.dials import Dials
from tinyindus.scene import Picture, planned_labels, render
from tinyindus.truth import Truth
from validity.crops import Box, Pixels
from validity.finding import Floats

SEED = 11
"""Seed of the checks; data sets for training have others."""
BOUNDED = ("paper", "laptop")
"""The presets for comparisons, for which the bounds must hold; the others are easier or harder on purpose."""

Retouch = Callable[[Pixels, tuple[Truth, ...]], Pixels]
"""Function that changes a picture after the lens, given its defects, as a leaky simulator would."""


@dataclass(frozen=True)
class Trial:
    """One scene with its planned defects, and the same scene at contrast 0."""

    picture: Picture
    blank: Picture
    free: tuple[Truth, ...]
    """Places on the same surfaces where this scene could have had defects, but has none."""


def trial(i: int, split: str, dials: Dials, image_size: tuple[int, int]) -> Trial:
    """Render scene i with as many defects as planned, and find the places of further ones.

    Each defect draws from a separate random stream, so a plan with more defects begins with the same ones.
    """
    full = replace(dials, empty_share=0.0)
    many = min(2 * full.defects_per_image[1], 12)
    crowd = replace(full, defects_per_image=(many, many))
    planned = len(planned_labels(SEED, split, i, full))
    picture = render(i, split, full, image_size, SEED)
    # look-alikes still imitate the defects that are not drawn
    blank = render(i, split, replace(full, contrast=0.0), image_size, SEED, imitated=full)
    more = render(i, split, crowd, image_size, SEED).truths
    return Trial(picture, blank, tuple(t for t in more if t.number >= planned))


def sticker(step: float, margin: int = 0) -> Retouch:
    """Return a leak that brightens the box of every defect, plus a margin, by `step` grey levels."""

    def paste(pixels: Pixels, truths: tuple[Truth, ...]) -> Pixels:
        out = pixels.astype(np.float64)
        for truth in truths:
            x1, y1, x2, y2 = widened(truth.box, margin)
            out[y1:y2, x1:x2] += step
        return out.clip(0, 255).astype(np.uint8)

    return paste


def widened(box: Box, margin: int) -> Box:
    """Add a margin to a box, clipped so that it does not start at negative pixels."""
    return max(box[0] - margin, 0), max(box[1] - margin, 0), box[2] + margin, box[3] + margin


def noise_of(picture: Picture, pixels: Pixels, noise: float) -> Floats:
    """Return the noise of each pixel (3, H, W), in units of its standard deviation; NaN where it saturates.

    Rounding to 8 bits adds a variance of 1 / 12.
    """
    levels = picture.levels.astype(np.float64)
    residual = (pixels.transpose(2, 0, 1) - levels) / np.sqrt(noise_sigma(levels, noise) ** 2 + 1 / 12)
    return np.where((levels > 12) & (levels < 243), residual, np.nan)
