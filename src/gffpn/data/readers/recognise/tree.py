"""Files of a folder, listed once, and what recognisers ask about them."""

import re
from collections import defaultdict
from collections.abc import Collection
from functools import cached_property
from pathlib import Path, PurePosixPath

from gffpn.data.readers.decoding import decoded_start
from gffpn.data.readers.images import SUFFIXES
from gffpn.data.readers.listing import alike, listed, stem_of, suffix_of

_AROUND = r"(?:images?|imgs?|masks?|labels?|annotations?|xmls?|jsons?|obj|data|set|split)"
_SPLIT = re.compile(
    rf"(?:{_AROUND}[ _-]?)*"
    r"(?:(train(?:ing)?)|(val(?:id(?:ation)?)?|dev)|(test(?:ing)?))"
    rf"(?:[ _-]?(?:{_AROUND}|\d))*"
)

_FOR_PEOPLE = re.compile(r"(?:readme|licen[cs]e|citation)\b|.*\.(?:html|md|pdf)$", re.IGNORECASE)


class Tree:
    """Files at any depth below `root`, by their paths relative to it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files = list(listed(root))
        self._by_suffix: dict[str, list[str]] = defaultdict(list)
        for name in self.files:
            self._by_suffix[suffix_of(name)].append(name)

    @cached_property
    def images(self) -> list[str]:
        """All images."""
        return self.of(SUFFIXES)

    @cached_property
    def stems(self) -> frozenset[str]:
        """Stems of all images, as `alike` returns them."""
        return frozenset(alike(stem_of(name)) for name in self.images)

    @cached_property
    def images_by_name(self) -> dict[str, list[str]]:
        """All images by the names of their files, as `alike` returns them."""
        found: dict[str, list[str]] = defaultdict(list)
        for name in self.images:
            found[alike(name.rpartition("/")[2])].append(name)
        return found

    @property
    def only_folder(self) -> str:
        """Folder that holds everything but texts for people, such as a README; empty if there is none."""
        tops = {name.partition("/")[0] for name in self.files if "/" in name or not _FOR_PEOPLE.match(name)}
        return top if len(tops) == 1 and self.has_folder(top := tops.pop()) else ""

    def of(self, suffixes: Collection[str]) -> list[str]:
        """Return the files with one of the suffixes."""
        return sorted(name for suffix in suffixes for name in self._by_suffix.get(suffix, ()))

    def beside_images(self, suffix: str) -> list[str]:
        """Return the files of a suffix with the stem of an image."""
        return [name for name in self.of((suffix,)) if alike(stem_of(name)) in self.stems]

    def has_file(self, name: str) -> bool:
        """Return True if `name` is a file."""
        return name in self._known

    def has_folder(self, name: str) -> bool:
        """Return True if `name` is a folder with files at any depth."""
        return name in self._folders

    def start(self, name: str, size: int = 4096) -> str:
        """Return the beginning of a text file; empty if it cannot be read."""
        try:
            with (self.root / name).open("rb") as file:
                return decoded_start(file.read(size))
        except OSError:
            return ""

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self.files)

    @cached_property
    def _folders(self) -> frozenset[str]:
        folders = set(map(folder_of, self.files))
        return frozenset(folders.union(str(p) for folder in folders for p in PurePosixPath(folder).parents))


def split_of(part: str) -> str:
    """Return the split that a folder's name means, such as `valid`, `train2017` or `Test Set`; else empty."""
    match = _SPLIT.fullmatch(part.casefold())
    if match is None:
        return ""
    return "train" if match[1] else "val" if match[2] else "test"


def folder_of(name: str) -> str:
    """Return the folder of a file; `.` for the root."""
    return name.rpartition("/")[0] or "."
