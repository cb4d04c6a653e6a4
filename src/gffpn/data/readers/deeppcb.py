"""Reader for DeepPCB, as its repository has it.

Source: github.com/tangsanli5201/DeepPCB; images `groupNNNNN/NNNNN/*_test.jpg`, and a box
"x1 y1 x2 y2 type" per line of `groupNNNNN/NNNNN_not/*.txt`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from gffpn.choice import one_of
from gffpn.data.index import DataIndex
from gffpn.data.readers.annotation import Annotation, Box
from gffpn.data.readers.faults import Kind
from gffpn.data.readers.listing import listed
from gffpn.data.readers.pairs import Pair, Unlabelled, read_annotations
from gffpn.data.readers.reader import Reader
from gffpn.data.readers.root import below, contents

NAMES = ("open", "short", "mousebite", "spur", "copper", "pin-hole")
"""Names of the types 1 to 6."""
TESTED = "_test"
"""End of the stem of an image with defects; the templates without them end with _temp."""


@dataclass(kw_only=True)
class DeepPCB(Reader):
    """Reader for DeepPCB; `images` is the folder of the groups.

    The images of one group come from one board and are a group of the index, too. A split list gives an image
    without "_test". `unlabelled` is the treatment of an image without a file of boxes: a fault ("refuse"), an
    image without objects ("background") or left out ("drop"). For the other arguments, see `Reader`.

    Raises ValueError for an invalid argument; `index` raises DataError for faulty data.
    """

    images: str
    unlabelled: Unlabelled

    def __post_init__(self) -> None:
        one_of("unlabelled", self.unlabelled, Unlabelled)
        self._intake = self.intake(["train"])

    def index(self) -> DataIndex:
        """Read and check the whole data set; each call reads the files again."""
        root, faults = self._intake.open(f"{self.images}, a clone of DeepPCB")
        folder = root.folder(self.images, faults)
        pairs = list(_pairs(self.images, set(listed(folder)))) if folder else []
        if folder and not pairs:
            faults.add(Kind.MISSING_FOLDER, f"{self.images}: no image *{TESTED}.jpg; {contents(folder)}")
        if not pairs:
            faults.settle()
        selected = self._intake.partition.select(root, {"train": pairs}, faults, _alias)
        annotated = read_annotations(root, selected, _parse, faults, unlabelled=self.unlabelled)
        return self._intake.index(root, annotated, self._intake.classes or NAMES, faults)


def _pairs(place: str, names: set[str]) -> Iterator[Pair]:
    for name in sorted(names):
        path = PurePosixPath(name)
        if path.suffix == ".jpg" and path.stem.endswith(TESTED):
            board = path.parent.with_name(f"{path.parent.name}_not")
            label = str(board / f"{path.stem.removesuffix(TESTED)}.txt")
            yield Pair(below(place, name), below(place, label) if label in names else None)


def _alias(image: str) -> str:
    return PurePosixPath(image).stem.removesuffix(TESTED)


def _parse(image: str, source: str, text: str) -> Annotation:
    boxes: list[Box] = []
    names: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.replace(",", " ").split()
        if not words:
            continue
        try:
            x1, y1, x2, y2, kind = map(int, words)
            if not 1 <= kind <= len(NAMES):
                raise ValueError
        except ValueError:
            expected = f"'x1 y1 x2 y2 type', whole numbers, with a type from 1 to {len(NAMES)}"
            raise ValueError(f"line {number}: {line[:60]!r}, expected {expected}") from None
        boxes.append((x1, y1, x2, y2))
        names.append(NAMES[kind - 1])
    return Annotation(image, source, None, boxes, names, group=PurePosixPath(image).parts[-3])
