"""Reader for COCO: one JSON file for many images.

Source: cocodataset.org, "Data format", object detection.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from gffpn.choice import one_of
from gffpn.data.index import DataIndex
from gffpn.data.readers.annotation import Annotation, Box
from gffpn.data.readers.crowd import Crowd, refuse_many
from gffpn.data.readers.faults import Faults, Kind
from gffpn.data.readers.file_names import ImageFolders
from gffpn.data.readers.formats import WrongFormat, are_fractions, check_coco, check_text
from gffpn.data.readers.pairs import Unlabelled, without_file
from gffpn.data.readers.parents import without_parents
from gffpn.data.readers.places import Place, held, places
from gffpn.data.readers.reader import Reader
from gffpn.data.readers.root import Root

Item = Mapping[str, Any]
WORDS: Mapping[type, str] = {int: "a whole number", str: "a string"}


@dataclass(kw_only=True)
class COCO(Reader):
    """Reader for a COCO data set with one JSON file, or one per split.

    `annotations` is the JSON file, and `images` the folder to which the file names in it are relative. Both
    are below `root`, and each may be a list of paths, or a mapping from split to a path or a list. A file
    name that is not exactly that of a file stands for the only one that it fits, see `ImageFolders`. Category
    ids become labels 0 .. K-1 in the order of the ids, or of `classes` if given. `unlabelled` is the
    treatment of images in the folder that no JSON file lists: a fault ("refuse"), images without objects
    ("background") or left out ("drop"). `crowd` is the treatment of annotations with iscrowd = 1: as
    regions that evaluation ignores ("ignore", as in pycocotools), as ordinary objects ("object"), or as if
    they were not in the file ("drop"). None means "ignore", but a set of which they are a large part is
    refused. For the other arguments, see `Reader`.

    Raises ValueError for an invalid argument; `index` raises DataError for faulty data.
    """

    images: Place
    annotations: Place
    crowd: Crowd | None
    unlabelled: Unlabelled

    def __post_init__(self) -> None:
        one_of("unlabelled", self.unlabelled, Unlabelled)
        if self.crowd is not None:
            one_of("crowd", self.crowd, Crowd)
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
        categories = without_parents(_categories(contents, faults), contents, faults)
        folders = ImageFolders(root, [folder for _, folder, *_ in files])
        annotated: dict[str, list[Annotation]] = {split: [] for split in self._places}
        for split, folder, name, content in files:
            find = partial(folders.find, folder)
            annotated[split] += _annotations(find, name, content, categories, self.crowd or "ignore", faults)
        self._add_unlisted(annotated, folders, faults)
        annotated = self._intake.partition.select(root, annotated, faults)
        if self.crowd is None:
            refuse_many((found for part in annotated.values() for found in part), faults)
        classes = self._intake.classes or tuple(categories[number] for number in sorted(categories))
        return self._intake.index(root, annotated, classes, faults)

    def _add_unlisted(
        self, annotated: dict[str, list[Annotation]], folders: ImageFolders, faults: Faults
    ) -> None:
        """Add the images that no file lists, or count them; with split lists, only as background."""
        if self._intake.partition.has_lists and self.unlabelled != "background":
            return
        known = {annotation.image for found in annotated.values() for annotation in found}
        first = {folder: split for split in reversed(annotated) for folder, _ in self._places[split]}
        for folder, split in first.items():
            for image in folders.images(folder):
                if image not in known:
                    file = self._places[split][0][1]
                    found = without_file(image, self.unlabelled, faults, f"{file} does not list it")
                    annotated[split] += [found] if found else []


def _load(root: Root, folder: str, name: str, faults: Faults) -> Item | None:
    images, path = root.folder(folder, faults), root.file(name, faults)
    if images is None or path is None:
        return None
    try:
        raw = path.read_bytes()
        check_text(raw[:1000].decode(errors="replace"), wanted="coco")
        content: Item = json.loads(raw)
        check_coco(content)
    except WrongFormat as error:
        faults.add(Kind.OTHER_FORM, f"{name}: {error}")
        return None
    except (OSError, ValueError, RecursionError) as error:
        faults.add(Kind.UNREADABLE_FILE, f"{name}: not readable as JSON: {error}")
        return None
    return content


def _items(name: str, content: Item, key: str, needs: Mapping[str, type], faults: Faults) -> Iterator[Item]:
    """Yield the entries of list `key` that have a new id and values of the right types for `needs`."""
    seen: set[int] = set()
    for position, item in enumerate(content[key]):
        values = item if isinstance(item, dict) else {}
        expected = {"id": int, **needs}
        # isinstance would accept a JSON true as a number, because Python's True is an int
        lacks = [field for field, kind in expected.items() if type(values.get(field)) is not kind]
        if lacks:
            what = ", ".join(
                f"{field} is {repr(values.get(field))[:40]}, expected {WORDS[expected[field]]}"
                if field in values
                else f"no {field}, expected {WORDS[expected[field]]}"
                for field in lacks
            )
            faults.add(Kind.UNREADABLE_ANNOTATION, f"{name}: {key}[{position}]: {what}")
        elif item["id"] in seen:
            faults.add(Kind.DUPLICATE, f"{name}: {key}[{position}] has the id {item['id']} of another entry")
        else:
            seen.add(item["id"])
            yield item


def _categories(files: Sequence[tuple[str, Item]], faults: Faults) -> dict[int, str]:
    names: dict[int, str] = {}
    for file, content in files:
        for item in _items(file, content, "categories", {"name": str}, faults):
            name = names.setdefault(item["id"], item["name"])
            if name != item["name"]:
                faults.add(
                    Kind.CLASSES,
                    f"{file}: category {item['id']} is {item['name']!r} here, {name!r} elsewhere",
                )
    return names


def _images(file: str, content: Item, faults: Faults) -> dict[int, Item]:
    needs = {"file_name": str, "height": int, "width": int}
    first: dict[str, int] = {}
    images: dict[int, Item] = {}
    for item in _items(file, content, "images", needs, faults):
        other = first.setdefault(item["file_name"], item["id"])
        if other == item["id"]:
            images[other] = item
        else:
            faults.add(Kind.DUPLICATE, f"{file}: {item['file_name']} has the ids {other} and {item['id']}")
    return images


def _annotations(
    find: Callable[[str], str],
    file: str,
    content: Item,
    categories: Mapping[int, str],
    crowd: Crowd,
    faults: Faults,
) -> list[Annotation]:
    """Return the annotations of one file; `find` returns the path of an image by its file name."""
    images = _images(file, content, faults)
    found: dict[int, list[tuple[Box, str, bool]]] = {number: [] for number in images}
    for item in _items(file, content, "annotations", {"image_id": int, "category_id": int}, faults):
        where = f"{file}: annotation {item['id']}"
        box, flag = _box(item.get("bbox")), item.get("iscrowd") or 0
        if flag not in (0, 1):
            faults.add(Kind.UNREADABLE_ANNOTATION, f"{where}: iscrowd is {flag!r:.40}, expected 0 or 1")
        elif flag and crowd == "drop":
            faults.count("crowd annotations dropped")
        elif item["image_id"] not in images:
            faults.add(Kind.MISSING_IMAGE, f"{where}: no image has the id {item['image_id']}")
        elif item["category_id"] not in categories:
            faults.add(Kind.UNKNOWN_CLASS, f"{where}: no category has the id {item['category_id']}")
        elif box is None:
            given = str(item.get("bbox", "missing"))[:60]
            what = f"{where}: bbox is {given}, expected [x, y, width, height] in pixels"
            faults.add(Kind.UNREADABLE_ANNOTATION, what)
        else:
            faults.count("crowd annotations read as objects", int(flag and crowd == "object"))
            region = bool(flag) and crowd == "ignore"
            found[item["image_id"]].append((box, categories[item["category_id"]], region))
    if are_fractions([box for boxes in found.values() for box, _, _ in boxes]):
        faults.add(Kind.OTHER_FORM, f"{file}: every bbox ends at 1 or below, like fractions: expected pixels")
    return [
        Annotation(
            image=find(item["file_name"]),
            source=f"{file}: {item['file_name']}",
            size=(item["height"], item["width"]),
            boxes=[box for box, _, _ in found[number]],
            names=[name for _, name, _ in found[number]],
            group=str(item.get("group", "")),
            crowd=[region for _, _, region in found[number]],
        )
        for number, item in images.items()
    ]


def _box(bbox: object) -> Box | None:
    if not isinstance(bbox, list) or len(bbox) != 4:
        return None
    if not all(isinstance(value, int | float) for value in bbox):
        return None
    try:
        x, y, width, height = map(float, bbox)
    except OverflowError:  # an integer beyond the range of floats
        return None
    return x, y, x + width, y + height
