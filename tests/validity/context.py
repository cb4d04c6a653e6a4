"""Validity test 4: at match 1, only its surroundings distinguish a look-alike from a defect.

One classifier is fitted to the patches of all classes. All classes have equal weight, and so do the defects
and the look-alikes of a class. A tight crop is the inside of the box, stretched to a fixed size; a wide crop
is a square four times as wide as the longer side of the box. Look-alikes whose box touches a defect's are
left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tinyindus.classes import CLASS_NAMES
from tinyindus.dials import preset
from tinyindus.scene import Picture, render
from validity.classifier import Classifier, Patches
from validity.crops import Box, around, tight
from validity.finding import Finding, Floats, Ints, auc, balanced, interval
from validity.scenes import SEED

TIGHT, WIDE = 24, 48
"""Side of the crops that the classifier receives, pixels."""
WIDENING = 4.0
OF_A_KIND = 4
"""Maximum number of look-alikes per class taken from one picture, because lattices have dozens."""


@dataclass(frozen=True)
class Crops:
    """Crops of defects (positive) and of look-alikes of the same classes."""

    tight: Patches
    wide: Patches
    positive: NDArray[np.bool_]
    label: Ints
    picture: Ints
    sides: Floats
    """Width and height of the boxes (N, 2), pixels."""

    @property
    def weights(self) -> Floats:
        """Weights (N,) that count each class equally, and in it defects and look-alikes."""
        return balanced(self.positive, self.label)


def _touch(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def objects(picture: Picture, forms: Sequence[str], rng: np.random.Generator) -> list[tuple[bool, int, Box]]:
    """Return the defects and look-alikes of a picture as (True for a defect, class, box)."""
    rows = [(True, truth.label, truth.box) for truth in picture.truths]
    for name in CLASS_NAMES:
        alike = [
            found.box
            for found in picture.lookalikes
            if found.against == name
            and found.form in forms
            and not any(_touch(found.box, truth.box) for truth in picture.truths)
        ]
        for k in rng.permutation(len(alike))[:OF_A_KIND]:
            rows.append((False, CLASS_NAMES.index(name), alike[int(k)]))
    return rows


def crops(count: int, split: str, match: float, side: int, name: str = "paper") -> Crops:
    """Return crops from the first scenes of a split.

    The dials are those of preset `name`, except for `match`, equal shares of the classes, four defects per
    scene and no scene without planned defects.
    """
    dials = replace(
        preset(name), match=match, empty_share=0.0, class_shares="equal", defects_per_image=(4, 4)
    )
    # at match 0, some look-alikes are bare lines without marks
    forms = ("mark",) if match > 0 else ("mark", "line")
    rng = np.random.default_rng(0)
    close, wide, rows = [], [], []
    for i in range(count):
        picture = render(i, split, dials, (side, side), SEED, measure_lookalikes=True)
        for positive, label, box in objects(picture, forms, rng):
            close.append(tight(picture.pixels, box, TIGHT))
            wide.append(around(picture.pixels, box, WIDENING, WIDE))
            rows.append((positive, label, i, box[2] - box[0], box[3] - box[1]))
    table = np.array(rows)
    return Crops(
        np.stack(close), np.stack(wide), table[:, 0] > 0, table[:, 1], table[:, 2], table[:, 3:].astype(float)
    )


def finding(what: str, scores: Floats, test: Crops, fitted: int, **bounds: float) -> Finding:
    """Return the AUC over all classes, with equal weight for each."""

    def figure(weights: Floats) -> float:
        return auc(scores, test.positive, weights * test.weights)

    low, high = interval(figure, test.picture)
    n = f"{test.positive.sum()} defects, {(~test.positive).sum()} look-alikes, fitted to {fitted}"
    return Finding(what, figure(np.ones(len(scores))), n, low, high, **bounds)


def by_class(what: str, scores: Floats, test: Crops) -> list[Finding]:
    """Return the AUC of the same scores for each class."""
    found = []
    for label, name in enumerate(CLASS_NAMES):
        own = test.label == label
        positive = test.positive[own]
        if positive.any() and not positive.all():
            n = f"{positive.sum()} defects, {(~positive).sum()} look-alikes"
            low, high = interval(lambda w, o=own, p=positive: auc(scores[o], p, w), test.picture[own])
            found.append(Finding(f"{what}, {name} alone", auc(scores[own], positive), n, low, high))
    return found


def scores_of(train: Crops, test: Crops, which: str, *, epochs: int, width: int = 16) -> Floats:
    """Fit a classifier to the training crops and return its scores of the test crops.

    `which` is tight or wide.
    """
    classifier = Classifier(getattr(train, which), train.positive, train.weights, epochs=epochs, width=width)
    return classifier(getattr(test, which))


def measure(*, train: int = 1000, test: int = 350, side: int = 640, epochs: int = 18) -> list[Finding]:
    """Run test 4 at match 1 and, for comparison, at match 0 on a third of the scenes.

    Scenes of preset laptop have half the side, for which it is meant.
    """
    found = []
    for name, match, share in (("paper", 1.0, 1), ("laptop", 1.0, 1), ("paper", 0.0, 3)):
        size, where = (side, "") if name == "paper" else (side // 2, f", preset {name}")
        fitted = crops(train // share, "train", match, size, name)
        asked = crops(test // share, "test", match, size, name)
        bounds = (
            {"tight": {"at_most": 0.75}, "wide": {"at_least": 0.9}} if match else {"tight": {}, "wide": {}}
        )
        for which, words in (("tight", "tight"), ("wide", "4x")):
            scores = scores_of(fitted, asked, which, epochs=epochs, width=24)
            what = f"AUC of a {words} crop at match {match:g}{where}"
            found.append(finding(what, scores, asked, len(fitted.positive), **bounds[which]))
            found += by_class(what, scores, asked) if match else []
    return found
