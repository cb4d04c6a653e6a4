"""Recognition of annotation files in another format, so that the error message can name the remedy."""

import math
from collections.abc import Sequence
from typing import Any

from gffpn.data.readers.annotation import Box
from gffpn.data.readers.shapes import polygon_box

YOLO_LINE = "'class cx cy w h' in fractions of the image's sides"
_EXPECTED = {
    "voc": "Pascal VOC's XML",
    "yolo": f"lines of {YOLO_LINE}",
    "coco": "COCO's JSON",
    "labelme": "LabelMe's JSON",
}


class WrongFormat(ValueError):
    """Raised for an annotation file that is not damaged but in another format, which the message names."""


def check_text(text: str, *, wanted: str) -> None:
    """Raise WrongFormat if `text` looks like a format other than `wanted`: voc, yolo, coco or labelme."""
    if looks := _looks(text, wanted):
        raise WrongFormat(f"looks like {looks[0]}, expected {looks[1]}")


def _looks(text: str, wanted: str) -> tuple[str, str] | None:
    expected = _EXPECTED[wanted]
    start = text.lstrip("\ufeff \t\r\n")
    if start.startswith("<") and wanted != "voc":
        return "XML (Pascal VOC: data=voc)", expected
    if start.startswith(("{", "[")) and wanted not in ("coco", "labelme"):
        return "JSON (COCO: data=coco)", expected
    if wanted != "yolo" and start and _numbers(start.splitlines()[0].split(), 5):
        return "YOLO labels (data=yolo)", expected
    return None


def _numbers(words: Sequence[str], count: int) -> list[float]:
    """Return the words as numbers; an empty list unless all are numbers and at least `count` of them."""
    try:
        values = [float(word) for word in words]
    except ValueError:
        return []
    return values if len(values) >= count else []


def yolo_box(line: str, keypoints: int = 0) -> tuple[int, Box, str]:
    """Return the class number and the box in a line of YOLO labels: xyxy in fractions of the image's sides.

    The last value describes another shape, a polygon or an oriented box, which the box is drawn around; it is
    empty for a box. With `keypoints`, that many numbers behind a box belong to its keypoints, and there are
    no other shapes. Raises WrongFormat if the line has another known format, and ValueError if it has none.
    """
    words = line.split()
    values = _numbers(words, 1)
    if keypoints:
        if len(values) not in (5, 5 + keypoints):
            what = f"expected {YOLO_LINE}, with {keypoints} numbers of keypoints by kpt_shape or none"
            raise WrongFormat(f"{line[:60]!r} has {len(words)} numbers: {what}")
        words, values = words[:5], values[:5]
    polygon = len(values) >= 7 and len(values) % 2 == 1
    if _has_visibility(values):
        raise WrongFormat(f"{line[:60]!r} looks like {_keypoints(len(values) // 3 - 1)}")
    if not (len(values) == 5 or polygon) or not values[0].is_integer():
        raise _yolo_fault(line, words, values)
    sides = values[1:]
    # beyond twice the image's side; a box slightly outside is reported as such
    if not (min(sides) >= -2 and max(sides) <= 2) and any(2 < abs(side) < math.inf for side in sides):
        raise WrongFormat(f"{line[:60]!r} looks like pixels, expected {YOLO_LINE}")
    if polygon:
        shape = f"a polygon of {len(values) // 2} points, or keypoints without kpt_shape in data.yaml"
        return int(values[0]), polygon_box(values[1:]), shape
    x, y, w, h = values[1:]
    return int(values[0]), (x - w / 2, y - h / 2, x + w / 2, y + h / 2), ""


def _has_visibility(values: Sequence[float]) -> bool:
    """Return True for a box and points of three numbers, the third of which is 0, 1 or, in a point, 2.

    A polygon has no coordinate of exactly 2.
    """
    seen = values[7::3]
    return len(values) >= 8 and len(values) % 3 == 2 and 2 in seen and {0, 1, 2}.issuperset(seen)


def _keypoints(number: int) -> str:
    return f"a box with keypoints: add kpt_shape: [{number}, 3] to data.yaml"


def _yolo_fault(line: str, words: Sequence[str], values: Sequence[float]) -> ValueError:
    looks = ""
    if len(values) == 6:
        looks = "a prediction or a track (drop the sixth number)"
    elif not values and _numbers(line.replace(",", " ").replace(";", " ").split(), 5):
        looks = "numbers with commas (separate them by spaces)"
    elif len(words) == 5 and len(_numbers(words[1:], 4)) == 4 and not values:
        looks = "a class by its name (give its number, 0 for the first class)"
    if looks:
        return WrongFormat(f"{line[:60]!r} looks like {looks}, expected {YOLO_LINE}")
    return ValueError(f"{line[:60]!r}: expected {YOLO_LINE}")


def check_coco(content: Any) -> None:
    """Raise WrongFormat unless the content of a JSON file has the three lists of COCO object detection."""
    if isinstance(content, list):
        first = content[0] if content and isinstance(content[0], dict) else {}
        kind = "a file of results (detections)" if {"image_id", "score"} <= set(first) else "a list"
        raise WrongFormat(f"holds {kind}, expected the ground truth: images, annotations, categories")
    if not isinstance(content, dict):
        raise WrongFormat(f"holds {content!r:.40}, expected images, annotations, categories")
    for key in ("images", "annotations", "categories"):
        if not isinstance(content.get(key), list):
            keys = ", ".join(map(str, list(content)[:8])) or "nothing"
            looks = " (LabelMe, one file per image: data=labelme)" if "shapes" in content else ""
            raise WrongFormat(f"no list {key!r}, expected a COCO annotation file; it holds {keys}{looks}")


def refuse_fractions(boxes: Sequence[Box]) -> None:
    """Raise WrongFormat if the boxes (xyxy) of a file are fractions of the image's sides, and no pixels."""
    whole = all(float(side).is_integer() for box in boxes for side in box)  # the first pixel is a valid box
    if are_fractions(boxes) and not whole:
        raise WrongFormat(
            "every box ends at 1 or below, like fractions, expected pixels: export it in pixels"
        )


def are_fractions(boxes: Sequence[Sequence[float]]) -> bool:
    """Return True if a file has boxes (xyxy) with an area and none reaches beyond the first pixel."""
    drawn = any(x1 < x2 and y1 < y2 for x1, y1, x2, y2 in boxes)
    return drawn and all(math.isfinite(side) and side <= 1 for box in boxes for side in box)
