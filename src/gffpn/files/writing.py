"""Locks for files that several processes share, and atomic writes that a crash cannot leave half done."""

import errno
import os
import secrets
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

LONGEST_NAME = 220
"""Bytes of a file's name; a draft's name has some more."""

UNWRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST)
"""Error numbers of writing where this process may not, or below a path that is not a folder."""
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
"""Error numbers of writing where no space is left, or none that this user may have."""
MEANWHILE_S = 5.0
"""Time between two calls while `alone` waits for a lock."""


def check_writable(folder: Path, *, setting: str) -> None:
    """Raise ValueError, naming the setting that chose it, unless a folder can be written to or created."""
    try:
        existing = next(path for path in (folder, *folder.parents) if path.exists())
        # only an attempt shows it: permissions do not apply to root, and network drives have their own
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise ValueError(
            f"{folder}: cannot be written to ({error.strerror}); {setting} chooses another folder"
        ) from error


def check_file(path: Path, *, setting: str) -> None:
    """Raise ValueError, naming the setting that chose it, unless a file can be written at a path."""
    if path.is_dir():
        raise ValueError(f"{setting}: got {path}, a folder, expected the name of a file")
    check_writable(path.parent, setting=setting)


def check_not_replaced(path: Path, text: str, *, setting: str) -> None:
    """Raise ValueError, naming the setting that chose it, if a file is there whose content is not `text`.

    A command may be repeated, but of another file nothing says that its user can do without it.
    """
    if path.is_file() and path.read_bytes() != text.encode():
        raise ValueError(
            f"{setting}: {path} exists and holds something else; remove it, or choose another name"
        )


@contextmanager
def alone(
    file: Path, *, waits_for: str | None = None, meanwhile: Callable[[], None] = lambda: None
) -> Iterator[None]:
    """Hold the lock `file` inside the block, waiting while another process holds it.

    While waiting, print that this process waits for `waits_for`, if given, and call `meanwhile` every few
    seconds. The system releases the lock when the process that holds it ends, however it ends. The file
    remains.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(file)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        if waits_for:
            print(f"Waiting for {waits_for}: another process is using it and holds {file}", file=sys.stderr)
        while not lock.is_locked:
            meanwhile()
            with suppress(Timeout):
                lock.acquire(timeout=MEANWHILE_S)
    try:
        yield
    finally:
        lock.release()


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a path next to `path` to write to; it replaces `path` when the block ends without an error.

    No reader ever sees an incomplete file, even after a kill, a full disk or a power failure.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # in containers that share a folder, processes have equal numbers; file systems allow 255 bytes
    name = path.name if len(os.fsencode(path.name)) < LONGEST_NAME else path.name[-LONGEST_NAME // 4 :]
    draft = path.with_name(f".{name}.{os.getpid()}{secrets.randbelow(10**9):09}")
    try:
        yield draft
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        # an error of an open file carries no file name, and a draft is no file that its user knows
        if error.errno and error.filename in (None, str(draft)):
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    finally:
        draft.unlink(missing_ok=True)


def write_atomically(path: Path, text: str) -> None:
    """Write a text file completely or not at all."""
    with whole_file(path) as draft:
        draft.write_text(text, encoding="utf-8")
