"""Parent categories of a COCO file, which group the classes but are none."""

from collections.abc import Mapping, Sequence
from typing import Any

from gffpn.data.readers.faults import Faults


def without_parents(
    categories: Mapping[int, str], files: Sequence[tuple[str, Mapping[str, Any]]], faults: Faults
) -> dict[int, str]:
    """Return the names of the categories, by id, without parents that no annotation has; count the parents.

    A parent is a category that another one names as its supercategory. Roboflow writes one with id 0; it may
    have the name of a class. `files` are the names and contents of all files.
    """
    supers = _values(files, "categories", "id", "supercategory")
    used = {number for _, number in _values(files, "annotations", "id", "category_id")}
    kept = dict(categories)
    for number, name in categories.items():
        above = {upper for other, upper in supers if other != number}
        own = {upper for other, upper in supers if other == number}
        if name in above and name not in own and number not in used:
            faults.count(f"parent category {name!r} (id {number}) without annotations left out")
            del kept[number]
    return kept or dict(categories)


def _values(
    files: Sequence[tuple[str, Mapping[str, Any]]], key: str, one: str, other: str
) -> list[tuple[Any, Any]]:
    items = [item for _, content in files for item in content[key] if isinstance(item, dict)]
    return [(item.get(one), value) for item in items if isinstance(value := item.get(other), str | int)]
