"""Lists of the images of a split: text files with one image per line."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Protocol, TypeVar

from gffpn.data.index import SPLITS
from gffpn.data.readers.decoding import decoded
from gffpn.data.readers.faults import Faults, Kind
from gffpn.data.readers.listing import composed
from gffpn.data.readers.root import Root


class Named(Protocol):
    """Object that refers to an image."""

    @property
    def image(self) -> str:
        """Path of the image, relative to the root."""
        ...


T = TypeVar("T", bound=Named)
Lists = str | Mapping[str, str | Sequence[str]] | None
"""Folder of the lists, or the list or lists of each split."""
NAMES: Mapping[str, Sequence[str]] = {split: [f"{split}.txt"] for split in SPLITS} | {
    "val": ["val.txt", "valid.txt"]
}


def paths_of(root: Root, lists: str | Mapping[str, str | Sequence[str]]) -> dict[str, list[Path]]:
    """Return the lists of each split; that of train even if there is no such file."""
    if isinstance(lists, str):
        folder = root.path / os.path.expanduser(lists)
        every = {split: [folder / name for name in names] for split, names in NAMES.items()}
        found = {split: next(filter(Path.is_file, paths), None) for split, paths in every.items()}
        return {"train": [folder / "train.txt"]} | {split: [path] for split, path in found.items() if path}
    several = {split: [names] if isinstance(names, str) else names for split, names in lists.items()}
    return {split: [root.path / os.path.expanduser(n) for n in names] for split, names in several.items()}


def matched(path: Path, keys: Mapping[str, Sequence[T]], root: Root, faults: Faults) -> list[T]:
    """Return the items listed in a file, in its order; `keys` holds them by every name that a line may give.

    An unknown or ambiguous line is a fault.
    """
    chosen: list[T] = []
    try:
        text = decoded(path.read_bytes())
    except ValueError as error:
        faults.add(Kind.UNREADABLE_ANNOTATION, f"{path}: expected a UTF-8 list of images: {error}")
        return chosen
    if text.lstrip().startswith(("{", "[")):
        faults.add(
            Kind.UNREADABLE_FILE, f"{path}: looks like JSON, expected a text file of one image per line"
        )
        return chosen
    for number, line in enumerate(text.splitlines(), start=1):
        entry = line.strip()
        if not entry:
            continue
        named = PurePosixPath(composed(entry.replace("\\", "/")))
        found = keys.get(str(named), ()) or _longer(named.parts, keys)
        if len(found) == 1:
            chosen.append(found[0])
        elif found:
            several = " or ".join(item.image for item in found)
            faults.add(Kind.DUPLICATE, f"{path}, line {number}: {entry} may be {several}")
        elif root.inside(entry) is None:
            faults.add(Kind.OUTSIDE_ROOT, f"{path}, line {number}: {entry}: expected a path below data.root")
        else:
            faults.add(Kind.MISSING_IMAGE, f"{path}, line {number}: {entry}: the set has no such image")
    return chosen


def _longer(parts: Sequence[str], keys: Mapping[str, Sequence[T]]) -> Sequence[T]:
    """Return the image whose whole path is the end of an entry: those of CVAT begin with `data/`."""
    for start in range(1, len(parts) if ".." not in parts else 0):
        tail = "/".join(parts[start:])
        found = [item for item in keys.get(tail, ()) if composed(str(PurePosixPath(item.image))) == tail]
        if found:
            return found
    return ()
