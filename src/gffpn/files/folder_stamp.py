"""Stamp of all files below some folders, by which an unchanged data set is recognised without reading it."""

import hashlib
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from gffpn.files.content import stamp_of


class FolderStamp(NamedTuple):
    """Facts about all files at any depth below some folders."""

    digest: str
    """16 hex digits of a hash of the path and the `stamp` of each file, and of the target of each link."""
    files: int
    """Number of files and links."""
    changed_ns: int
    """Latest change of a file, or of the names in a folder, in nanoseconds since the epoch."""


def folder_stamp(places: Iterable[Path], most: int) -> FolderStamp | None:
    """Return the stamp of folders or files; None for more than `most` files, or if one cannot be looked at.

    Hidden files count, too. Links are followed, and a folder is looked at once.
    """
    digest, files, latest, seen = hashlib.sha256(), 0, 0, set[str]()
    waiting = [os.path.realpath(place) for place in places]
    try:
        while waiting:
            place = waiting.pop()
            if place in seen:
                continue
            seen.add(place)
            lines, folders, changed_ns = _look(place, most - files)
            files += len(lines)
            if files > most:
                return None
            latest = max(latest, changed_ns)
            waiting += sorted(folders)
            digest.update(os.fsencode("\0".join([place, *sorted(lines), "\0"])))
    except OSError:
        return None
    return FolderStamp(digest.hexdigest()[:16], files, latest)


def _look(place: str, most: int) -> tuple[list[str], list[str], int]:
    """Return a line per file in a folder, the real paths of the folders in it, and the latest change.

    A place that is a file has one line. Stops after more than `most` files.
    """
    status = os.stat(place)
    if not stat.S_ISDIR(status.st_mode):
        return [str(stamp_of(status))], [], status.st_ctime_ns
    lines, folders, latest = list[str](), list[str](), status.st_ctime_ns
    with os.scandir(place) as entries:
        for entry in entries:
            target = os.path.realpath(entry.path) if entry.is_symlink() else ""
            if entry.is_dir():
                folders.append(target or entry.path)
                if target:
                    lines.append(f"{entry.name}\0{target}")
                continue
            status = entry.stat()
            latest = max(latest, status.st_ctime_ns)
            lines.append(f"{entry.name}\0{stamp_of(status)}{target}")
            if len(lines) > most:
                break
    return lines, folders, latest
