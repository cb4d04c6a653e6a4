"""Digests of files' contents, and the stamps by which an unchanged file is recognised without reading it."""

import functools
import hashlib
import os
from pathlib import Path


def content_digest(path: Path) -> str:
    """Return 16 hex digits of the SHA-256 of a file's content; raise OSError if it cannot be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def stamp(path: Path) -> list[int]:
    """Return size, modification time and change time of a file.

    The change time also reveals a file whose modification time was set back, as copying programs do.
    """
    return stamp_of(os.stat(path))


def stamp_of(facts: os.stat_result) -> list[int]:
    """Return the `stamp` of a file whose status is known."""
    return [facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns]


def remembered_digest(path: Path) -> str:
    """Return the `content_digest` of a large file, read once by this process while its `stamp` is the same.

    Raises OSError if the file cannot be read.
    """
    return _digest(path.resolve(), *stamp(path))


@functools.cache
def _digest(path: Path, *stamp: int) -> str:
    return content_digest(path)
