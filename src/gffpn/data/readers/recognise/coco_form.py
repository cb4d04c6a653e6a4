"""Recognition of COCO files: one JSON file for many images."""

import json
import mmap
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote

from gffpn.data.index import SPLITS
from gffpn.data.readers.decoding import decoded
from gffpn.data.readers.file_names import fits, near_miss, spelled
from gffpn.data.readers.formats import check_coco
from gffpn.data.readers.places import Place
from gffpn.data.readers.recognise.form import Form, NoForm
from gffpn.data.readers.recognise.lists import split_lists
from gffpn.data.readers.recognise.tree import Tree, folder_of, split_of

_KEYS = (rb'"images"\s*:\s*\[', rb'"annotations"\s*:\s*\[', rb'"categories"\s*:\s*\[')
_NAME = re.compile(rb'"file_name"\s*:\s*("(?:[^"\\]|\\.)*")')
LARGEST_OTHER = 1 << 26
"""Bytes of a JSON file of another form that is parsed for the message."""
LOOKED_AT = 20
"""Number of file names, from all parts of a file, by which the folder of images is found.

Another 20 are those that it does not have.
"""


def coco(tree: Tree) -> Form:
    """Return the form of a set with COCO files."""
    own = set(tree.beside_images(".json"))  # such as those of LabelMe
    files = [name for name in tree.of((".json",)) if name not in own]
    names = {name: found for name in files if (found := _file_names(tree, name)) is not None}
    if not names:
        if task := next((name for name in files[:LOOKED_AT] if _is_task(tree.start(name))), ""):
            raise NoForm(f"{task} is Label Studio's own JSON: export as COCO or YOLO, with images")
        raise NoForm(_other_json(tree, files) or "no JSON file with images, annotations and categories")
    instances = [name for name in names if PurePosixPath(name).stem.startswith("instances")]
    chosen = _by_split(instances or list(names))
    folders = {s: [_folder(tree, file, s, names[file]) for file in found] for s, found in chosen.items()}
    for split, several in folders.items():
        if len(set(several)) < len(several):
            raise NoForm(f"COCO files of the same images: {', '.join(chosen[split])}; expected one")
    arguments: dict[str, Any] = {"images": _shortened(folders), "annotations": _shortened(chosen)}
    if len(chosen) == 1 and (lists := split_lists(tree)):
        arguments["splits"] = lists
    others = ", ".join(sorted(set(names).difference(*chosen.values()))[:6])
    left = f", without {others}" if others else ""
    return Form("coco", arguments, f"{_tool(tree, chosen)}{left}")


def _is_task(text: str) -> bool:
    return text.lstrip().startswith("[") and '"data"' in text and '"annotations"' in text


def _other_json(tree: Tree, files: Sequence[str]) -> str:
    """Return words about the first JSON file, which is of another form or damaged; empty without one."""
    for name in files[:1]:
        path = tree.root / name
        try:
            if path.stat().st_size < LARGEST_OTHER:
                check_coco(json.loads(decoded(path.read_bytes())))
        except (OSError, ValueError, RecursionError) as error:
            return f"{name} cannot be read, export as COCO, Pascal VOC or YOLO: {error}"
    return ""


def _tool(tree: Tree, files: Mapping[str, Sequence[str]]) -> str:
    first = files["train"][0]
    if first.endswith("_annotations.coco.json"):
        return "Roboflow COCO export"
    if PurePosixPath(first).name == "result.json":
        return "Label Studio COCO export"
    if first.startswith("annotations/instances_") and tree.has_folder("images"):
        return "CVAT COCO export"
    return "COCO"


