"""Reader for YOLO text labels: one file per image and one line per box.

A line is "class cx cy w h" in fractions of the image's sides. Keypoints may follow: K points of D = 2 (x, y)
or 3 (x, y, visibility) numbers, with `kpt_shape: [K, D]` in the YAML file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from gffpn.choice import one_of
from gffpn.data.index import DataIndex
from gffpn.data.readers.annotation import Annotation, Box
from gffpn.data.readers.class_names import class_names, keypoint_numbers
from gffpn.data.readers.faults import Faults, Kind
from gffpn.data.readers.formats import check_text, yolo_box
from gffpn.data.readers.pairs import Unlabelled, pair_up, read_annotations
from gffpn.data.readers.places import Place, held, places
from gffpn.data.readers.reader import Reader
from gffpn.data.readers.shapes import Shapes, accept


@dataclass(kw_only=True)
class YOLO(Reader):
    """Reader for images in one folder and text files with the same stems in another.

    `images` and `labels` are folders below `root`, lists of folders, or mappings from split to one of the
    two, and contain files at any depth. The names of the class numbers are those in the root's data.yaml
    (whose paths are not used), another YAML file, obj.names or classes.txt; `classes`, if given, orders them.
    If the set has no such names, `classes` gives them, class 0 first. `unlabelled` is the treatment of
    an image without a label file: a fault ("refuse"), an image without objects ("background") or left out
    ("drop"). A polygon or oriented box ("class x1 y1 x2 y2 ...") is a fault unless `shapes` is "enclose",
    which takes the upright box around it. If the YAML file has a `kpt_shape`, a line is a box with its
    keypoints, which are left out. For the other arguments, see `Reader`.

    Raises ValueError for an invalid argument; `index` raises DataError for faulty data.
    """

    images: Place
    labels: Place
    unlabelled: Unlabelled
    shapes: Shapes

    def __post_init__(self) -> None:
        one_of("unlabelled", self.unlabelled, Unlabelled)
        one_of("shapes", self.shapes, Shapes)
        self._places = places(self.images, self.labels)
        self._intake = self.intake(self._places)

    def index(self) -> DataIndex:
        """Read and check the whole data set; each call reads the files again."""
        root, faults = self._intake.open(held(self._places))
        folders = [labels for found in self._places.values() for _, labels in found]
        classes = self._intake.classes
        own = class_names(root, folders, faults, given=classes)
        if not own:
            faults.settle()
        keypoints = keypoint_numbers(root, folders, faults)
        pairs = pair_up(root, self._places, ".txt", self._intake.partition, faults)
        names: dict[float, str] = dict(enumerate(own))

        def parse(image: str, source: str, text: str) -> Annotation:
            check_text(text, wanted="yolo")
            if plain := _plain(text, names):
                return Annotation(image, source, None, *plain, relative=True)
            return _parse(image, source, text, own, keypoints, self.shapes, faults)

        annotated = read_annotations(root, pairs, parse, faults, unlabelled=self.unlabelled)
        return self._intake.index(root, annotated, classes or own, faults)


def _parse(
    image: str,
    source: str,
    text: str,
    classes: Sequence[str],
    keypoints: int,
    shapes: Shapes,
    faults: Faults,
) -> Annotation:
    boxes: list[Box] = []
    names: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            label, box, shape = yolo_box(line, keypoints)
        except ValueError as error:
            raise type(error)(f"line {number}: {error}") from None
        if not 0 <= label < len(classes):
            expected = f"expected 0 to {len(classes) - 1}"
            faults.add(Kind.UNKNOWN_CLASS, f"{source}, line {number}: class {label}, {expected}")
        elif not shape or accept(shapes, f"{source}, line {number}", shape, faults):
            boxes.append(box)
            names.append(classes[label])
    return Annotation(image, source, None, boxes, names, relative=True)


def _plain(text: str, names: Mapping[float, str]) -> tuple[list[Box], list[str]] | None:
    """Return the boxes and class names of a file of ordinary lines, or None if a line needs a closer look."""
    lines = [line.split() for line in text.splitlines()]
    if not {5}.issuperset(map(len, lines)):
        return None
    try:
        values = list(map(float, chain.from_iterable(lines)))
        named = [names[label] for label in values[::5]]
    except (ValueError, KeyError):
        return None
    x, y, w, h = (values[column::5] for column in range(1, 5))
    sides = x + y + w + h
    if sides and not (min(sides) >= -2 and max(sides) <= 2):
        return None
    boxes = [(x - w / 2, y - h / 2, x + w / 2, y + h / 2) for x, y, w, h in zip(x, y, w, h, strict=True)]
    return boxes, named
