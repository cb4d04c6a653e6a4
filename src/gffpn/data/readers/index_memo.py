"""Memory of the indices of large data sets, so that a set is read again only after a change.

What a reader finds depends on its arguments, on its code, and on the files below its root and in its lists.
An index is remembered together with all of these. It is invalid after any file there was added, removed,
renamed or edited, even one at which the reader does not look.
"""

import dataclasses
import hashlib
import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path, PurePath
from typing import Any, NamedTuple

import numpy as np
import PIL

from gffpn.data.index import DataError, DataIndex
from gffpn.data.index_arrays import arrays_of, index_of, text_array, text_in
from gffpn.data.readers.reader import Reader
from gffpn.data.readers.root import Root
from gffpn.files.arrays import UNREADABLE
from gffpn.files.folder_stamp import FolderStamp, folder_stamp
from gffpn.files.sources import code_digest, modules_reached
from gffpn.files.writing import whole_file

FEWEST = 1000
"""Number of images below which a set is not remembered: reading it takes a tenth of a second."""
FILES = 10
"""Files per image up to which a set is remembered, because looking through many others would take long."""
SETTLED_NS = 2_000_000_000
"""Least time from the last change of a file to the start of reading; some file systems round to 2 seconds."""
ROOM = "gffpn.data.readers"
UNRELATED = ("cache_dir", "image_size")
"""Arguments of a reader on which its index does not depend."""

Message = tuple[str, int, str]
"""Logger, level and text."""


def read_index(source: Any) -> DataIndex:
    """Return `source.index()`, or the index that it returned before, with the same messages in the log.

    Only the readers of this package are remembered, because others may read files elsewhere, and only sets
    without a fault, which may be one of the moment, such as a network drive that did not answer.
    """
    memo = _Memo.of(source)
    if memo is None:
        return source.index()
    if (known := memo.read()) is not None:
        index, messages = known
        for name, level, text in messages:
            logging.getLogger(name).log(level, "%s", text)
        return index
    started_ns = time.time_ns()
    with _noted() as messages:
        index = source.index()
    if sum(map(len, index.splits.values())) >= FEWEST:
        memo.keep(index, messages, started_ns)
    return index


class _Memo(NamedTuple):
    """File that holds the index of one reader."""

    reader: Reader
    path: Path
    places: tuple[Path, ...]
    """Folders and files that hold all that the reader reads."""

    @classmethod
    def of(cls, source: Any) -> "_Memo | None":
        """Return the memo of a reader; None for another source, and for a root that its reader refuses."""
        if not isinstance(source, Reader) or not type(source).__module__.startswith(f"{ROOM}."):
            return None
        try:
            root, lists = Root(source.root, ""), _lists(source)
        except (DataError, OSError, TypeError, ValueError):  # the reader says what is wrong with them
            return None
        if any(".." in PurePath(name).parts for name in lists):
            return None
        fields = [field.name for field in dataclasses.fields(source) if field.name not in UNRELATED]
        key = [type(source).__name__, root.given, *(f"{name}={getattr(source, name)!r}" for name in fields)]
        name = hashlib.sha256(os.fsencode("\n".join(key))).hexdigest()[:16]
        path = source.cache_dir / "read-sets" / f"{name}.npz"
        return cls(source, path, (root.path, *(Path(name) for name in lists if os.path.isabs(name))))

    def read(self) -> tuple[DataIndex, list[Message]] | None:
        """Return what was remembered; None if it is missing, damaged or outdated."""
        with suppress(*UNREADABLE), self.path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            known = text_in(arrays["known"])
            if known == self._facts(folder_stamp(self.places, known["files"])):
                return index_of(arrays), text_in(arrays["messages"])
        return None

    def keep(self, index: DataIndex, messages: list[Message], started_ns: int) -> None:
        """Remember an index unless it had faults, or the set may have changed since the reading started."""
        if any(what.startswith("dropped, ") for what in index.mended):
            return
        if not logging.getLogger(ROOM).isEnabledFor(logging.INFO):  # the messages are not complete
            return
        images = sum(map(len, index.splits.values()))
        stamp = folder_stamp(self.places, FILES * images)
        if stamp is None or stamp.changed_ns > started_ns - SETTLED_NS:
            return
        arrays = {
            "known": text_array(self._facts(stamp)),
            "messages": text_array(messages),
            **arrays_of(index),
        }
        # without permission to write, the next start reads the set again
        with suppress(OSError), whole_file(self.path) as draft, draft.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)

    def _facts(self, stamp: FolderStamp | None) -> Mapping[str, object] | None:
        """Return what must be the same for an index to be valid."""
        if stamp is None:
            return None
        return {"code": self._code(), "files": stamp.files, "stamp": stamp.digest}

    def _code(self) -> str:
        own = [type(self.reader).__module__, __name__]
        modules = modules_reached(own, _is_own, self.reader.cache_dir)
        return f"{code_digest(modules)}, Pillow {PIL.__version__}, NumPy {np.__version__}"


def _is_own(module: str) -> bool:
    # the package's own file offers users everything, torch included, and no reader needs it
    return module.startswith("gffpn.")


def _lists(reader: Reader) -> list[str]:
    """Return the lists of a reader, or the folder of them."""
    lists = reader.splits
    if lists is None:
        return []
    every = [lists] if isinstance(lists, str) else lists.values()
    return [os.path.expanduser(x) for some in every for x in ([some] if isinstance(some, str) else some)]


@contextmanager
def _noted() -> Iterator[list[Message]]:
    """Yield a list of what the readers log inside the block."""
    messages: list[Message] = []
    handler, logger = logging.Handler(logging.INFO), logging.getLogger(ROOM)
    handler.emit = lambda record: messages.append((record.name, record.levelno, record.getMessage()))  # type: ignore[method-assign]
    logger.addHandler(handler)
    try:
        yield messages
    finally:
        logger.removeHandler(handler)
