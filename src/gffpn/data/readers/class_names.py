"""Class names of a set of YOLO labels, from the file in which each labelling program keeps them."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import yaml

from gffpn.data.readers.decoding import decoded
from gffpn.data.readers.faults import Faults, Kind
from gffpn.data.readers.root import Root, below

YAML = (".yaml", ".yml")
LINES = ("obj.names", "classes.txt", "_darknet.labels")
"""Files of one name per line, by CVAT (or Darknet), by labelImg and Label Studio, and by Roboflow."""


def class_names(
    root: Root, folders: Sequence[str], faults: Faults, *, given: Sequence[str] | None = None
) -> tuple[str, ...]:
    """Return the names in the root's data.yaml, or in another YAML file, obj.names or classes.txt.

    The others may be in the root, in one of the `folders` with labels or between them. If no file has names
    that can be used, or if several have different ones, these are `given`; without it, that is a fault, and
    they are ().
    """
    if given is not None:
        unused = Faults(root.path, "skip")
        return class_names(root, folders, unused) or tuple(given)
    found: dict[tuple[str, ...], str] = {}
    for name in names_files(root.path, folders):
        names = _read(root.path, name, faults)
        if names is None:
            return ()
        found.setdefault(names, name)
    if len(found) == 1:
        return next(iter(found))
    if found:
        what = "; ".join(f"{name} has {list(names)!r:.100}" for names, name in found.items())
        faults.add(Kind.CLASSES, f"{what}: keep one of the files, or give data.classes=[NAME,...]")
    else:
        expected = "data.yaml (or another YAML file) with `names`, no obj.names and no classes.txt"
        faults.add(
            Kind.CLASSES,
            f"data.classes is null and the root holds no {expected}: give data.classes=[NAME,...]",
        )
    return ()


def names_files(root: Path, folders: Sequence[str]) -> list[str]:
    """Return the files that hold class names: data.yaml of the root alone, or all others.

    They are in the root, in the `folders` below it or between them.
    """
    if (root / "data.yaml").is_file():
        return ["data.yaml"]
    above = (str(parent) for folder in folders for parent in (*PurePosixPath(folder).parents, folder))
    found: list[str] = []
    for folder in dict.fromkeys((".", *above)):
        path = root / folder
        names = sorted(entry.name for entry in path.iterdir()) if path.is_dir() else []
        yamls = [name for name in names if name.lower().endswith(YAML) and has_names(path / name)]
        lines = [name for name in names if name.lower() in LINES]
        found += [below(folder, name) for name in (*yamls, *lines)]
    return found


def has_names(path: Path) -> bool:
    """Return True if a YAML file is a mapping with `names`."""
    try:
        content = yaml.load(decoded(path.read_bytes()), yaml.BaseLoader)
    except (OSError, yaml.YAMLError, RecursionError, ValueError):
        return False
    return isinstance(content, dict) and "names" in content


def _read(root: Path, name: str, faults: Faults) -> tuple[str, ...] | None:
    try:
        raw = (root / name).read_bytes()
        if not name.lower().endswith(YAML):
            return _one_per_line(decoded(raw))
        # this loader keeps every scalar as it is written: YAML would read `no` as false and `010` as 8
        names = yaml.load(decoded(raw), yaml.BaseLoader)["names"]
        if isinstance(names, dict):
            if missing := [label for label in range(len(names)) if str(label) not in names]:
                raise LookupError(f"it has the keys {', '.join(map(str, names))}, but not {missing[0]}"[:200])
            names = [names[str(label)] for label in range(len(names))]
        if names and isinstance(names, list) and all(isinstance(name, str) for name in names):
            if blank := [label for label, name in enumerate(names) if not name.strip()]:
                raise ValueError(f"class {blank[0]} has no name")
            return tuple(names)
        raise TypeError(f"names is {names!r:.200}")
    except (yaml.YAMLError, LookupError, OSError, RecursionError, TypeError, ValueError) as error:
        expected = "a list `names`, or a mapping of 0, 1, ... to names"
        if not name.lower().endswith(YAML):
            expected = "one class name per line"
        why = " ".join(str(error).split())
        faults.add(Kind.CLASSES, f"{name}: expected {expected}; {why} (or give data.classes)")
        return None


def keypoint_numbers(root: Root, folders: Sequence[str], faults: Faults) -> int:
    """Return how many numbers follow each box, K * D by the `kpt_shape` of a YAML file; 0 without one."""
    for name in names_files(root.path, folders):
        if not name.lower().endswith(YAML):
            continue
        try:
            content = yaml.load(decoded((root.path / name).read_bytes()), yaml.BaseLoader)
        except (OSError, yaml.YAMLError, RecursionError, ValueError):
            continue  # a fault of its names
        shape = content.get("kpt_shape") if isinstance(content, dict) else None
        if not shape:
            continue
        if isinstance(shape, list) and all(isinstance(one, str) and one.isdecimal() for one in shape):
            numbers = list(map(int, shape))
            if len(numbers) == 2 and numbers[0] > 0 and numbers[1] in (2, 3):
                return numbers[0] * numbers[1]
        what = f"{name}: kpt_shape is {shape!r:.60}, expected [number of keypoints, 2 or 3]"
        faults.add(Kind.CLASSES, what)
    return 0


def _one_per_line(text: str) -> tuple[str, ...]:
    """Return the names in the lines of a text; one after a blank line would have an unclear number."""
    names = [line.strip() for line in text.rstrip().splitlines()]
    if "" in names:
        raise ValueError(f"line {names.index('') + 1} is blank: remove it, or name class {names.index('')}")
    if not names:
        raise ValueError("it is empty")
    return tuple(names)