def _file_names(tree: Tree, name: str) -> list[str] | None:
    """Return the file names in a COCO file; None if it is of another form.

    The file is searched, not parsed: it may have hundreds of megabytes, and its reader will parse it.
    """
    if not tree.start(name, 100).lstrip("\ufeff \t\r\n").startswith("{"):
        return None
    with (
        (tree.root / name).open("rb") as file,
        closing(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)) as text,
    ):
        whole = text if b"\0" not in text[:4] else decoded(text[:]).encode()  # UTF-16
        if not all(re.search(key, whole) for key in _KEYS):
            return None
        return list(map(_plain, _NAME.findall(whole)))


def _plain(raw: bytes) -> str:
    try:
        return str(json.loads(raw))
    except ValueError:
        return ""


def _by_split(files: Sequence[str]) -> dict[str, list[str]]:
    """Return the files of each split; of files that name none, and of one split, one per folder."""
    if len(files) == 1:
        return {"train": list(files)}
    found: dict[str, list[str]] = {}
    for file in files:
        words = [
            *re.split(r"[\W_]+", PurePosixPath(file).stem),
            *reversed(PurePosixPath(folder_of(file)).parts),
        ]
        found.setdefault(next(filter(None, map(split_of, words)), ""), []).append(file)
    wanted = [split for split in SPLITS if split in found] if "train" in found else [""]
    for split in wanted:
        several = found.get(split, [])
        if not several or len(set(map(folder_of, several))) < len(several):
            where = f" of {split}" if split else ""
            raise NoForm(f"COCO files{where}: {', '.join(several or files)}; expected one")
    return {split or "train": found[split] for split in wanted}


def _folder(tree: Tree, file: str, split: str, names: Sequence[str]) -> str:
    """Return the folder to which the file names in a COCO file are relative.

    If the names come from several folders without saying so, it is the one around them.
    """
    chosen = _around(tree, file, split, _some(names))
    if not chosen:
        if not names:
            raise NoForm(f"{file} lists no image: export it again")
        near = near_miss(tree.images, names[0])
        cure = f"export the images, too{', or correct the names' if near else ''}"
        raise NoForm(f"{file} lists {names[0]!r:.60}, which is not here{near}: {cure}")
    known, start = set(tree.images), "" if chosen == "." else f"{chosen}/"
    missed = [name for name in names if start + name not in known]
    return _around(tree, file, split, [*_some(names), *_some(missed)])


def _some(names: Sequence[str]) -> Sequence[str]:
    return [*names[:: len(names) // LOOKED_AT + 1], *names[-1:]]


def _around(tree: Tree, file: str, split: str, names: Sequence[str]) -> str:
    """Return the folder around the fewest to which the names are relative; empty if there is none."""
    own, chosen = folder_of(file), list[str]()
    left = [bases for name in names if (bases := _bases(tree, name))]

    def rank(folder: str) -> tuple[object, ...]:
        parts = PurePosixPath(folder).parts
        same = split in map(split_of, parts)
        return votes[folder], same, folder == own, -len(parts), folder

    while left:
        votes = Counter(base for bases in left for base in bases)
        chosen.append(max(votes, key=rank))
        left = [bases for bases in left if chosen[-1] not in bases]
    return os.path.commonpath(chosen) or "." if chosen else ""


def _bases(tree: Tree, name: str) -> set[str]:
    """Return the folders to which a file name may be relative."""
    plain = str(PurePosixPath(name.replace("\\", "/")))
    words = {spelled(plain)[-1], spelled(unquote(plain))[-1]} if spelled(plain) else set()
    near = [image for word in words for image in tree.images_by_name.get(word, ())]
    found: set[str] = set()
    for image in fits(plain, near) or near:
        exact = f"/{image}".endswith(f"/{plain}")
        found.add((image[: -len(plain)].rstrip("/") or ".") if exact else folder_of(image))
    return found


def _shortened(by_split: Mapping[str, list[str]]) -> Place:
    """Return the paths of the only split, or of all if they have the same, without a list of one."""
    short = {split: paths[0] if len(paths) == 1 else paths for split, paths in by_split.items()}
    first = short["train"]
    return first if all(paths == first for paths in short.values()) else short
