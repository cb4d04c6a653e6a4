"""Images found by the names in annotation files, which are not always exactly those of the image files."""

import difflib
import unicodedata
from collections.abc import Collection, Sequence
from pathlib import PurePosixPath
from urllib.parse import unquote

from gffpn.data.readers.faults import Faults
from gffpn.data.readers.images import SUFFIXES
from gffpn.data.readers.listing import alike, count_unknown, listed, stem_of, suffix_of
from gffpn.data.readers.root import Root, below

LOCAL_FILES = "/data/local-files/?d="
"""Beginning of the address that Label Studio gives to a file on its disk; its path follows, escaped."""


class ImageFolders:
    """Images at any depth of the given folders below the root.

    `find` takes a name that is not exactly that of a file for the only image that it fits: in other case or
    Unicode form, with URL escapes, absolute but inside the root, or with more or fewer folders in front
    (`images/1/x.jpg`, as Label Studio writes it). Only files that were listed can be found, so that no name
    leads out of the root. Files that are no known images are counted.
    """

    def __init__(self, root: Root, folders: Sequence[str], faults: Faults) -> None:
        self._root = root
        paths = {folder: root.inside(folder) for folder in folders}
        self._images: dict[str, set[str]] = {}
        self._by_stem: dict[str, dict[str, list[str]]] = {}
        for folder, path in paths.items():
            if path is not None and path.is_dir():
                skip = {str(other) for other in paths.values() if other != path}
                names = list(listed(path, skip))
                self._images[folder] = {name for name in names if suffix_of(name) in SUFFIXES}
                count_unknown(folder, names, faults)

    def images(self, folder: str) -> list[str]:
        """Return all images of a folder, relative to the root."""
        return [below(folder, name) for name in sorted(self._images.get(folder, ()))]

    def find(self, folder: str, name: str) -> str:
        """Return the path, relative to the root, of the image meant by `name`.

        If no image or more than one fits, that is `folder/name`, whether there is such a file or not.
        """
        if name in self._images.get(folder, ()):
            return below(folder, name)
        inner = self._inner(name)
        if inner is not None:
            fitting = fits(inner, self._near(folder, inner))
            if len(fitting) == 1:
                return below(folder, fitting[0])
        return below(folder, name)

    def _inner(self, name: str) -> str | None:
        """Return a name without the root in front of it; None for one that leads elsewhere."""
        posix = name.replace("\\", "/")
        posix = unquote(posix.partition(LOCAL_FILES)[2]).replace("\\", "/") or posix
        for prefix in (f"{self._root.path}/", f"{self._root.given}/"):
            posix = posix.removeprefix(prefix)
        leads_out = posix.startswith("/") or ".." in posix.split("/") or not posix.isprintable()
        return None if leads_out else posix

    def _near(self, folder: str, name: str) -> list[str]:
        """Return the images of a folder whose own names are spelled like that of `name`."""
        if folder not in self._by_stem:
            table = self._by_stem[folder] = {}
            for image in sorted(self._images.get(folder, ())):
                table.setdefault(spelled(image)[-1], []).append(image)
        found = [self._by_stem[folder].get(parts[-1], []) for parts in _spellings(name)]
        return list(dict.fromkeys(image for images in found for image in images))


def fits(name: str, images: Collection[str]) -> list[str]:
    """Return the images whose path ends like `name`, or that end `name`, in any spelling of it.

    Among those, the ones that share the most folders with it.
    """
    shared: dict[str, int] = {}
    for parts in _spellings(name):
        for image in images:
            other = spelled(image)
            length = min(len(parts), len(other))
            if parts[-length:] == other[-length:]:
                shared[image] = max(length, shared.get(image, 0))
    return [image for image, length in shared.items() if length == max(shared.values())]


def spelled(name: str) -> tuple[str, ...]:
    """Return the parts of a path in one case and Unicode form."""
    return tuple(unicodedata.normalize("NFC", part).casefold() for part in PurePosixPath(name).parts)


def _spellings(name: str) -> list[tuple[str, ...]]:
    """Return the parts of a name as it is written, and without its URL escapes."""
    plain = name.replace("\\", "/")
    return list(dict.fromkeys(parts for n in (plain, unquote(plain)) if (parts := spelled(n))))


def near_miss(images: Collection[str], name: str) -> str:
    """Return words about the one of the images that may be meant by `name`; empty if there is none."""
    own = {parts[-1] for parts in _spellings(name)}
    same = [image for image in images if spelled(image)[-1] in own]
    if not same:
        stem = alike(stem_of(name.replace("\\", "/")))
        same = [image for image in images if _extends(stem, alike(stem_of(image)))]
    if not same:
        by_name = {PurePosixPath(image).name: image for image in images}
        same = [by_name[near] for near in difflib.get_close_matches(PurePosixPath(name).name, by_name, n=1)]
    return f"; the nearest is {' or '.join(same[:3])}" if same else ""


def _extends(one: str, other: str) -> bool:
    """Return True if one stem is the other, or the other with a part before or behind it: 8f2c-a and a."""
    short, long = sorted((one, other), key=len)
    rest = long.removeprefix(short)[:1] if long.startswith(short) else ""
    rest = rest or (long.removesuffix(short)[-1:] if long.endswith(short) else "")
    return one == other or (bool(short and rest) and not rest.isalnum())
