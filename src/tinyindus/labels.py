"""Label noise: what an annotator of the training split might get wrong. No pixel knows of it."""

from typing import Any

from tinyindus.classes import CLASSES
from tinyindus.dials import Dials
from tinyindus.streams import Stream, generator

JITTER = 0.25
"""Most that an edge of a jittered box is moved, as a share of the box's side along that direction."""

Annotation = dict[str, Any]


def spoil(
    annotations: list[Annotation], dials: Dials, image_size: tuple[int, int], seed: int, i: int
) -> tuple[list[Annotation], list[Annotation]]:
    """The annotations of training image i as given to a detector, and those that were missed.

    Annotations are COCO's and carry `defect`, the object's number in its scene. What was changed keeps the
    truth: `clean_bbox` of a jittered box, `clean_category_id` of a flipped class; area and mask stay true.
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
    """x, y, width, height with each edge moved, inside the image."""
    x, y, width, height = bbox
    left, top, right, bottom = ((2 * u - 1) * JITTER for u in edges)
    x1, x2 = max(x + left * width, 0), min(x + (1 + right) * width, image_size[1])
    y1, y2 = max(y + top * height, 0), min(y + (1 + bottom) * height, image_size[0])
    return [round(v, 2) for v in (x1, y1, x2 - x1, y2 - y1)]


def _other(label: int, u: float) -> int:
    """Another class, of the same product if it has another."""
    others = [k for k in range(len(CLASSES)) if k != label]
    siblings = [k for k in others if CLASSES[k].product == CLASSES[label].product]
    choice = siblings or others
    return choice[int(u * len(choice))]
