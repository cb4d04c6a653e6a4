"""Digests of files' contents, and the stamps by which an unchanged file is recognised without reading it."""

import hashlib
import os
from pathlib import Path


def content_digest(path: Path) -> str:
    """Return 16 hex digits of a hash of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=8)).hexdigest()


def stamp(path: Path) -> list[int]:
    """Return size, modification time and change time of a file.

    The change time also reveals a file whose modification time was set back, as copying programs do.
    """
    facts = os.stat(path)
    return [facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns]
