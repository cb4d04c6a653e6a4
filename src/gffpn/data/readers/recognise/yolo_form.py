"""Recognition of YOLO labels: by a YAML file with paths, by lists, or by folders."""

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import yaml

from gffpn.data.readers.class_names import LINES, YAML
from gffpn.data.readers.decoding import decoded
from gffpn.data.readers.listing import alike, stem_of
from gffpn.data.readers.places import Folders
from gffpn.data.readers.recognise.form import Form, NoForm
from gffpn.data.readers.recognise.layout import layout
from gffpn.data.readers.recognise.lists import split_lists
from gffpn.data.readers.recognise.tree import Tree, folder_of, split_of

KEYS: Mapping[str, tuple[str, ...]] = {"train": ("train",), "val": ("val", "valid"), "test": ("test",)}
LARGEST_LIST = 1 << 28
"""Bytes of a list of images."""
LOOKED_AT = 50
"""Number of label files of which one must have a line with a box."""


def yolo(tree: Tree) -> Form:
    """Return the form of a set with YOLO labels."""
    labels = [name for name in tree.beside_images(".txt") if name.rpartition("/")[2].lower() not in LINES]
    if not labels and any(tree.has_file(name) for name in ("obj.names", "data.yaml")) and not tree.images:
        raise NoForm("names of classes, but no image: export with the images (CVAT: Save images)")
    if not labels:
        others = len(tree.of((".txt",)))
        raise NoForm(f"{others} .txt files, none named like an image" if others else "no label file (.txt)")
    if not any(_is_label(tree, name) for name in labels[:LOOKED_AT]):
        line = tree.start(labels[0]).strip().partition("\n")[0]
        raise NoForm(f"{labels[0]} begins with {line[:60]!r}, expected 'class cx cy w h' in fractions")
    tool, note = _tool(tree), ""
    for name in [name for name in tree.files if "/" not in name and name.lower().endswith(YAML)]:
        if (content := _mapping(tree, name)) is not None:
            try:
                given, left = _by_yaml(tree, content, labels)
                return Form("yolo", given, f"{tool} with the paths of {name}{left}")
            except NoForm as error:
                note = f" ({name} is not used for paths: {error})"
    found = layout(tree, labels)
    arguments: dict[str, Any] = {"images": found.images, "labels": found.annotations}
    if isinstance(found.images, str) and isinstance(found.annotations, str) and (lists := split_lists(tree)):
        arguments["splits"] = lists
    left = f", without the images in {found.left_out}" if found.left_out else ""
    return Form("yolo", arguments, f"{tool}{left}{note}")


def _tool(tree: Tree) -> str:
    yamls = [tree.start(n) for n in tree.files if "/" not in n and n.lower().endswith(YAML)]
    if any("\nroboflow:" in text for text in yamls):
        return "Roboflow YOLO export"
    if tree.has_file("obj.names"):
        return "CVAT (or Darknet) YOLO export"
    if tree.has_file("notes.json") and tree.has_file("classes.txt"):
        return "Label Studio YOLO export"
    return "Ultralytics set" if any("train:" in text for text in yamls) else "YOLO labels"


def _is_label(tree: Tree, name: str) -> bool:
    """Return True if a file has a line of at least five numbers, the last of them fractions."""
    for line in tree.start(name).splitlines()[:3]:
        try:
            label, *values = map(float, line.split())
        except ValueError:
            continue
        if len(values) >= 4 and label.is_integer() and all(-1 <= value <= 2 for value in values):
            return True
    return False


def _mapping(tree: Tree, name: str) -> Mapping[str, Any] | None:
    """Return the content of a YAML file that gives the training images of a set."""
    try:
        content = yaml.load(decoded((tree.root / name).read_bytes()), yaml.BaseLoader)
    except (OSError, yaml.YAMLError, RecursionError, ValueError):
        return None
    return content if isinstance(content, dict) and content.get("train") else None


