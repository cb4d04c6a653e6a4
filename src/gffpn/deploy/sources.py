"""Images to detect in: files, folders, globs, list files, videos and cameras, in a stable order."""

import glob
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, count, takewhile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gffpn.data.index import DataError
from gffpn.data.readers.images import SUFFIXES, read_image
from gffpn.deploy import video
from gffpn.files.content import stamp
from gffpn.files.names import check_name


class Item(NamedTuple):
    """One image to detect in."""

    name: str
    """Unique among the images: the file's path below the given folder, with forward slashes."""
    stem: str
    """Unique, too: the name without its suffix, or with it where two images differ in nothing else, and for
    the frames of a video."""
    stamp: list[int]
    """Changes when the file does; empty if there is no file."""
    read: Callable[[], NDArray[np.uint8]]
    """Return the pixels, RGB (H, W, 3). Raises DataError, naming the file, if it cannot be read."""


@dataclass(frozen=True)
class Images:
    """Iterable over the images, which does not hold their pixels."""

    files: tuple[Path, ...]
    """Image files and videos, without duplicates."""
    root: Path
    """Folder to which their names are relative: the one that was given, or that several sources share."""
    cameras: tuple[int, ...] = ()
    frames_before: Mapping[int, int] = field(default_factory=dict)
    """By camera, the number of the last frame of earlier calls, after which its frames are numbered."""

    @property
    def total(self) -> int | None:
        """Number of images; None if a video or a camera is among them."""
        return None if self.cameras or any(map(video.is_video, self.files)) else len(self.files)

    def lost_frames(self, earlier: Iterable[str], now: Set[str]) -> list[str]:
        """Return the names of earlier frames that the videos no longer have; they have the frames `now`."""
        videos = {path.relative_to(self.root).as_posix() for path in self.files if video.is_video(path)}
        return [name for name in earlier if name not in now and name.rpartition("/")[0] in videos]

    def __iter__(self) -> Iterator[Item]:
        names = [path.relative_to(self.root).as_posix() for path in self.files]
        stems = Counter(name.rpartition(".")[0].casefold() for name in names)
        stems += Counter(name.casefold() for name in names)  # a.jpg.png without its suffix is a.jpg
        for path, name in zip(self.files, names, strict=True):
            if video.is_video(path):
                # with its suffix, because a folder beside clip.mp4 is often called clip
                yield from _frames(str(path), name, _stamp(path))
                continue
            bare = name.rpartition(".")[0]
            unique = bare if bare and stems[bare.casefold()] == 1 else name
            yield Item(name, unique, _stamp(path), partial(read_image, path))
        for camera in self.cameras:
            yield from _frames(camera, f"camera{camera}", [], after=self.frames_before.get(camera, 0))


def _frames(source: str | int, name: str, when: list[int], *, after: int = 0) -> Iterator[Item]:
    """Yield the frames of a video or camera, numbered from `after` + 1; a fault is an unreadable item."""
    frames = video.frames(source)
    for number in count(after + 1):
        frame = f"{name}/{number:06}"
        try:
            pixels = next(frames, None)
        except DataError as error:
            yield Item(frame, frame, when, partial(_raise, error))
            return
        if pixels is None:
            return
        yield Item(frame, frame, when, partial(_same, pixels))


