"""Recognition of masks: a folder of images and one of masks, or both of them in a folder per image."""

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from gffpn.data.readers.recognise.form import Form, NoForm
from gffpn.data.readers.recognise.layout import IMAGE_FOLDERS, layout
from gffpn.data.readers.recognise.lists import split_lists
from gffpn.data.readers.recognise.tree import Tree

MASK_FOLDERS = frozenset({"mask", "masks", "ground_truth", "groundtruth"})
SUFFIXES = ("", "_mask", "_gt", "_label", "_seg")
"""Ends of a mask's stem that its image's does not have."""


def masks(tree: Tree) -> Form:
    """Return the form of a set with masks."""
    found = [name for name in tree.images if _position(name, MASK_FOLDERS) is not None]
    if not found:
        raise NoForm("no image in a folder called masks")
    images = [name for name in tree.images if _position(name, MASK_FOLDERS) is None]
    if (base := _folder_per_image(images, found)) is not None:
        arguments = {"images": f"{base}*/images", "masks": f"{base}*/masks"}
        return Form("masks", arguments, "a folder of masks per image")
    stems = {PurePosixPath(name).stem for name in images}
    for suffix in SUFFIXES:
        own = [name for name in found if PurePosixPath(name).stem.removesuffix(suffix) in stems]
        if own and all(PurePosixPath(name).stem.endswith(suffix) for name in found):
            return _beside(tree, images, own, suffix)
    raise NoForm(f"no mask named like an image, for instance {found[0]}")


def _beside(tree: Tree, images: Sequence[str], found: Sequence[str], suffix: str) -> Form:
    one = layout(tree, found, images=images, notes=MASK_FOLDERS)
    arguments: dict[str, Any] = {"images": one.images, "masks": one.annotations}
    if suffix:
        arguments["mask_suffix"] = suffix
    if isinstance(one.images, str) and isinstance(one.annotations, str) and (lists := split_lists(tree)):
        arguments["splits"] = lists
    return Form("masks", arguments, f"a mask per image{f', *{suffix}' if suffix else ''}")


def _position(name: str, folders: frozenset[str]) -> int | None:
    parts = PurePosixPath(name).parts[:-1]
    return next((k for k, part in enumerate(parts) if part.casefold() in folders), None)


def _folder_per_image(images: Sequence[str], found: Sequence[str]) -> str | None:
    """Return what precedes the folders of images that each hold `images` and `masks`; None if there are none.

    Images without masks, such as those of a test set, may lie elsewhere.
    """
    owners = {PurePosixPath(name).parts[: _position(name, MASK_FOLDERS)] for name in found}
    bases = {owner[:-1] for owner in owners if owner}
    of_image = {PurePosixPath(name).parts[: _position(name, IMAGE_FOLDERS)] for name in images}
    if len(bases) != 1 or len(owners) < 2 or not owners <= of_image:
        return None
    counts = [sum(PurePosixPath(name).parts[: len(owner)] == owner for name in images) for owner in owners]
    return "".join(f"{part}/" for part in bases.pop()) if set(counts) == {1} else None
