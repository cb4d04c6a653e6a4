"""Lists of the images of each split, as labelling programs write them."""

from collections.abc import Mapping
from pathlib import PurePosixPath

from gffpn.data.readers.listing import alike
from gffpn.data.readers.recognise.tree import Tree, folder_of
from gffpn.data.readers.split_lists import Lists

FOLDERS = ("splits", "ImageSets/Main", "ImageSets", ".")
NAMES: Mapping[str, tuple[str, ...]] = {
    "train": ("train.txt", "trainval.txt"),
    "val": ("val.txt", "valid.txt", "validation.txt"),
    "test": ("test.txt",),
}
"""Names of the list of a split, in any case; the first one that is found is taken."""


def split_lists(tree: Tree) -> Lists:
    """Return the folder of split lists, or the list of each split; None if there is no list for train."""
    for folder in FOLDERS:
        there = {alike(name): name for name in tree.of((".txt",)) if folder_of(name) == folder}
        known = {
            split: [path for name in names if (path := there.get(alike(_below(folder, name))))]
            for split, names in NAMES.items()
        }
        found = {
            split: next((path for path in paths if _is_list(tree, path)), None)
            for split, paths in known.items()
        }
        lists = {split: path for split, path in found.items() if path}
        if "train" in lists:
            usual = all(path == _below(folder, f"{split}.txt") for split, path in lists.items())
            return folder if usual else lists
    return None


def _is_list(tree: Tree, name: str) -> bool:
    """Return True if the first line of a file names an image."""
    lines = tree.start(name).split("\n", 1)[0].strip() if tree.has_file(name) else ""
    path = PurePosixPath(lines.replace("\\", "/"))
    return bool(lines) and not tree.stems.isdisjoint({alike(path.stem), alike(path.name)})


def _below(folder: str, name: str) -> str:
    return str(PurePosixPath(folder, name))
