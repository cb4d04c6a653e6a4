"""Entries of the lists in a COCO file, by id."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gffpn.data.readers.faults import Faults, Kind

Item = Mapping[str, Any]


@dataclass
class Entries:
    """Entries of one list that can be used, and the ids of those that are faults already."""

    valid: dict[str, Item] = field(default_factory=dict)
    faulty: set[str] = field(default_factory=set)
    """An annotation that refers to one of these is dropped with it, without a fault of its own."""


def identity(value: object) -> str | None:
    """Return an id in a form in which 7, 7.0 and "7" are equal, or None if the value cannot be an id.

    Programs differ in how they write ids, also between the lists of one file.
    """
    if type(value) is int:  # nearly always
        return str(value)
    if isinstance(value, bool):  # Python's True is an int
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return (str(value).strip() or None) if isinstance(value, int | str) else None


def in_order(identities: Collection[str]) -> list[str]:
    """Return ids in the order of their numbers, then those that are no numbers in alphabetical order."""
    # Python refuses to convert thousands of digits
    numbers = [name for name in identities if len(name) < 1000 and name.removeprefix("-").isdecimal()]
    return sorted(numbers, key=int) + sorted(set(identities) - set(numbers))


def entries(
    name: str,
    content: Item,
    key: str,
    faults: Faults,
    *,
    ids: Collection[str] = (),
    text: Collection[str] = (),
) -> Entries:
    """Return the entries of list `key` with a new id, further `ids`, and strings in the fields `text`.

    Each other entry is a fault.
    """
    found = Entries()
    for position, item in enumerate(content[key]):
        values = item if isinstance(item, dict) else {}
        own = identity(values.get("id"))
        whole = own is not None
        for one in ids:
            whole = whole and identity(values.get(one)) is not None
        for one in text:
            whole = whole and isinstance(values.get(one), str)
        if own in found.valid:
            faults.add(Kind.DUPLICATE, f"{name}: {key}[{position}] has the id {own} of another entry")
        elif own is not None and whole:
            found.valid[own] = item
        else:
            wrong = ", ".join(_all_wrong(values, ("id", *ids), text))
            faults.add(Kind.UNREADABLE_ANNOTATION, f"{name}: {key}[{position}]: {wrong}")
            found.faulty.update({own} if own else ())
    return found


def _all_wrong(values: Item, ids: Collection[str], text: Collection[str]) -> list[str]:
    lacks = [field for field in ids if identity(values.get(field)) is None]
    others = [field for field in text if not isinstance(values.get(field), str)]
    return [
        *(_wrong(values, field, "a whole number or a string") for field in lacks),
        *(_wrong(values, field, "a string") for field in others),
    ]


def _wrong(values: Item, field: str, expected: str) -> str:
    if field not in values:
        return f"no {field}, expected {expected}"
    return f"{field} is {repr(values[field])[:40]}, expected {expected}"


def categories(files: Sequence[tuple[str, Item]], faults: Faults) -> list[tuple[dict[str, str], set[str]]]:
    """Return the class names of each file by category id, and the ids of its faulty categories.

    The ids of a name may differ between files. A file that gives an id another name than an earlier one is a
    fault if both may be names of the same class: the earlier files lack the one, and the file the other.
    """
    every: list[tuple[dict[str, str], set[str]]] = []
    known: dict[str, str] = {}
    for file, content in files:
        found = entries(file, content, "categories", faults, text=["name"])
        names = {number: str(item["name"]) for number, item in found.valid.items()}
        earlier = {name for others, _ in every for name in others.values()}
        for number, name in names.items():
            other = known.setdefault(number, name)
            if other != name and name not in earlier and other not in names.values():
                what = f"category {number} is {name!r} here, {other!r} elsewhere: give them the same name"
                faults.add(Kind.CLASSES, f"{file}: {what}")
        every.append((names, found.faulty))
    first = next((names for names, _ in every if names), {})
    return [(names or dict(first), faulty) for names, faulty in every]  # some files leave them to the others


def classes_of(named: Sequence[Mapping[str, str]], faults: Faults) -> tuple[str, ...]:
    """Return the class names of all files, in the order of their ids in the first file that has them."""
    first: dict[str, str] = {}
    moved = 0
    for names in named:
        own: dict[str, str] = {}
        for number, name in names.items():
            own.setdefault(name, number)
        moved += sum(first.setdefault(name, number) != number for name, number in own.items())
    faults.count("categories matched by name, because their ids differ between files", moved)
    place = {number: position for position, number in enumerate(in_order(set(first.values())))}
    return tuple(sorted(first, key=lambda name: place[first[name]]))


def refuse_repeats(named: Mapping[str, Mapping[str, str]], faults: Faults) -> None:
    """Record a fault for each name of two categories of a file; `named` are the names by file and id."""
    for file, names in named.items():
        own: dict[str, str] = {}
        for number, name in names.items():
            if (other := own.setdefault(name, number)) != number:
                what = f"the categories {other} and {number} are both {name!r}, expected each class once"
                cure = "name one differently, or give data.classes, which makes them one class"
                faults.add(Kind.CLASSES, f"{file}: {what}: {cure}")


def refuse_no_classes(contents: Sequence[tuple[str, Item]], faults: Faults) -> None:
    """Raise the faults of a set without categories; each annotation would be one, too."""
    if not any(content["categories"] for _, content in contents):
        files = ", ".join(name for name, _ in contents)
        faults.add(Kind.CLASSES, f"{files}: categories is empty: export it again, with the classes")
    faults.settle()


def images(file: str, content: Item, faults: Faults) -> Entries:
    """Return the images of a file; one that lacks a file name or repeats one is a fault."""
    found = entries(file, content, "images", faults, text=["file_name"])
    first: dict[str, str] = {}
    for number, item in list(found.valid.items()):
        other = first.setdefault(item["file_name"], number)
        wrong = [
            f"{side} is {repr(item[side])[:40]}, expected a whole number"
            for side in ("height", "width")
            if _side(item.get(side)) is None
        ]
        if item.get("group") not in (None, "") and identity(item["group"]) is None:
            wrong.append(_wrong(item, "group", "a whole number or a string"))
        if other != number:
            faults.add(Kind.DUPLICATE, f"{file}: {item['file_name']} has the ids {other} and {number}")
        for what in wrong:
            faults.add(Kind.UNREADABLE_ANNOTATION, f"{file}: {item['file_name']}: {what}")
        if other != number or wrong:
            del found.valid[number]
            found.faulty.add(number)
    return found


def _side(value: object) -> int | None:
    """Return a height or width in pixels, 0 if it is not given, and None if it cannot be one."""
    if value is None:
        return 0
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and value >= 0 and not isinstance(value, bool) else None


def size(item: Item, faults: Faults) -> tuple[int, int] | None:
    """Return height and width of an image, or count that they are missing or 0 and return None."""
    height, width = _side(item.get("height")), _side(item.get("width"))
    faults.count("images whose height and width the annotations do not give", int(not (height and width)))
    return (height, width) if height and width else None
