"""Recognition of masks: a folder of images and one of masks, or both of them in a folder per image."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from gffpn.data.readers.listing import alike, stem_of, without_suffix
from gffpn.data.readers.recognise.form import Form, NoForm
from gffpn.data.readers.recognise.layout import IMAGE_FOLDERS, layout
from gffpn.data.readers.recognise.lists import split_lists
from gffpn.data.readers.recognise.tree import Tree, folder_of

MASK_FOLDERS = frozenset({"mask", "masks", "ground_truth", "groundtruth"})
SUFFIXES = ("", "_mask", "_gt", "_label", "_seg")
"""Ends of a mask's stem that its image's does not have."""


def masks(tree: Tree) -> Form:
    """Return the form of a set with masks."""
    masked = {
        folder for folder in set(map(folder_of, tree.images)) if _position(folder, MASK_FOLDERS) is not None
    }
    if not masked:
        raise NoForm(_beside_images(tree.images) or "no image in a folder called masks")
    found = [name for name in tree.images if folder_of(name) in masked]
    images = [name for name in tree.images if folder_of(name) not in masked]
    if (base := _folder_per_image(images, found)) is not None:
        arguments = {"images": f"{base}*/images", "masks": f"{base}*/masks"}
        return Form("masks", arguments, "a folder of masks per image")
    stems = {alike(stem_of(name)) for name in images}
    for suffix in SUFFIXES:
        own = [name for name in found if alike(stem_of(name).removesuffix(suffix)) in stems]
        if own and all(stem_of(name).endswith(suffix) for name in found):
            return _beside(tree, images, own, suffix)
    raise NoForm(f"no mask named like an image, for instance {found[0]}")


def _beside_images(images: Sequence[str]) -> str:
    """Return words about masks that lie beside their images, such as a_GT.png; empty if there are none."""
    paths = {alike(without_suffix(name)) for name in images}
    parts = [without_suffix(name).rpartition("_") for name in images]
    ends = Counter(
        f"_{end}" for path, _, end in parts if alike(f"_{end}") in SUFFIXES and alike(path) in paths
    )
    for end, number in ends.most_common(1):
        cure = f"if they are masks, data=masks data.images=. data.masks=. data.mask_suffix={end}"
        return f"{number} images have one beside them that ends with {end}: {cure}"
    return ""


def _beside(tree: Tree, images: Sequence[str], found: Sequence[str], suffix: str) -> Form:
    one = layout(tree, found, images=images, notes=MASK_FOLDERS)
    arguments: dict[str, Any] = {"images": one.images, "masks": one.annotations}
    if suffix:
        arguments["mask_suffix"] = suffix
    by_class = _in_class_folders(images, found, suffix)
    if by_class:
        arguments["class_folders"] = True
    if isinstance(one.images, str) and isinstance(one.annotations, str) and (lists := split_lists(tree)):
        arguments["splits"] = lists
    where = ", in a folder per class" if by_class else ""
    return Form("masks", arguments, f"a mask per image{f', *{suffix}' if suffix else ''}{where}")


def _in_class_folders(images: Sequence[str], found: Sequence[str], suffix: str) -> bool:
    """Return True if all masks lie in folders below the one called masks that their images do not lie in."""
    places = {alike(_with_folder(name)) for name in images}
    return all(
        folder_of(name).split("/")[-1].casefold() not in MASK_FOLDERS
        and alike(_with_folder(name).removesuffix(suffix)) not in places
        for name in found
    )


def _with_folder(name: str) -> str:
    """Return the last folder and the stem of a file."""
    return f"{folder_of(name).rpartition('/')[2]}/{stem_of(name)}"


def _position(folder: str, names: frozenset[str]) -> int | None:
    """Return the position of the first part of a folder's path with one of the names."""
    return next((k for k, part in enumerate(folder.split("/")) if part.casefold() in names), None)


def _folder_per_image(images: Sequence[str], found: Sequence[str]) -> str | None:
    """Return what precedes the folders of images that each hold `images` and `masks`; None if there are none.

    Images without masks, such as those of a test set, may lie elsewhere.
    """
    owners = {_owner(folder, MASK_FOLDERS) for folder in set(map(folder_of, found))}
    counts = Counter(map(folder_of, images))
    of_image = {_owner(folder, IMAGE_FOLDERS): number for folder, number in counts.items()}
    bases = {owner.rpartition("/")[0] for owner in owners}
    if len(bases) != 1 or len(owners) < 2 or any(of_image.get(owner) != 1 for owner in owners):
        return None
    base = bases.pop()
    return f"{base}/" if base else ""


def _owner(folder: str, names: frozenset[str]) -> str:
    """Return the folder that contains the one with one of the names."""
    return "/".join(folder.split("/")[: _position(folder, names)])
