"""Identity of a file by its content."""

import functools
import hashlib
import os
from pathlib import Path


def content_digest(path: Path) -> str:
    """Return 16 hex digits of the SHA-256 of a file's content.

    The result is remembered in this process for as long as the file's size and modification time stay the
    same. Raises OSError if the file cannot be read.
    """
    facts = os.stat(path)
    return _digest(os.path.realpath(path), facts.st_size, facts.st_mtime_ns)


@functools.cache
def _digest(path: str, size: int, mtime_ns: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
