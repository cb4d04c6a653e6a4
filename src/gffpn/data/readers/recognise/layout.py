"""Folders of images and of their annotations, by split, as they lie in a tree."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

from gffpn.data.index import SPLITS
from gffpn.data.readers.places import Folders, Place
from gffpn.data.readers.recognise.form import NoForm
from gffpn.data.readers.recognise.tree import Tree, folder_of, split_of

IMAGE_FOLDERS = frozenset({"image", "images", "img", "imgs", "jpegimages", "jpgimages", "pictures"})
NOTE_FOLDERS = frozenset({"annotation", "annotations", "json", "jsons", "label", "labels", "xml", "xmls"})


class Layout(NamedTuple):
    """Folders of the images and of the annotations."""

    images: Place
    annotations: Place
    left_out: str
    """Words about folders that are not read; empty if all are."""


def layout(
    tree: Tree,
    annotations: Sequence[str],
    *,
    images: Sequence[str] | None = None,
    notes: frozenset[str] = NOTE_FOLDERS,
) -> Layout:
    """Return the folders of the images and of those annotation files; raise NoForm if they do not match.

    `images` are all images of the tree unless given, and `notes` the names of folders of annotations.
    """
    kinds = IMAGE_FOLDERS | notes
    folders = set(map(folder_of, tree.images if images is None else images))
    of_notes = set(map(folder_of, annotations))
    found, loose = by_split(folders, kinds)
    above = sorted(
        {folder_of(folder) for folder in of_notes if folder.rpartition("/")[2].casefold() in notes}
    )
    if found.keys() == {""} and len(found[""]) < len(above) and _each_below_one(folders, above):
        # annotations in a folder per lot, and images in folders of other names, beside it or around it
        found = {"": above}
    if of_notes & set(loose):  # annotations beside images that no name marks as such: all belong to the set
        whole = {"": [os.path.commonpath(folders) or "."]}
        return _matched(whole, [], whole, kinds)
    return _matched(found, loose, by_split(of_notes, kinds)[0], kinds)


def _each_below_one(folders: Iterable[str], above: Sequence[str]) -> bool:
    return all(sum(f"{folder}/".startswith(f"{one}/") for one in above) == 1 for folder in folders)


def _matched(
    images: Mapping[str, Sequence[str]],
    loose: Sequence[str],
    notes: Mapping[str, Sequence[str]],
    kinds: frozenset[str],
) -> Layout:
    if (
        len(images) == 1 and "train" not in images
    ):  # one split alone, such as the val of a public set, is a set
        images = {"": next(iter(images.values()))}
        notes = {"": [folder for folders in notes.values() for folder in folders]}
    splits = [split for split in SPLITS if split in images and (split in notes or "" in notes)]
    if "train" in splits:
        left_out = [*loose, *(folder for split in images if split not in splits for folder in images[split])]
        pairs = {
            split: _belonging(images[split], notes.get(split, notes.get("", [])), kinds) for split in splits
        }
        return Layout(
            _shortened({split: one for split, (one, _) in pairs.items()}),
            _shortened({split: other for split, (_, other) in pairs.items()}),
            _words(left_out),
        )
    if "" in images and "" in notes:
        one, other = _belonging(images[""], notes[""], kinds)
        return Layout(one, other, _words([*loose, *(f for split in images if split for f in images[split])]))
    raise NoForm(f"images in {_words_of(images)}, but annotations in {_words_of(notes)}")


def by_split(folders: Iterable[str], kinds: frozenset[str]) -> tuple[dict[str, list[str]], list[str]]:
    """Return the highest folders of each split, with the key '' for none, and folders that do not belong.

    A folder is cut behind the part that names its split or its contents: of `images/train/lot1`, it is
    `images/train`. Folders without such a part belong to the set only if there are no others.
    """
    found: dict[str, set[str]] = {}
    loose: set[str] = set()
    for folder in set(folders):
        parts = PurePosixPath(folder).parts
        named_kinds = [position for position, part in enumerate(parts) if part.casefold() in kinds]
        named = [position for position, part in enumerate(parts) if split_of(part)]
        split = split_of(parts[named[0]]) if named else ""
        cut = max(named_kinds[:1] + named[:1], default=-1) + 1
        if cut:
            found.setdefault(split, set()).add("/".join(parts[:cut]))
        else:
            loose.add(folder)
    if not found:
        return ({"": [os.path.commonpath(loose) or "."]} if loose else {}), []
    return {split: _highest(several) for split, several in found.items()}, sorted(loose)


def _highest(folders: Iterable[str]) -> list[str]:
    every = set(folders)
    if "." in every:
        return ["."]
    return sorted(f for f in every if not any(str(p) in every for p in PurePosixPath(f).parents))


def _belonging(images: Sequence[str], notes: Sequence[str], kinds: frozenset[str]) -> tuple[Folders, Folders]:
    """Return folders of images and of annotations in the same order, or one of the latter for all."""
    if len(notes) == 1:
        return images[0] if len(images) == 1 else list(images), notes[0]
    one = {_key(folder, kinds): folder for folder in images}
    other = {_key(folder, kinds): folder for folder in notes}
    if not one.keys() & other.keys():  # folders of lots, and the folders of annotations in them
        other = {_key(folder_of(folder), kinds): folder for folder in notes}
    if one.keys() != other.keys() or len(one) < len(images) or len(other) < len(notes):
        raise NoForm(f"images in {_words(images)}, annotations in {_words(notes)}: which belong together?")
    return [one[key] for key in one], [other[key] for key in one]


def _key(folder: str, kinds: frozenset[str]) -> str:
    return "/".join("*" if part.casefold() in kinds else part for part in PurePosixPath(folder).parts)


def _shortened(by_split: Mapping[str, Folders]) -> Place:
    """Return one folder if all splits have the same."""
    first = by_split["train"]
    return first if all(folders == first for folders in by_split.values()) else dict(by_split)


def _words_of(folders: Mapping[str, Sequence[str]]) -> str:
    return _words([folder for several in folders.values() for folder in several])


def _words(folders: Sequence[str]) -> str:
    shown = ", ".join(sorted(folders)[:6])
    return f"{shown} and {len(folders) - 6} more" if len(folders) > 6 else shown
