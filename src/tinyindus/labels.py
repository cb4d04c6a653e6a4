"""Label noise: simulated errors of an annotator in the training split. It changes no pixel."""

from typing import Any

from tinyindus.classes import CLASSES
from tinyindus.dials import Dials
from tinyindus.streams import Stream, generator

JITTER = 0.25
"""Largest shift of an edge of a jittered box, as a share of the box's side in that direction."""

Annotation = dict[str, Any]


def spoil(
    annotations: list[Annotation], dials: Dials, image_size: tuple[int, int], seed: int, i: int
) -> tuple[list[Annotation], list[Annotation]]:
    """Return the annotations of training image i as a detector gets them, and the missed annotations.

    Annotations are in COCO's format, with the additional field `defect`, the object's number in its scene.
    A changed annotation also holds the true value, in `clean_bbox` for a jittered box and in
    `clean_category_id` for a flipped class. Its area and mask remain true.
    """
    given, missed = [], []
    for annotation in annotations:
        rng = generator(seed, "train", i, Stream.LABEL, annotation["defect"])
        is_missed, is_jittered, is_flipped, other, *edges = (float(u) for u in rng.random(8))
        if is_missed < dials.missed_labels:
            missed.append(annotation)
            continue
        changed = dict(annotation)
        if is_jittered < dials.jittered_labels:
            changed["clean_bbox"] = annotation["bbox"]
            changed["bbox"] = _jittered(annotation["bbox"], edges, image_size)
        if is_flipped < dials.flipped_labels:
            changed["clean_category_id"] = annotation["category_id"]
            changed["category_id"] = _other(annotation["category_id"] - 1, other) + 1
        given.append(changed)
    return given, missed


def _jittered(bbox: list[float], edges: list[float], image_size: tuple[int, int]) -> list[float]:
    """Move each edge of a box (x, y, width, height) and clip it to the image."""
    x, y, width, height = bbox
    left, top, right, bottom = ((2 * u - 1) * JITTER for u in edges)
    x1, x2 = max(x + left * width, 0), min(x + (1 + right) * width, image_size[1])
    y1, y2 = max(y + top * height, 0), min(y + (1 + bottom) * height, image_size[0])
    return [round(v, 2) for v in (x1, y1, x2 - x1, y2 - y1)]


def _other(label: int, u: float) -> int:
    """Return a class other than `label`, of the same product if it has another."""
    others = [k for k in range(len(CLASSES)) if k != label]
    siblings = [k for k in others if CLASSES[k].product == CLASSES[label].product]
    choice = siblings or others
    return choice[int(u * len(choice))]