def _by_yaml(tree: Tree, content: Mapping[str, Any], labels: Sequence[str]) -> tuple[dict[str, Any], str]:
    """Return the arguments by the paths in a YAML file, and words about splits that are not read."""
    base = str(content.get("path") or "")
    given = {split: next((content[k] for k in keys if content.get(k)), None) for split, keys in KEYS.items()}
    found: dict[str, list[str]] = {}
    left = ""
    for split, value in given.items():
        entries = [value] if isinstance(value, str) else value if isinstance(value, list) else []
        located = [_locate(tree, base, str(entry)) for entry in entries]
        missing = [str(entry) for entry, path in zip(entries, located, strict=True) if path is None]
        if missing and split != "test":  # many exports name a test split that they do not contain
            raise NoForm(f"no {missing[0]} here")
        paths = [path for path in located if path]
        same = next((other for other, others in found.items() if paths == others), "")
        if not paths or missing:
            continue
        if same:
            left += f", whose {split} is its {same} (a {split} split is drawn from train instead)"
        elif split == "test" and not _has_labels(tree, paths, labels):
            left += f", without the images in {', '.join(paths)}, which have no labels"
        else:
            found[split] = paths
    lists = [path for paths in found.values() for path in paths if path.endswith(".txt")]
    if lists and len(lists) == sum(map(len, found.values())):
        one = layout(tree, labels)
        if isinstance(one.images, Mapping) or isinstance(one.annotations, Mapping):
            one = one._replace(images=_above(tree.images), annotations=_above(labels))
        splits = {split: _folders(paths) for split, paths in found.items()}
        return {"images": one.images, "labels": one.annotations, "splits": splits}, left
    if lists:
        raise NoForm("folders and lists mixed")
    images = {split: _folders(paths) for split, paths in found.items()}
    by_split = {s: _folders([_labels_of(p, labels) for p in paths]) for s, paths in found.items()}
    return {"images": images, "labels": by_split}, left


def _has_labels(tree: Tree, paths: Sequence[str], labels: Sequence[str]) -> bool:
    """Return True if an image in one of the folders or lists may have a label file.

    A list may write its paths in many ways, so that a label file of an image's stem counts, wherever it is.
    """
    lists = [path for path in paths if path.endswith(".txt")]
    below = tuple(f"{_labels_of(path, labels)}/" for path in paths if path not in lists)
    listed = [line for path in lists for line in tree.start(path, LARGEST_LIST).split("\n") if line.strip()]
    stems = {alike(stem_of(line.strip().replace("\\", "/"))) for line in listed}
    if lists and not listed:
        return True  # the reader names an empty list
    return any(name.startswith(below) or alike(stem_of(name)) in stems for name in labels)


def _folders(paths: list[str]) -> Folders:
    return paths[0] if len(paths) == 1 else paths


def _locate(tree: Tree, base: str, entry: str) -> str | None:
    """Return the folder or list of the tree that is the longest end of a path, written for some machine."""
    for path in (f"{base}/{entry}", entry):
        parts = [
            part for part in PurePosixPath(path.replace("\\", "/")).parts if part not in (".", "..", "/")
        ]
        for start in range(len(parts)):
            if any(map(split_of, parts)) and not any(map(split_of, parts[start:])):
                break  # the folder of all splits, which is not that of this one
            tail = "/".join(parts[start:])
            if tree.has_folder(tail) or (tail.endswith(".txt") and tree.has_file(tail)):
                return tail
    return "." if entry in (".", "./") else None


def _labels_of(images: str, labels: Sequence[str]) -> str:
    """Return the folder of the labels: that of the images with its last `images` replaced, if it has any."""
    parts = list(PurePosixPath(images).parts)
    folders = [position for position, part in enumerate(parts) if part == "images"]
    if folders:
        parts[folders[-1]] = "labels"
    other = "/".join(parts)
    return other if any(name.startswith(f"{other}/") for name in labels) else images


def _above(files: Sequence[str]) -> str:
    """Return the folder that contains all files."""
    parts = [PurePosixPath(folder_of(name)).parts for name in files]
    shared = [ones[0] for ones in zip(*parts, strict=False) if len(set(ones)) == 1]
    return "/".join(shared) or "."
