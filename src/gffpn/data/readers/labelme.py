"""Reader for LabelMe: one JSON file per image.

Source: the files that LabelMe 5 writes: `shapes` with `label`, `shape_type` and `points` in pixels.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from gffpn.choice import one_of
from gffpn.data.index import DataIndex
from gffpn.data.readers.annotation import Annotation, Box
from gffpn.data.readers.coco_entries import identity
from gffpn.data.readers.faults import Faults
from gffpn.data.readers.formats import check_text, refuse_fractions
from gffpn.data.readers.pairs import Unlabelled, pair_up, read_annotations
from gffpn.data.readers.places import Place, held, places
from gffpn.data.readers.reader import Reader
from gffpn.data.readers.shapes import Shapes, accept, finite, polygon_box


@dataclass(kw_only=True)
class LabelMe(Reader):
    """Reader for images in one folder and JSON files with the same stems in another, or in the same one.

    For `images`, `annotations` and `unlabelled`, see `VOC`; for the other arguments, see `Reader`. A shape
    that is no rectangle is a fault unless `shapes` is "enclose", which takes the upright box around it.
    Shapes of one label and `group_id` are the parts of one object, which is dropped with any of them. Without
    `classes`, the classes are the sorted labels in all files.

    Raises ValueError for an invalid argument; `index` raises DataError for faulty data.
    """

    images: Place
    annotations: Place
    unlabelled: Unlabelled
    shapes: Shapes

    def __post_init__(self) -> None:
        one_of("unlabelled", self.unlabelled, Unlabelled)
        one_of("shapes", self.shapes, Shapes)
        self._places = places(self.images, self.annotations)
        self._intake = self.intake(self._places)

    def index(self) -> DataIndex:
        """Read and check the whole data set; each call reads the files again."""
        root, faults = self._intake.open(held(self._places))
        pairs = pair_up(root, self._places, ".json", self._intake.partition, faults)

        def parse(image: str, source: str, text: str) -> Annotation:
            return _parse(image, source, text, self.shapes, faults)

        annotated = read_annotations(root, pairs, parse, faults, unlabelled=self.unlabelled)
        names = {name for found in annotated.values() for annotation in found for name in annotation.names}
        return self._intake.index(root, annotated, self._intake.classes or sorted(names), faults)


def _parse(image: str, source: str, text: str, shapes: Shapes, faults: Faults) -> Annotation:
    check_text(text, wanted="labelme")
    content = json.loads(text)
    if not isinstance(content, dict) or not isinstance(content.get("shapes"), list):
        raise ValueError("has no list 'shapes', expected a file of LabelMe")
    found: dict[tuple[str, str, int], list[Box]] = {}
    refused: set[tuple[str, str, int]] = set()
    for number, shape in enumerate(content["shapes"]):
        if not isinstance(shape, dict) or not isinstance(shape.get("label"), str):
            raise ValueError(f"shapes[{number}] has no label")
        kind, where = shape.get("shape_type", "polygon"), f"{source}: shapes[{number}] ({shape['label']})"
        box = _box(kind, _points(shape.get("points")))
        group = _group(shape.get("group_id"), number)
        key = shape["label"], group, 0 if group else number
        if kind == "rectangle" or accept(shapes, where, f"a {kind}", faults):
            found.setdefault(key, []).append(box)
        else:
            refused.add(key)
    # without one of its parts, the box of an object would be too small
    dropped = [len(found.pop(key)) for key in refused if key in found]
    faults.count("shapes left out with another of their label and group_id", sum(dropped))
    joined = sum(len(parts) - 1 for parts in found.values())
    faults.count("shapes joined with another of their label and group_id", joined)
    boxes = [parts[0] if len(parts) == 1 else polygon_box(list(chain(*parts))) for parts in found.values()]
    refuse_fractions(boxes)
    return Annotation(image, source, _size(content), boxes, [label for label, *_ in found])


def _group(value: object, number: int) -> str:
    """Return the group whose shapes of one label are the parts of one object; empty for none."""
    group = identity(value)
    if group is None and value not in (None, ""):
        raise ValueError(f"shapes[{number}]: group_id is {value!r:.40}, expected a whole number or null")
    return group or ""


def _size(content: Mapping[str, Any]) -> tuple[int, int] | None:
    height, width = content.get("imageHeight"), content.get("imageWidth")
    if not isinstance(height, int) or not isinstance(width, int) or min(height, width) <= 0:
        return None
    return height, width


def _box(kind: str, points: Sequence[tuple[float, float]]) -> Box:
    """Return the box around a shape; a point, for instance, has one without area."""
    numbers = [value for point in points for value in point]
    if kind == "circle" and len(points) == 2 and finite(numbers):
        (x, y), edge = points
        radius = math.dist((x, y), edge)
        return x - radius, y - radius, x + radius, y + radius
    x1, y1, x2, y2 = polygon_box(numbers)
    last = kind == "mask"  # its second point is its last pixel: LabelMe fills mask[y1 : y2 + 1, x1 : x2 + 1]
    return x1, y1, x2 + last, y2 + last


def _points(value: object) -> Sequence[tuple[float, float]]:
    points = value if isinstance(value, list) else []
    pairs = [point for point in points if isinstance(point, list) and len(point) == 2]
    if not points or len(pairs) < len(points) or not all(type(v) in (int, float) for p in pairs for v in p):
        raise ValueError(f"points are {value!r:.60}, expected [[x, y], ...]")
    return [(x, y) for x, y in pairs]
