"""Synthetic detections of several trained detectors, with known variances between seeds and test images.

Each object has a latent detectability, the sum of effects of its arm, image, seed, of pairs of them, and of
noise; it decides whether and with which score a run finds the object, and how well it places the box. False
alarms have such effects, too. So two arms without a shift are equal in expectation, but not on any finite set
of images, nor with any finite number of seeds.

The matches are written down directly: a found object is covered by one detection of its size, whose IoU is
drawn, and no false alarm touches an object. Matching boxes that lie so gives the same (a test does it).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gffpn.metrics.matching import FALSE, IGNORED, IOU_THRESHOLDS, TRUE, Floats, Ints, Matches

FREQUENCY: Floats = np.array([0.45, 0.3, 0.15, 0.07, 0.03])
"""Of each class; the last is rare."""
SMALL = "8_16"
_SHARE_SMALL = 0.35
_ALARMS = 3.0
_FOUND_FROM = -1.5


class Effects(NamedTuple):
    """Standard deviations of the latent effects, which are roughly in logits."""

    seed: float
    seed_image: float
    image: float = 0.9
    object: float = 0.8
    arm_image: float = 0.4
    arm_object: float = 0.4
    noise: float = 0.35


class Truth(NamedTuple):
    """The objects of a synthetic test set, in the order of their images."""

    images: int
    image: Ints
    label: Ints
    small: NDArray[np.bool_]
    ease: Floats
    """What all detectors have in common."""


def draw_truth(rng: np.random.Generator, images: int, effects: Effects) -> Truth:
    """Draw 2.3 objects per image; four of five are of the image's own class."""
    image = np.repeat(np.arange(images), 1 + rng.poisson(1.3, images))
    own = rng.choice(len(FREQUENCY), images, p=FREQUENCY)
    other = rng.choice(len(FREQUENCY), len(image), p=FREQUENCY)
    label = np.where(rng.random(len(image)) < 0.8, own[image], other)
    small = rng.random(len(image)) < _SHARE_SMALL
    ease = rng.normal(0, effects.image, images)[image] + rng.normal(0, effects.object, len(image))
    return Truth(images, image, label, small, ease - 0.6 * small)


class Found(NamedTuple):
    """Detections of one run, in any order."""

    object: Ints
    """(D,) object that the detection lies on, or -1 for a false alarm."""
    image: Ints
    label: Ints
    small: NDArray[np.bool_]
    score: Floats
    iou: Floats
    """(D,) with its object; 0 for a false alarm."""


def draw_arm(
    rng: np.random.Generator, truth: Truth, effects: Effects, *, seeds: int, shift: float = 0.0
) -> list[Found]:
    """Draw the runs of one arm, `shift` logits better than an arm without a shift."""
    objects = len(truth.image)
    ease = rng.normal(0, effects.arm_image, (3, truth.images))
    whole = truth.ease + rng.normal(0, effects.arm_object, objects)
    runs = []
    for _ in range(seeds):
        of_seed = rng.normal(0, effects.seed, 3)
        of_image = ease + of_seed[:, None] + rng.normal(0, effects.seed_image, (3, truth.images))
        noise = rng.normal(0, effects.noise, (3, objects))
        score = 0.8 + shift + whole + of_image[0][truth.image] + noise[0]
        place = 1.6 + 0.5 * (shift + whole) + of_image[1][truth.image] + noise[1]
        runs.append(_run(rng, truth, score, place, _ALARMS * np.exp(0.5 * (of_image[2] - shift))))
    return runs


def _run(rng: np.random.Generator, truth: Truth, score: Floats, place: Floats, alarms: Floats) -> Found:
    """Return a run; `score` and `place` (M,) in logits, `alarms` (N,) the expected number per image."""
    found = np.flatnonzero(score > _FOUND_FROM)
    image = np.repeat(np.arange(truth.images), rng.poisson(alarms))
    count = len(image)
    return Found(
        np.concatenate([found, np.full(count, -1)]),
        np.concatenate([truth.image[found], image]),
        np.concatenate([truth.label[found], rng.choice(len(FREQUENCY), count, p=FREQUENCY)]),
        np.concatenate([truth.small[found], rng.random(count) < _SHARE_SMALL]),
        np.concatenate([_logistic(score[found]), _logistic(rng.normal(-1.0, 1.0, count))]),
        np.concatenate([0.3 + 0.7 * _logistic(place[found]), np.zeros(count)]),
    )


def _logistic(values: Floats) -> Floats:
    return 1 / (1 + np.exp(-values))


def matches_of(truth: Truth, found: Found) -> Matches:
    """Return the matches in the size ranges "all" and `SMALL`."""
    order = np.lexsort((found.image, -found.score, found.label))
    hit = found.iou[order] >= IOU_THRESHOLDS[:, None]
    small = np.where(hit, TRUE, FALSE)
    outcome = np.stack([small, np.where(found.small[order], small, IGNORED)]).astype(np.int8)
    return Matches(
        image_index=np.arange(truth.images),
        num_classes=len(FREQUENCY),
        ranges=("all", SMALL),
        image=found.image[order],
        label=found.label[order],
        score=found.score[order],
        outcome=outcome,
        object_image=truth.image,
        object_label=truth.label,
        object_inside=np.stack([np.ones_like(truth.small), truth.small]),
    )
