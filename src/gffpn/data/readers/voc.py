"""Reader for Pascal VOC: one XML file per image.

Source: Everingham and others, "The PASCAL Visual Object Classes Challenge 2012: Development Kit", section
"Annotation files"; NEU-DET follows it.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from xml.etree import ElementTree

from gffpn.choice import one_of
from gffpn.data.index import DataIndex
from gffpn.data.readers.annotation import Annotation, Box
from gffpn.data.readers.faults import Faults, Kind
from gffpn.data.readers.formats import check_text, refuse_fractions
from gffpn.data.readers.pairs import Unlabelled, pair_up, read_annotations
from gffpn.data.readers.places import Place, held, places
from gffpn.data.readers.reader import Reader
from gffpn.data.readers.shapes import Shapes, accept, polygon_box, rotated_box

_POINT = re.compile(r"[xy]\d*$")
Corners = Literal["pixels_from_1", "pixels_from_0", "edges"]
# Offsets that turn xmin, ymin, xmax, ymax into edges, where a whole image is (0, 0, width, height).
# VOC counts pixels from 1 and gives the first and the last pixel of a box: NEU-DET's 4,189 boxes range from 1
# to 200 in images of 200 x 200, and 493 begin in column 1, so only the offsets -1, -1, 0, 0 give edges.
CORNERS: Mapping[Corners, Box] = {
    "pixels_from_1": (-1, -1, 0, 0),
    "pixels_from_0": (0, 0, 1, 1),
    "edges": (0, 0, 0, 0),
}


@dataclass(kw_only=True)
class VOC(Reader):
    """Reader for images in one folder and XML files with the same stems in another.

    `images` and `annotations` are folders below `root`, lists of folders, or mappings from split to one of
    the two, and contain files at any depth. `unlabelled` is the treatment of an image without an XML file: a
    fault ("refuse"), an image without objects ("background") or left out ("drop"). `corners` is the
    meaning of a box's numbers: "pixels_from_1" (the standard), "pixels_from_0" or "edges". None means
    "pixels_from_1", but a set with fractional numbers or with an xmin or ymin of 0 is refused. Objects marked
    difficult or truncated are kept. A polygon or rotated box without a bndbox, and a box that CVAT rotates,
    are faults unless `shapes` is "enclose", which takes the upright box around them. Without `classes`, the
    classes are the sorted names in all annotations.
    For the other arguments, see `Reader`.

    Raises ValueError for an invalid argument; `index` raises DataError for faulty data.
    """

    images: Place
    annotations: Place
    corners: Corners | None
    shapes: Shapes
    unlabelled: Unlabelled

    def __post_init__(self) -> None:
        if self.corners is not None:
            one_of("corners", self.corners, Corners)
        one_of("shapes", self.shapes, Shapes)
        one_of("unlabelled", self.unlabelled, Unlabelled)
        self._places = places(self.images, self.annotations)
        self._intake = self.intake(self._places)
        self._shift = CORNERS[self.corners or "pixels_from_1"]

    def index(self) -> DataIndex:
        """Read and check the whole data set; each call reads the files again."""
        root, faults = self._intake.open(held(self._places))
        pairs = pair_up(root, self._places, ".xml", self._intake.partition, faults)
        odd: dict[str, list[str]] = {}

        def parse(image: str, source: str, text: str) -> Annotation:
            return self._parse(image, source, text, odd, faults)

        annotated = read_annotations(root, pairs, parse, faults, unlabelled=self.unlabelled)
        if self.corners is None:
            for what, sources in odd.items():
                faults.add(Kind.CORNERS, f"boxes with {what}: {len(sources)}, the first in {sources[0]}")
        names = {name for found in annotated.values() for annotation in found for name in annotation.names}
        return self._intake.index(root, annotated, self._intake.classes or sorted(names), faults)

    def _parse(
        self, image: str, source: str, text: str, odd: dict[str, list[str]], faults: Faults
    ) -> Annotation:
        if "<!DOCTYPE" in text:  # can declare entities, which can expand without bound
            raise ValueError("has a DOCTYPE, expected plain XML")
        check_text(text, wanted="voc")
        tree = _tree(text)
        if tree.tag != "annotation":
            raise ValueError(f"begins with <{tree.tag}>, expected <annotation>")
        boxes: list[Box] = []
        names: list[str] = []
        every: list[Box] = []
        for thing in tree.iterfind("object"):
            name, given = _text(thing, "name"), _bndbox(thing)
            box = given and self._edges(given)
            every += [given] if given else []
            if (shape := _shape(thing, box)) is not None:
                what, box = shape
                if not accept(self.shapes, f"{source}: {name}", what, faults):
                    continue
            if box is None:
                raise ValueError("<object> without bndbox/xmin")
            boxes.append(box)
            names.append(name)
        refuse_fractions(every or boxes)
        for x1, y1, *far in every:
            if any(math.isfinite(value) and not value.is_integer() for value in (x1, y1, *far)):
                odd.setdefault("fractional numbers", []).append(source)
            elif 0 in (x1, y1):
                odd.setdefault("an xmin or ymin of 0", []).append(source)
        return Annotation(image, source, _size(tree), boxes, names)

    def _edges(self, box: Box) -> Box:
        """Return the edges of a box from the numbers in its file."""
        (x1, y1, x2, y2), (left, top, right, bottom) = box, self._shift
        return x1 + left, y1 + top, x2 + right, y2 + bottom


def _tree(text: str) -> ElementTree.Element:
    if not text.strip():
        raise ValueError("is empty, expected <annotation>")
    try:
        return ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise ValueError(f"not readable as XML: {error}") from error


def _size(tree: ElementTree.Element) -> tuple[int, int] | None:
    """Return height and width; None if one is missing or 0, as programs write that do not know it."""
    sides = []
    for key in ("size/height", "size/width"):
        value = _number(tree, key) if (tree.findtext(key) or "").strip() else 0.0
        if not value.is_integer():
            raise ValueError(f"{key} is {value:g}, expected a whole number")
        sides.append(int(value))
    return (sides[0], sides[1]) if all(sides) else None


def _bndbox(thing: ElementTree.Element) -> Box | None:
    if thing.find("bndbox") is None:
        return None
    x1, y1, x2, y2 = (_number(thing, f"bndbox/{key}") for key in ("xmin", "ymin", "xmax", "ymax"))
    return x1, y1, x2, y2


def _shape(thing: ElementTree.Element, box: Box | None) -> tuple[str, Box] | None:
    """Return the description of an object that is no upright box, and the box around it; else None."""
    for attribute in thing.iterfind("attributes/attribute"):
        if box and attribute.findtext("name") == "rotation" and (degrees := _number(attribute, "value")):
            return f"a box rotated by {degrees:g} degrees", rotated_box(box, degrees)  # of CVAT
    if box is not None:
        return None
    if thing.find("robndbox") is not None:  # of roLabelImg, with its angle in radians
        keys = ("cx", "cy", "w", "h", "angle")
        x, y, width, height, angle = (_number(thing, f"robndbox/{key}") for key in keys)
        upright = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        return "a rotated box", rotated_box(upright, math.degrees(angle))
    # as x1, y1, x2, ... or as x and y of each point
    found = [
        (part.tag[0], _number(part, ".")) for part in thing.iterfind("polygon//*") if _POINT.match(part.tag)
    ]
    points = [value for _, value in found]
    paired = "".join(axis for axis, _ in found) == "xy" * (len(found) // 2)
    return ("a polygon", polygon_box(points)) if len(points) >= 6 and paired else None


def _text(element: ElementTree.Element, path: str) -> str:
    text = (element.findtext(path) or "").strip()
    if not text:
        raise ValueError(f"<{element.tag}> without {path}")
    return text


def _number(element: ElementTree.Element, path: str) -> float:
    text = _text(element, path)
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{path} is {text!r}, expected a number") from None
