"""Annotations of a COCO file without an unusual entry, read as a whole list and not entry by entry."""

from collections.abc import Collection, Mapping, Sequence
from itertools import chain
from typing import Any

from gffpn.data.readers.annotation import Box
from gffpn.data.readers.coco_entries import Entries

Named = tuple[Mapping[str, str], Collection[str]]
"""Class names by category id, and the ids of faulty categories."""
Found = tuple[Box, str, bool]
"""Box, class name and crowd flag of an annotation."""
FAR = 1e9
"""Pixels up to which a whole number is exact as a float, in sums, too."""


def plain(
    listed: Sequence[Any], pictures: Entries, named: Named, *, crowd: bool
) -> dict[str, list[Found]] | None:
    """Return the objects of each image, or None if any entry of `listed` needs a closer look.

    In a plain list, each entry has a new id, the id of an image and of a category that can be used, all of
    them integers, and a box with an area; it is not rotated and has no `ignore`. Entries with iscrowd = 1 are
    plain if `crowd` is true.
    """
    names, faulty = named
    if faulty or pictures.faulty:
        return None
    found: dict[str, list[Found]] = {number: [] for number in pictures.valid}
    try:
        of_image = {item["id"]: found[number] for number, item in pictures.valid.items()}
        own, images, categories = (
            [item[key] for item in listed] for key in ("id", "image_id", "category_id")
        )
        ids = chain(own, images, categories)
        if not {int}.issuperset(map(type, ids)) or len(set(own)) < len(own):
            return None
        flags = [item.get("iscrowd") or 0 for item in listed]
        if not ({0, 1} if crowd else {0}).issuperset(flags) or any(map(_is_special, listed)):
            return None
        boxes = _corners([item["bbox"] for item in listed])
        name_of = {category: names[str(category)] for category in set(categories)}
        objects = zip(boxes, map(name_of.__getitem__, categories), map(bool, flags), strict=True)
        for image, read in zip(images, objects, strict=True):
            of_image[image].append(read)
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
        return None
    return found


def _is_special(item: Mapping[str, Any]) -> bool:
    if item.get("ignore"):
        return True
    attributes = item.get("attributes")
    return isinstance(attributes, dict) and bool(attributes.get("rotation"))


def _corners(boxes: Sequence[Any]) -> list[Box]:
    """Return boxes as xyxy; raise an error unless each is a list of four numbers and has an area."""
    if not {list}.issuperset(map(type, boxes)):
        raise TypeError
    if not {int, float}.issuperset(map(type, chain.from_iterable(boxes))):
        raise TypeError
    corners = [(x, y, x + width, y + height) for x, y, width, height in boxes]
    if not all(-FAR < x1 < x2 < FAR and -FAR < y1 < y2 < FAR for x1, y1, x2, y2 in corners):
        raise ValueError
    return corners
