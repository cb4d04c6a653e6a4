"""Reader for Pascal VOC: one XML file per image.

Source: Everingham and others, "The PASCAL Visual Object Classes Challenge 2012: Development Kit", section
"Annotation files"; NEU-DET follows it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from xml.etree import ElementTree

from gffpn.choice import one_of
from gffpn.data.index import DataIndex
from gffpn.data.readers.annotation import Annotation, Box
from gffpn.data.readers.formats import check_text
from gffpn.data.readers.pairs import Unlabelled, pair_up, read_annotations
from gffpn.data.readers.places import Place, held, places
from gffpn.data.readers.reader import Reader

# Offsets that turn xmin, ymin, xmax, ymax into edges, where a whole image is (0, 0, width, height).
# VOC counts pixels from 1 and gives the first and the last pixel of a box: NEU-DET's 4,189 boxes range from 1
# to 200 in images of 200 x 200, and 493 begin in column 1, so only the offsets -1, -1, 0, 0 give edges.
CORNERS: Mapping[str, Box] = {
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
    meaning of a box's numbers: "pixels_from_1" (the standard), "pixels_from_0" or "edges". Objects marked
    difficult or truncated are kept. Without `classes`, the classes are the sorted names in all annotations.
    For the other arguments, see `Reader`.

    Raises ValueError for an invalid argument; `index` raises DataError for faulty data.
    """

    images: Place
    annotations: Place
    corners: str
    unlabelled: Unlabelled

    def __post_init__(self) -> None:
        if self.corners not in CORNERS:
            raise ValueError(f"corners: got {self.corners!r}, expected one of {list(CORNERS)}")
        one_of("unlabelled", self.unlabelled, Unlabelled)
        self._places = places(self.images, self.annotations)
        self._intake = self.intake(self._places)
        self._shift = CORNERS[self.corners]

    def index(self) -> DataIndex:
        """Read and check the whole data set; each call reads the files again."""
        root, faults = self._intake.open(held(self._places))
        pairs = pair_up(root, self._places, ".xml", self._intake.partition, faults)
        annotated = read_annotations(root, pairs, self._parse, faults, unlabelled=self.unlabelled)
        names = {name for found in annotated.values() for annotation in found for name in annotation.names}
        return self._intake.index(root, annotated, self._intake.classes or sorted(names), faults)

    def _parse(self, image: str, source: str, text: str) -> Annotation:
        if "<!DOCTYPE" in text:  # can declare entities, which can expand without bound
            raise ValueError("has a DOCTYPE, expected plain XML")
        check_text(text, wanted="voc")
        tree = _tree(text)
        if tree.tag != "annotation":
            raise ValueError(f"begins with <{tree.tag}>, expected <annotation>")
        boxes: list[Box] = []
        names: list[str] = []
        for thing in tree.iterfind("object"):
            x1, y1, x2, y2 = (_number(thing, f"bndbox/{key}") for key in ("xmin", "ymin", "xmax", "ymax"))
            left, top, right, bottom = self._shift
            boxes.append((x1 + left, y1 + top, x2 + right, y2 + bottom))
            names.append(_text(thing, "name"))
        size = None
        if tree.find("size") is not None:
            size = _whole(tree, "size/height"), _whole(tree, "size/width")
        return Annotation(image, source, size, boxes, names)


def _tree(text: str) -> ElementTree.Element:
    if not text.strip():
        raise ValueError("is empty, expected <annotation>")
    try:
        return ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise ValueError(f"not readable as XML: {error}") from error


def _whole(element: ElementTree.Element, path: str) -> int:
    value = _number(element, path)
    if not value.is_integer():
        raise ValueError(f"{path} is {value:g}, expected a whole number")
    return int(value)


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
