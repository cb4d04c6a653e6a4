"""Reader for YOLO text labels: one file per image and one line per box.

A line is "class cx cy w h" in fractions of the image's sides.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import yaml

from gffpn.choice import one_of
from gffpn.data.index import DataIndex
from gffpn.data.readers.annotation import Annotation, Box
from gffpn.data.readers.faults import Faults, Kind
from gffpn.data.readers.formats import check_text, yolo_box
from gffpn.data.readers.pairs import Place, pair_up, places, read_annotations
from gffpn.data.readers.reader import Reader
from gffpn.data.readers.root import Root
from gffpn.data.readers.shapes import Shapes, accept

UNLABELLED = ("refuse", "background")
NAMES_FILE = "data.yaml"


@dataclass(kw_only=True)
class YOLO(Reader):
    """Reader for images in one folder and text files with the same stems in another.

    `images` and `labels` are folders below `root`, or mappings from split to folder. Without `classes`, the
    classes are the `names` in the root's data.yaml, whose paths are not used. `unlabelled` determines whether
    an image without a label file is a fault ("refuse") or an image without objects ("background"). A polygon
    or oriented box ("class x1 y1 x2 y2 ...") is a fault unless `shapes` is "enclose", which takes the upright
    box around it. For the other arguments, see `Reader`.

    Raises ValueError for an invalid argument; `index` raises DataError for faulty data.
    """

    images: Place
    labels: Place
    unlabelled: str
    shapes: Shapes

    def __post_init__(self) -> None:
        one_of("shapes", self.shapes, Shapes)
        if self.unlabelled not in UNLABELLED:
            raise ValueError(f"unlabelled: got {self.unlabelled!r}, expected one of {list(UNLABELLED)}")
        self._places = places(self.images, self.labels)
        self._intake = self.intake(self._places)

    def index(self) -> DataIndex:
        """Read and check the whole data set; each call reads the files again."""
        images, labels = self._places["train"]
        root, faults = self._intake.open(f"{images} and {labels}")
        classes = self._intake.classes or _names(root, faults)
        if not classes:
            faults.settle()
        pairs = pair_up(root, self._places, ".txt", self._intake.partition, faults)

        def parse(image: str, source: str, text: str) -> Annotation:
            return _parse(image, source, text, classes, self.shapes, faults)

        background = self.unlabelled == "background"
        annotated = read_annotations(root, pairs, parse, faults, background=background)
        return self._intake.index(root, annotated, classes, faults)


def _parse(
    image: str, source: str, text: str, classes: Sequence[str], shapes: Shapes, faults: Faults
) -> Annotation:
    check_text(text, wanted="yolo")
    boxes: list[Box] = []
    names: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            label, box, shape = yolo_box(line)
        except ValueError as error:
            raise type(error)(f"line {number}: {error}") from None
        where = f"{source}, line {number}"
        if not 0 <= label < len(classes):
            faults.add(Kind.UNKNOWN_CLASS, f"{where}: class {label}, expected 0 to {len(classes) - 1}")
        elif not shape or accept(shapes, where, shape, faults):
            boxes.append(box)
            names.append(classes[label])
    return Annotation(image, source, None, boxes, names, relative=True)


def _names(root: Root, faults: Faults) -> tuple[str, ...]:
    path = root.inside(NAMES_FILE)
    if path is None or not path.is_file():
        faults.add(Kind.CLASSES, f"data.classes is null and the root holds no {NAMES_FILE} with `names`")
        return ()
    try:
        # this loader keeps every scalar as it is written: YAML would read `no` as false and `010` as 8
        names = yaml.load(path.read_bytes(), yaml.BaseLoader)["names"]
        if isinstance(names, dict):
            names = [names[str(label)] for label in range(len(names))]
        if names and isinstance(names, list) and all(isinstance(name, str) for name in names):
            return tuple(names)
        raise TypeError(f"names is {names!r:.200}")
    except (yaml.YAMLError, LookupError, RecursionError, TypeError, ValueError) as error:
        expected = "a list `names`, or a mapping of 0, 1, ... to names"
        faults.add(Kind.CLASSES, f"{NAMES_FILE}: expected {expected}; {' '.join(str(error).split())}")
        return ()
