"""Reader for COCO: one JSON file for many images.

Source: cocodataset.org, "Data format", object detection.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from gffpn.choice import one_of
from gffpn.data.index import DataIndex
from gffpn.data.readers.annotation import Annotation, Box
from gffpn.data.readers.coco_entries import (
    Entries,
    Item,
    categories,
    classes_of,
    entries,
    identity,
    images,
    refuse_no_classes,
    refuse_repeats,
    size,
)
from gffpn.data.readers.coco_plain import Found, Named, plain
from gffpn.data.readers.crowd import Crowd, refuse_many
from gffpn.data.readers.decoding import decoded
from gffpn.data.readers.faults import Faults, Kind
from gffpn.data.readers.file_names import ImageFolders
from gffpn.data.readers.formats import WrongFormat, are_fractions, check_coco, check_text
from gffpn.data.readers.pairs import Unlabelled
from gffpn.data.readers.parents import without_parents
from gffpn.data.readers.places import Place, held, places
from gffpn.data.readers.reader import Reader
from gffpn.data.readers.root import Root
from gffpn.data.readers.shapes import Shapes, accept, finite, rotated_box, segmentation_box
from gffpn.data.readers.unlisted import unlisted


@dataclass(kw_only=True)
class COCO(Reader):
    """Reader for a COCO data set with one JSON file, or one per split.

    `annotations` is the JSON file, and `images` the folder to which the file names in it are relative. Both
    are below `root`, and each may be a list of paths, or a mapping from split to a path or a list. A file
    name that is not exactly that of a file stands for the only one that it fits, see `ImageFolders`. Category
    ids become labels 0 .. K-1 in the order of the ids, or of `classes` if given; files whose ids differ are
    matched by the names. `unlabelled` is the
    treatment of images in the folder that no JSON file lists: a fault ("refuse"), images without objects
    ("background") or left out ("drop"). `crowd` is the treatment of annotations with iscrowd = 1: as
    regions that evaluation ignores ("ignore", as in pycocotools), as ordinary objects ("object"), or as if
    they were not in the file ("drop"). None means "ignore", but a set of which they are a large part is
    refused. A segmentation without a box and a box that CVAT rotates are faults unless `shapes` is "enclose",
    which takes the upright box around them. For the other arguments, see `Reader`.

    Raises ValueError for an invalid argument; `index` raises DataError for faulty data.
    """

    images: Place
    annotations: Place
    crowd: Crowd | None
    unlabelled: Unlabelled
    shapes: Shapes

    def __post_init__(self) -> None:
        one_of("unlabelled", self.unlabelled, Unlabelled)
        if self.crowd is not None:
            one_of("crowd", self.crowd, Crowd)
        one_of("shapes", self.shapes, Shapes)
        self._places = places(self.images, self.annotations)
        self._intake = self.intake(self._places)

    def index(self) -> DataIndex:
        """Read and check the whole data set; each call reads the files again."""
        root, faults = self._intake.open(held(self._places))
        every = [(split, *place) for split, found in self._places.items() for place in found]
        loaded = [_load(root, folder, name, faults) for _, folder, name in every]
        files = [
            (*place, content) for place, content in zip(every, loaded, strict=True) if content is not None
        ]
        if len(files) < len(every):
            faults.settle()
        contents = [(name, content) for _, _, name, content in files]
        named = without_parents(categories(contents, faults), contents, faults)
        classes = classes_of([names for names, _ in named], faults)
        if not classes:
            refuse_no_classes(contents, faults)
        if self._intake.classes is None:
            own = {file: names for (file, _), (names, _) in zip(contents, named, strict=True)}
            refuse_repeats(own, faults)
        folders = ImageFolders(root, [folder for _, folder, *_ in files], faults)
        annotated: dict[str, list[Annotation]] = {split: [] for split in self._places}
        for (split, folder, name, content), its in zip(files, named, strict=True):
            find = partial(folders.find, folder)
            annotated[split] += _annotations(find, name, content, its, self, faults)
        if self.unlabelled == "background" or not self._intake.partition.has_lists:
            for split, image in unlisted(files, folders, self.unlabelled, faults):
                annotated[split].append(image)
        annotated = self._intake.partition.select(root, annotated, faults)
        if self.crowd is None:
            refuse_many((found for part in annotated.values() for found in part), faults)
        return self._intake.index(root, annotated, self._intake.classes or classes, faults)


def _load(root: Root, folder: str, name: str, faults: Faults) -> Item | None:
    images, path = root.folder(folder, faults), root.file(name, faults)
    if images is None or path is None:
        return None
    try:
        text = decoded(path.read_bytes())
        check_text(text[:1000], wanted="coco")
        content: Item = json.loads(text)
        check_coco(content)
    except WrongFormat as error:
        faults.add(Kind.OTHER_FORM, f"{name}: {error}")
        return None
    except (OSError, ValueError, RecursionError) as error:
        faults.add(Kind.UNREADABLE_FILE, f"{name}: not readable as JSON: {error}")
        return None
    return content


def _flag(item: Item, name: str, where: str, faults: Faults) -> bool | None:
    value = item.get(name) or 0
    if not value:
        return False
    if value == 1:
        return True
    faults.add(Kind.UNREADABLE_ANNOTATION, f"{where}: {name} is {value!r:.40}, expected 0 or 1")
    return None


_NUMBERS = frozenset({int, float, bool})
"""Types of a number in JSON; Python counts bool as one."""


def _annotations(
    find: Callable[[str], str], file: str, content: Item, named: Named, reader: COCO, faults: Faults
) -> list[Annotation]:
    """Return the annotations of one file; `find` returns the path of an image by its file name."""
    pictures = images(file, content, faults)
    found = plain(content["annotations"], pictures, named, crowd=reader.crowd in (None, "ignore"))
    if found is None:
        found = _one_by_one(file, content, pictures, named, reader, faults)
    if are_fractions([box for boxes in found.values() for box, _, _ in boxes]):
        faults.add(Kind.OTHER_FORM, f"{file}: every bbox ends at 1 or below, like fractions: expected pixels")
    return [
        Annotation(
            image=find(item["file_name"]),
            source=f"{file}: {item['file_name']}",
            size=size(item, faults),
            boxes=[box for box, _, _ in found[number]],
            names=[name for _, name, _ in found[number]],
            group=identity(item.get("group")) or "",
            crowd=[region for _, _, region in found[number]],
        )
        for number, item in pictures.valid.items()
    ]


def _one_by_one(
    file: str, content: Item, pictures: Entries, named: Named, reader: COCO, faults: Faults
) -> dict[str, list[Found]]:
    """Return the objects of each image, and record the fault of each entry that cannot be used."""
    found: dict[str, list[Found]] = {number: [] for number in pictures.valid}
    listed = entries(file, content, "annotations", faults, ids=["image_id", "category_id"])
    for number, item in listed.valid.items():
        where, image = f"{file}: annotation {number}", str(identity(item["image_id"]))
        if image in pictures.faulty:
            continue
        if image not in pictures.valid:
            faults.add(Kind.MISSING_IMAGE, f"{where}: no image has the id {image}")
        elif (read := _object(where, item, named, reader, faults)) is not None:
            found[image].append(read)
    return found


def _object(where: str, item: Item, named: Named, reader: COCO, faults: Faults) -> Found | None:
    (names, faulty), crowd = named, reader.crowd or "ignore"
    category = str(identity(item["category_id"]))
    flag, ignored = _flag(item, "iscrowd", where, faults), _flag(item, "ignore", where, faults)
    if flag is None or ignored is None:
        return None
    if category in faulty:
        return None
    if ignored:
        faults.count("annotations with ignore = 1 left out")
    elif flag and crowd == "drop":
        faults.count("crowd annotations dropped")
    elif category not in names:
        faults.add(Kind.UNKNOWN_CLASS, f"{where}: no category has the id {category}")
    elif (box := _box(where, item, reader.shapes, faults)) is not None:
        if flag and crowd == "object":
            faults.count("crowd annotations read as objects")
        return box, names[category], flag and crowd == "ignore"
    return None


def _box(where: str, item: Item, shapes: Shapes, faults: Faults) -> Box | None:
    """Return the box of an annotation, or record a fault and return None."""
    box, attributes = _upright(item.get("bbox")), item.get("attributes")
    rotation = attributes.get("rotation") if isinstance(attributes, dict) else 0
    given = item.get("bbox") and (box is None or box[:2] != box[2:])  # some programs write [0, 0, 0, 0]
    around = None if given else segmentation_box(item.get("segmentation"))
    if around is not None:
        return around if accept(shapes, where, "a segmentation without bbox", faults) else None
    if box is None:
        shown = str(item.get("bbox", "missing"))[:60]
        what = f"{where}: bbox is {shown}, expected [x, y, width, height] in pixels"
        faults.add(Kind.UNREADABLE_ANNOTATION, what)
    elif rotation and type(rotation) in (int, float):  # CVAT gives the bbox before its rotation
        if not finite([rotation]):
            what = f"{where}: rotation is {str(rotation)[:40]}, expected degrees"
            faults.add(Kind.UNREADABLE_ANNOTATION, what)
            return None
        turned = accept(shapes, where, f"a box rotated by {rotation:g} degrees", faults)
        return rotated_box(box, rotation) if turned else None
    return box


def _upright(bbox: object) -> Box | None:
    if not isinstance(bbox, list) or len(bbox) != 4:
        return None
    if not _NUMBERS.issuperset(map(type, bbox)):
        return None
    try:
        x, y, width, height = map(float, bbox)
    except OverflowError:  # an integer beyond the range of floats
        return None
    return x, y, x + width, y + height
