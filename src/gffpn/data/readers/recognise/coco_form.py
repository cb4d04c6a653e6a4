"""Recognition of COCO files: one JSON file for many images."""

import json
import mmap
import re
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import PurePosixPath
from typing import Any

from gffpn.data.index import SPLITS
from gffpn.data.readers.file_names import fits
from gffpn.data.readers.places import Place
from gffpn.data.readers.recognise.form import Form, NoForm
from gffpn.data.readers.recognise.lists import split_lists
from gffpn.data.readers.recognise.tree import Tree, folder_of, split_of

_KEYS = (rb'"images"\s*:\s*\[', rb'"annotations"\s*:\s*\[', rb'"categories"\s*:\s*\[')
_NAME = re.compile(rb'"file_name"\s*:\s*("(?:[^"\\]|\\.)*")')
LOOKED_AT = 20
"""Number of file names by which the folder of images is found."""


def coco(tree: Tree) -> Form:
    """Return the form of a set with COCO files."""
    own = set(tree.beside_images(".json"))  # such as those of LabelMe
    files = [name for name in tree.of((".json",)) if name not in own]
    names = {name: found for name in files if (found := _file_names(tree, name)) is not None}
    if not names:
        raise NoForm("no JSON file with images, annotations and categories")
    instances = [name for name in names if PurePosixPath(name).stem.startswith("instances")]
    chosen = _by_split(instances or list(names))
    folders = {split: _folder(tree, file, split, names[file]) for split, file in chosen.items()}
    arguments: dict[str, Any] = {"images": _shortened(folders), "annotations": _shortened(chosen)}
    if len(chosen) == 1 and (lists := split_lists(tree)):
        arguments["splits"] = lists
    others = ", ".join(sorted(set(names) - set(chosen.values()))[:6])
    left = f", without {others}" if others else ""
    return Form("coco", arguments, f"{_tool(tree, chosen)}{left}")


def _tool(tree: Tree, files: Mapping[str, str]) -> str:
    first = files["train"]
    if first.endswith("_annotations.coco.json"):
        return "Roboflow COCO export"
    if PurePosixPath(first).name == "result.json":
        return "Label Studio COCO export"
    if first.startswith("annotations/instances_") and tree.has_folder("images"):
        return "CVAT COCO export"
    return "COCO"


def _file_names(tree: Tree, name: str) -> list[str] | None:
    """Return the first file names in a COCO file; None if it is of another form.

    The file is searched, not parsed: it may have hundreds of megabytes, and its reader will parse it.
    """
    if not tree.start(name, 100).lstrip("\ufeff \t\r\n").startswith("{"):
        return None
    with (
        (tree.root / name).open("rb") as file,
        closing(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)) as text,
    ):
        if not all(re.search(key, text) for key in _KEYS):
            return None
        found: list[str] = []
        for match in _NAME.finditer(text):
            found.append(_plain(match[1]))
            if len(found) == LOOKED_AT:
                break
        return found


def _plain(raw: bytes) -> str:
    try:
        return str(json.loads(raw))
    except ValueError:
        return ""


def _by_split(files: Sequence[str]) -> dict[str, str]:
    """Return the file of each split; of files that name no split, there may be only one."""
    if len(files) == 1:
        return {"train": files[0]}
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
        if len(several) != 1:
            where = f" of {split}" if split else ""
            raise NoForm(f"COCO files{where}: {', '.join(several or files)}; expected one")
    return {split or "train": found[split][0] for split in wanted}


def _folder(tree: Tree, file: str, split: str, names: Sequence[str]) -> str:
    """Return the folder to which the file names in a COCO file are relative."""
    votes: dict[str, int] = {}
    for name in names:
        plain = str(PurePosixPath(name.replace("\\", "/")))
        near = tree.images_by_name.get(PurePosixPath(plain).name, ())
        for image in fits(plain, near) or near:
            exact = f"/{image}".endswith(f"/{plain}")
            base = (image[: -len(plain)].rstrip("/") or ".") if exact else folder_of(image)
            votes[base] = votes.get(base, 0) + 1
    if not votes:
        shown = f"{names[0]!r:.60}" if names else "no image"
        raise NoForm(f"{file} lists {shown}, which is not here: export the images, too")
    own = folder_of(file)

    def rank(folder: str) -> tuple[object, ...]:
        parts = PurePosixPath(folder).parts
        same = split in map(split_of, parts)
        return votes[folder], same, folder == own, -len(parts), folder

    return max(votes, key=rank)


def _shortened(by_split: Mapping[str, str]) -> Place:
    """Return one path if all splits have the same."""
    paths = set(by_split.values())
    return paths.pop() if len(paths) == 1 else dict(by_split)
