"""Parent categories of a COCO file, which group the classes but are none."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gffpn.data.readers.coco_entries import identity
from gffpn.data.readers.faults import Faults

Named = tuple[dict[str, str], set[str]]


def without_parents(named: Named, files: Sequence[tuple[str, Mapping[str, Any]]], faults: Faults) -> Named:
    """Return the categories without parents that no annotation has, and count the parents.

    A parent is a category that another one names as its supercategory. Roboflow writes one with id 0; it may
    have the name of a class. `named` are the names by category id and the ids of faulty categories, and
    `files` the names and contents of all files.
    """
    names, faulty = named
    above = [(identity(c.get("id")), c.get("supercategory")) for c in _items(files, "categories")]

    def is_above(number: str) -> bool:
        name = names[number]
        below = any(upper == name and other != number for other, upper in above)
        return below and (number, name) not in above

    parents = [number for number in names if is_above(number)]
    if parents:
        used = {identity(item.get("category_id")) for item in _items(files, "annotations")}
        parents = [number for number in parents if number not in used]
    for number in parents:
        faults.count(f"parent category {names[number]!r} (id {number}) without annotations left out")
    return {number: name for number, name in names.items() if number not in parents}, faulty


def _items(files: Sequence[tuple[str, Mapping[str, Any]]], key: str) -> Iterator[Mapping[str, Any]]:
    return (item for _, content in files for item in content[key] if isinstance(item, dict))
