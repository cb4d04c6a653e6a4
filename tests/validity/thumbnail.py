"""Validity test 2: a picture as a whole does not reveal whether it has a defect."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tinyindus.dials import Dials, preset
from tinyindus.scene import render
from validity.classifier import Classifier, Patches
from validity.crops import thumbnail
from validity.finding import Finding, Ints, auc, interval
from validity.scenes import BOUNDED, SEED, Retouch, Trial

THUMBNAIL = 32
"""Side of a thumbnail, pixels."""


class Thumbnails(NamedTuple):
    """Thumbnails of whole pictures, with their labels and their scenes."""

    patches: Patches
    positive: NDArray[np.bool_]
    scene: Ints


def twins(trials: Sequence[Trial], retouch: Retouch | None = None) -> Thumbnails:
    """Return thumbnails of every scene with its defects and without them."""
    patches, positive = [], []
    for scene in trials:
        pixels = scene.picture.pixels
        pixels = retouch(pixels, scene.picture.truths) if retouch else pixels
        patches += [thumbnail(pixels, THUMBNAIL), thumbnail(scene.blank.pixels, THUMBNAIL)]
        positive += [True, False]
    return Thumbnails(np.stack(patches), np.array(positive), np.arange(len(patches)) // 2)


def both(count: int, split: str, dials: Dials, image_size: tuple[int, int]) -> Thumbnails:
    """Return thumbnails of scenes 0 to count - 1 with their defects and without them.

    Scenes in which no defect is visible are left out.
    """
    full = replace(dials, empty_share=0.0)
    patches, positive, scene = [], [], []
    for i in range(count):
        picture = render(i, split, full, image_size, SEED)
        if picture.truths:
            blank = render(i, split, full, image_size, SEED, with_defects=False)
            patches += [thumbnail(picture.pixels, THUMBNAIL), thumbnail(blank.pixels, THUMBNAIL)]
            positive += [True, False]
            scene += [i, i]
    return Thumbnails(np.stack(patches), np.array(positive), np.array(scene))


def apart(pairs: Thumbnails) -> Thumbnails:
    """Keep one picture of each pair of twins, so that no scene is seen twice."""
    rng = np.random.default_rng(0)
    keep = np.arange(0, len(pairs.scene), 2) + rng.integers(0, 2, len(pairs.scene) // 2)
    return Thumbnails(pairs.patches[keep], pairs.positive[keep], pairs.scene[keep])


def thumbnail_finding(
    train: Thumbnails, test: Thumbnails, what: str, *, epochs: int, bounded: bool = True
) -> Finding:
    """Return the AUC of a classifier that is fitted to some scenes and tested on others."""
    scores = Classifier(train.patches, train.positive, epochs=epochs, upright=True)(test.patches)
    low, high = interval(lambda w: auc(scores, test.positive, w), test.scene)
    n = f"{test.positive.sum()} pictures against {(~test.positive).sum()}, fitted to {len(train.positive)}"
    value = auc(scores, test.positive)
    return Finding(what, value, n, low, high, at_most=0.6 if bounded else None)


def measure(*, train: int = 1200, test: int = 1200, side: int = 320, epochs: int = 16) -> list[Finding]:
    """Run test 2; the easy preset is for comparison."""
    found = []
    for name, share in (("paper", 1.0), ("laptop", 0.6), ("demo", 0.4)):
        counts = {"train": round(share * train), "test": round(share * test)}
        fitted, asked = (both(count, split, preset(name), (side, side)) for split, count in counts.items())
        what = f"AUC of a thumbnail classifier, preset {name}"
        bounded = name in BOUNDED
        found.append(
            thumbnail_finding(fitted, asked, f"{what}, against the twins", epochs=epochs, bounded=bounded)
        )
        if bounded:
            alone = f"{what}, over different scenes"
            found.append(thumbnail_finding(apart(fitted), apart(asked), alone, epochs=epochs))
    return found
