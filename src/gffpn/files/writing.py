"""Files that several processes share or that a crash may hit: locks, and writing whole or not at all."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


@contextmanager
def alone(file: Path, *, waits_for: str | None = None) -> Iterator[None]:
    """Hold the lock `file` inside the block; wait, and say for what, while another process holds it.

    The system drops the lock with the process that holds it, however that process ends. The file stays.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(file)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        if waits_for:
            print(f"Waiting for {waits_for}: another process is at it and holds {file}", file=sys.stderr)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to; it takes the place of `path` when the block ends well.

    No reader ever sees a part of the file, whatever happens: a kill, a full disk, a loss of power.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield draft
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        error.filename = error.filename or str(path)  # a write to an open file does not know its name
        raise
    finally:
        draft.unlink(missing_ok=True)


def write_atomically(path: Path, text: str) -> None:
    """Write a whole text file or none."""
    with whole_file(path) as draft:
        draft.write_text(text)
