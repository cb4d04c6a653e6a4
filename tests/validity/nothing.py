"""Validity test 1: at contrast 0, a defect leaves no trace, although the code that draws it has run."""

from collections.abc import Sequence

import numpy as np

from tinyindus.dials import Dials, preset
from validity.classifier import Classifier, Patches
from validity.crops import square
from validity.finding import Finding, Ints, auc, balanced, interval
from validity.scenes import BOUNDED, Retouch, Trial, noise_of, sticker, trial

PATCH = 24
"""Side of a patch, pixels."""


class Places:
    """Patches at the planned defects (positive) and at free places on the same surfaces."""

    def __init__(
        self,
        trials: Sequence[Trial],
        *,
        contrast: bool,
        retouch: Retouch | None = None,
        patch: int = PATCH,
    ) -> None:
        patches: list[Patches] = []
        rows: list[tuple[bool, int, int]] = []
        for number, scene in enumerate(trials):
            pixels = (scene.picture if contrast else scene.blank).pixels
            pixels = retouch(pixels, scene.picture.truths) if retouch else pixels
            for truths, positive in ((scene.picture.truths, True), (scene.free, False)):
                for truth in truths:
                    patches.append(square(pixels, truth.box, patch))
                    rows.append((positive, truth.label, number))
        self.patches = np.stack(patches)
        self.positive = np.array([row[0] for row in rows])
        self.label: Ints = np.array([row[1] for row in rows])
        self.picture: Ints = np.array([row[2] for row in rows])
        self.weights = balanced(self.positive, self.label)


def patch_finding(train: Places, test: Places, what: str, *, epochs: int, bounded: bool) -> Finding:
    """Return the AUC of a classifier of places with and without defects; classes have equal weight."""
    scores = Classifier(train.patches, train.positive, train.weights, epochs=epochs)(test.patches)
    value = auc(scores, test.positive, test.weights)
    low, high = interval(lambda w: auc(scores, test.positive, test.weights * w), test.picture)
    n = f"{test.positive.sum()} places against {(~test.positive).sum()}, fitted to {len(train.positive)}"
    bounds = {"at_least": 0.45, "at_most": 0.55} if bounded else {}
    return Finding(what, value, n, low, high, **bounds)


def noise_finding(
    trials: Sequence[Trial], what: str, *, dials: Dials, contrast: bool, retouch: Retouch | None = None
) -> Finding:
    """Return the ratio of the noise variance inside the defects' boxes to that outside."""
    sums = np.zeros((len(trials), 2, 3))
    for row, scene in zip(sums, trials, strict=True):
        picture = scene.picture if contrast else scene.blank
        pixels = retouch(picture.pixels, scene.picture.truths) if retouch else picture.pixels
        residual = noise_of(picture, pixels, dials.noise)
        inside = np.zeros(residual.shape[1:], bool)
        for truth in scene.picture.truths:
            inside[truth.box[1] : truth.box[3], truth.box[0] : truth.box[2]] = True
        for side, where in zip(row, (inside, ~inside), strict=True):
            values = residual[:, where]
            values = values[~np.isnan(values)]
            side[:] = len(values), values.sum(), np.square(values).sum()

    def ratio(weights: np.ndarray) -> float:
        count, total, squares = np.einsum("i,ijk->kj", weights, sums)
        inside, outside = squares / count - (total / count) ** 2
        return float(inside / outside)

    low, high = interval(ratio, np.arange(len(trials)))
    n = f"{sums[:, 0, 0].sum():.0f} values inside, {sums[:, 1, 0].sum():.0f} outside"
    return Finding(what, ratio(np.ones(len(trials))), n, low, high, at_least=0.98, at_most=1.02)


def measure(*, train: int = 600, test: int = 1200, side: int = 320, epochs: int = 12) -> list[Finding]:
    """Run test 1 at the dials of preset paper, and on half as many scenes of preset laptop."""
    found: list[Finding] = []
    for name, share in zip(BOUNDED, (1, 2), strict=True):
        fitted, asked = (
            [trial(i, split, preset(name), (side, side)) for i in range(count // share)]
            for split, count in (("train", train), ("test", test))
        )
        found += findings(fitted, asked, name, epochs=epochs)
    return found


def findings(fitted: Sequence[Trial], asked: Sequence[Trial], name: str, *, epochs: int) -> list[Finding]:
    """Return the findings of one preset; the comparisons are only made for preset paper."""
    found: list[Finding] = []
    where = "" if name == "paper" else f", preset {name}"
    leak = sticker(4.0)
    for contrast, retouch, what in (
        (False, None, "AUC of a patch classifier at contrast 0"),
        (False, leak, "the same, the planned boxes made 4 grey levels brighter after the lens"),
        (True, None, "the same at contrast 1"),
    ):
        bounded = not contrast and retouch is None
        if bounded or name == "paper":
            train, test = (Places(trials, contrast=contrast, retouch=retouch) for trials in (fitted, asked))
            found.append(patch_finding(train, test, what + where, epochs=epochs, bounded=bounded))
    for contrast, at in ((False, "at contrast 0"), (True, "at contrast 1")):
        what = f"noise variance inside over outside the boxes, {at}{where}"
        found.append(noise_finding(asked, what, dials=preset(name), contrast=contrast))
    return found
