"""The mask files of each image."""

import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from gffpn.data.readers.faults import Faults, Kind
from gffpn.data.readers.images import SUFFIXES
from gffpn.data.readers.listing import alike, composed, count_unknown, listed, suffix_of
from gffpn.data.readers.root import Root, below, contents

ANY = "*"


class MaskFile(NamedTuple):
    """A mask file; its path is relative to the root."""

    path: str
    name: str
    """Class of its objects if a folder names it, else empty."""
    keys: tuple[str, ...]
    """Keys that its image may have."""


class Masked(NamedTuple):
    """An image and its masks; its path is relative to the root."""

    image: str
    masks: Sequence[MaskFile]


class Search(NamedTuple):
    """Search for images and their masks; for `suffix` and `class_folders`, see `Masks`."""

    root: Root
    suffix: str
    class_folders: bool
    faults: Faults

    def find(self, images: str, masks: str) -> tuple[list[Masked], list[str]]:
        """Return the images below `images`, each with its files below `masks`, and the paths of all of those.

        Two images that would share their masks are a fault. A missing folder is the only fault of its search.
        """
        folders, mask_folders = self._folders(images), self._folders(masks)
        if not (folders and mask_folders):
            return [], []
        files = list(self._masks(mask_folders))
        skip = {str(path) for path, *_ in mask_folders} - {str(path) for path, *_ in folders}
        own = {file.path for file in files}
        pictures = list(self._pictures(folders, skip, own, by_stem=ANY in masks))
        keys = {composed(key) for _, key in pictures}
        plain = alike if len(set(map(alike, keys))) == len(keys) else composed
        by_key: dict[str, list[MaskFile]] = defaultdict(list)
        for file in files:
            for key in file.keys:
                by_key[plain(key)].append(file)
        found: dict[str, Masked] = {}
        for image, key in pictures:
            first = found.setdefault(plain(key), Masked(image, by_key[plain(key)]))
            if first.image != image:
                self.faults.add(Kind.DUPLICATE, f"{first.image} and {image} would share their masks")
        if not found:
            expected = " ".join(sorted(SUFFIXES))
            holds = contents(folders[0][0])
            self.faults.add(Kind.MISSING_FOLDER, f"{images}: no image ({expected}); {holds}")
        return list(found.values()), [file.path for file in files]

    def refuse_orphans(self, found: Iterable[Masked], paths: Iterable[str]) -> None:
        """Record a fault for each of the mask files `paths` that belongs to none of the images."""
        for path in sorted(set(paths) - {file.path for masked in found for file in masked.masks}):
            self.faults.add(Kind.MISSING_IMAGE, f"{path}: no image of that name")

    def _folders(self, place: str) -> list[tuple[Path, str, str]]:
        """Return each folder that `place` names: its real path, its name and what its `*` stands for."""
        if ANY not in place:
            path = self.root.folder(place, self.faults)
            return [(path, place, "")] if path else []
        before, _, after = place.partition(ANY)
        parent = self.root.inside(before)
        entries = os.scandir(parent) if parent is not None and parent.is_dir() else ()
        inner = sorted(entry.name for entry in entries if entry.is_dir())
        named = [(below(before, name + after), name) for name in inner if not name.startswith(".")]
        found = [
            (path, name, star) for name, star in named if (path := self.root.inside(name)) and path.is_dir()
        ]
        if not found:
            self.faults.add(
                Kind.MISSING_FOLDER, f"{place}: no such folder; {contents(parent or self.root.path)}"
            )
        return found

    def _masks(self, folders: Sequence[tuple[Path, str, str]]) -> Iterator[MaskFile]:
        for folder, place, star in folders:
            for name in listed(folder):
                path = os.path.splitext(name)[0]
                if suffix_of(name) not in SUFFIXES or not path.endswith(self.suffix):
                    continue
                path = path.removesuffix(self.suffix)
                first, _, rest = path.partition("/")
                if not self.class_folders:
                    yield MaskFile(below(place, name), "", (star or path,))
                elif rest:
                    # the images, too, may lie in folders of the classes
                    yield MaskFile(below(place, name), first, (star,) if star else (rest, path))
                else:
                    self.faults.count("mask files left out, in no folder of a class")

    def _pictures(
        self,
        folders: Sequence[tuple[Path, str, str]],
        skip: Collection[str],
        masks: Collection[str],
        *,
        by_stem: bool,
    ) -> Iterator[tuple[str, str]]:
        """Yield each image with the key of its masks."""
        for folder, place, star in folders:
            names = sorted(listed(folder, skip))
            count_unknown(place if not star else "folders of images", names, self.faults)
            for name in names:
                image, path = below(place, name), os.path.splitext(name)[0]
                if suffix_of(name) in SUFFIXES and image not in masks:
                    yield image, star or (PurePosixPath(path).name if by_stem else path)
