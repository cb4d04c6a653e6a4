"""Parent categories of a COCO file, which group the classes but are none."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gffpn.data.readers.coco_entries import identity
from gffpn.data.readers.faults import Faults

Named = tuple[dict[str, str], set[str]]


def without_parents(
    named: Sequence[Named], files: Sequence[tuple[str, Mapping[str, Any]]], faults: Faults
) -> list[Named]:
    """Return the categories of each file without parents that no annotation has, and count the parents.

    A parent is a category that another one names as its supercategory. Roboflow writes one with id 0; it may
    have the name of a class. `named` are the names by category id and the ids of faulty categories of each
    file, and `files` the names and contents of the files.
    """
    above = [
        [(identity(c.get("id")), c.get("supercategory")) for c in _items(f, "categories")] for f in files
    ]
    parents = {
        (number, name)
        for (names, _), uppers in zip(named, above, strict=True)
        for number, name in names.items()
        if (number, name) not in uppers and any(upper == name and other != number for other, upper in uppers)
    }
    if parents:
        for (names, _), file in zip(named, files, strict=True):
            used = {identity(item.get("category_id")) for item in _items(file, "annotations")}
            parents -= {(number, name) for number, name in names.items() if number in used}
    for number, name in sorted(parents):
        faults.count(f"parent category {name!r} (id {number}) without annotations left out")
    return [
        ({number: name for number, name in names.items() if (number, name) not in parents}, faulty)
        for names, faulty in named
    ]


def _items(file: tuple[str, Mapping[str, Any]], key: str) -> Iterator[Mapping[str, Any]]:
    return (item for item in file[1][key] if isinstance(item, dict))