def _same(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return pixels


def _raise(error: DataError) -> NDArray[np.uint8]:
    raise error


def images(sources: Sequence[str], *, without: Path | None = None) -> Images:
    """Return the images of some sources, in the order of the sources and sorted by path in each of them.

    A source is an image file, a folder (searched with its subfolders), a glob, a .txt file that lists an
    image per line (relative to the list), a video, or `camera:N`. An image that several sources name is taken
    once. Folders are searched except for `without`, such as the folder of an earlier call's pictures.

    Raises ValueError if a source does not exist or contains no image, or if the name of one is not UTF-8, and
    `ExtraMissingError` if the library for videos is missing.
    """
    cameras = tuple(_camera(source) for source in sources if source.startswith("camera:"))
    seen = frozenset() if without is None else frozenset({os.path.realpath(without)})
    paths = [source for source in sources if not source.startswith("camera:")]
    by_source = [(source, _files(source, seen)) for source in paths]
    # by the real folder, because a glob may follow links in a circle; two links to one file are two images
    unique: dict[tuple[str, str], Path] = {}
    for path in chain.from_iterable(files for _, files in by_source):
        check_name(str(path))
        unique.setdefault((os.path.realpath(path.parent), path.name), Path(os.path.abspath(path)))
    files = tuple(unique.values())
    videos: list[str | int] = [*cameras, *(str(file) for file in files if video.is_video(file))]
    if videos:
        video.library(videos[0])
    folders = chain.from_iterable(_folders(source, files) for source, files in by_source)
    return Images(files, _shared(folders), cameras)


def _camera(source: str) -> int:
    number = source.removeprefix("camera:")
    if not number.isdecimal():
        raise ValueError(f"{source}: expected camera:0, camera:1 ...")
    return int(number)


def _files(source: str, left_out: frozenset[str]) -> list[Path]:
    path = Path(source)
    if os.path.isdir(path):  # pathlib's raises an error for a name that is too long
        found = list(_below(path, left_out))
    elif path.suffix.lower() == ".txt" and os.path.isfile(path):
        found = _listed(path)
    elif os.path.exists(path):
        found = [path]  # whatever its suffix: the user named it
    elif glob.has_magic(source):
        matches = (Path(match) for match in sorted(glob.glob(source, recursive=True)))
        found = [match for match in matches if _is_image(match) and match.is_file()]
        found = [match for match in found if not _is_below(match, left_out)]
    else:
        raise ValueError(f"{source}: no such file or folder")
    if not found and os.path.realpath(path) in left_out:
        raise ValueError(f"{source}: is the folder of the results, expected one with images")
    if not found:
        raise ValueError(f"{source}: contains no image ({', '.join(sorted(SUFFIXES))}) and no video")
    return found


def _below(folder: Path, left_out: frozenset[str]) -> Iterator[Path]:
    """Yield the images and videos of a folder and its subfolders, sorted; links are followed once."""
    seen = set(left_out)
    for parent, folders, names in os.walk(folder, onerror=_refuse, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        # hidden files are previews and leftovers, such as macOS's ._NAME.jpg
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        visible = (Path(parent, name) for name in sorted(names) if not name.startswith("."))
        yield from (path for path in visible if _is_image(path))


def _refuse(error: OSError) -> None:
    raise ValueError(f"{error.filename}: cannot be listed: {error.strerror}") from error


def _is_below(path: Path, folders: frozenset[str]) -> bool:
    parents = Path(os.path.realpath(path)).parents
    return any(Path(folder) in parents for folder in folders)


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES or video.is_video(path)


def _listed(path: Path) -> list[Path]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not a list of images, expected text in UTF-8") from error
    return [path.parent / line.strip() for line in lines if line.strip()]


def _folders(source: str, files: Sequence[Path]) -> set[str]:
    """Return the folders to which the names of a source's files are relative, as absolute paths.

    A folder stays the same whatever it contains, so that a later call finds new subfolders in it.
    """
    path = Path(source)
    if path.is_dir():
        return {os.path.abspath(path)}
    parents = {os.path.abspath(file.parent) for file in files}
    if path.exists():
        return parents
    fixed = takewhile(lambda part: not glob.has_magic(part), path.parent.parts)
    return {os.path.abspath(Path(*fixed)), *parents}


def _shared(folders: Iterable[str]) -> Path:
    given = set(folders)
    return Path(os.path.commonpath(given)) if given else Path()


def _stamp(path: Path) -> list[int]:
    try:
        return stamp(path)
    except OSError:
        return []  # reading it names the fault
