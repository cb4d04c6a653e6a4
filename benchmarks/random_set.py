"""A random set of objects and detections, in the format of our validation and in that of COCO's files."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gffpn.streams import numpy_stream

SIDE = 640
"""Side of an image in pixels."""


class RandomSet(NamedTuple):
    """A random set in the format of our validation: one dict per image."""

    detections: list[dict[str, Tensor]]
    targets: list[dict[str, Any]]
    classes: int


def random_set(images: int, detections: int, classes: int, *, seed: int = 0) -> RandomSet:
    """Draw objects with sides of 4 to 256 px, and detections of them with false alarms.

    There are a third as many objects as detections. 60 % of the detections are jittered copies of objects,
    several of some objects; their scores rise with the overlap, and a tenth of them have a random class. The
    remaining detections are false alarms at random places.
    """
    rng = numpy_stream(seed, "benchmark", "evaluation")
    count, copies = max(1, detections // 3), int(0.6 * detections)
    image, label = rng.integers(0, images, count), rng.integers(0, classes, count)
    boxes = _random_boxes(rng, count)
    of = rng.integers(0, count, copies)
    looseness = rng.uniform(0.0, 0.25, (copies, 1))
    sides = np.tile(boxes[of, 2:] - boxes[of, :2], 2)
    near = boxes[of] + rng.normal(0.0, 1.0, (copies, 4)) * looseness * sides
    near[:, 2:] = np.maximum(near[:, 2:], near[:, :2] + 1.0)
    confused = rng.random(copies) < 0.1
    alarms = detections - copies
    found = np.concatenate([near, _random_boxes(rng, alarms)])
    scores = np.concatenate([1 - 2 * looseness[:, 0] - 0.4 * rng.random(copies), 0.6 * rng.random(alarms)])
    labels = np.where(confused, rng.integers(0, classes, copies), label[of])
    return RandomSet(
        _by_image(
            np.concatenate([image[of], rng.integers(0, images, alarms)]),
            images,
            boxes=found.astype(np.float32),
            labels=np.concatenate([labels, rng.integers(0, classes, alarms)]),
            scores=scores.clip(0.001, 1.0).astype(np.float32),
        ),
        [
            {**own, "image_index": number, "scale": (1.0, 1.0)}
            for number, own in enumerate(
                _by_image(image, images, boxes=boxes.astype(np.float32), labels=label)
            )
        ],
        classes,
    )


def coco_rows(scene: RandomSet) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the set as COCO's two JSON documents, objects and results."""
    objects = [
        {**row, "id": number, "iscrowd": 0, "area": row["bbox"][2] * row["bbox"][3]}
        for number, row in enumerate(_rows(scene.targets), start=1)
    ]
    scores = torch.cat([detection["scores"] for detection in scene.detections]).tolist()
    found = [{**row, "score": score} for row, score in zip(_rows(scene.detections), scores, strict=True)]
    truth = {
        "images": [{"id": number} for number in range(len(scene.targets))],
        "annotations": objects,
        "categories": [{"id": label, "name": str(label)} for label in range(scene.classes)],
    }
    return truth, found


def _rows(images: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for number, image in enumerate(images):
        corners = image["boxes"].double()
        xywh = torch.cat([corners[:, :2], corners[:, 2:] - corners[:, :2]], dim=1)
        for box, label in zip(xywh.tolist(), image["labels"].tolist(), strict=True):
            yield {"image_id": number, "category_id": label, "bbox": box}


def _random_boxes(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Return boxes (count, 4) in xyxy format, with sides log-uniform in 4 to 256 px."""
    sides = np.exp(rng.uniform(np.log(4), np.log(256), (count, 1)) + rng.normal(0.0, 0.25, (count, 2)))
    sides = np.minimum(sides, SIDE)
    corners = rng.random((count, 2)) * (SIDE - sides)
    return np.concatenate([corners, corners + sides], axis=1)


def _by_image(image: NDArray[np.int64], images: int, **columns: NDArray[Any]) -> list[dict[str, Tensor]]:
    order = np.argsort(image, kind="stable")
    counts = np.bincount(image, minlength=images).tolist()
    split = {name: torch.split(torch.from_numpy(c[order]), counts) for name, c in columns.items()}
    return [dict(zip(split, parts, strict=True)) for parts in zip(*split.values(), strict=True)]
