"""A split's predictions and truth as COCO files, in native pixels.

Images and categories are numbered from 1: images in the order of `Predictions.names`, categories in that of
`Predictions.classes`. `file_name` in the truth is the image's name in the data set.
"""

from typing import Any

import numpy as np

from gffpn.metrics.matching import Boxes, Floats
from gffpn.runs.predictions import Predictions


def coco_results(predictions: Predictions) -> list[dict[str, Any]]:
    """Return COCO's results: one row per detection, with the box as [x, y, width, height]."""
    found = predictions.evaluated
    rows = _rows(found.detections, found.scales)
    return [{**row, "score": score} for row, score in zip(rows, found.scores.tolist(), strict=True)]


def coco_truth(predictions: Predictions) -> dict[str, Any]:
    """Return COCO's annotations of the evaluated images."""
    found = predictions.evaluated
    images = zip(predictions.names, predictions.sizes.tolist(), strict=True)
    rows = _rows(found.objects, found.scales)
    return {
        "images": [
            {"id": number, "file_name": name, "height": height, "width": width}
            for number, (name, (height, width)) in enumerate(images, start=1)
        ],
        "annotations": [
            {"id": number, **row, "area": row["bbox"][2] * row["bbox"][3], "iscrowd": crowd}
            for number, (row, crowd) in enumerate(zip(rows, found.crowd.astype(int).tolist(), strict=True), 1)
        ],
        "categories": [
            {"id": number, "name": name} for number, name in enumerate(predictions.classes, start=1)
        ],
    }


def _rows(boxes: Boxes, scales: Floats) -> list[dict[str, Any]]:
    native = boxes.xyxy / np.tile(scales, 2)[boxes.image]
    corners = np.concatenate([native[:, :2], native[:, 2:] - native[:, :2]], axis=1)
    columns = zip((boxes.image + 1).tolist(), (boxes.label + 1).tolist(), corners.tolist(), strict=True)
    return [{"image_id": image, "category_id": category, "bbox": bbox} for image, category, bbox in columns]
