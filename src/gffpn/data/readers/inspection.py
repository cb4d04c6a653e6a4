"""Inspection of every image of a data set, with results kept in a memo so that each is decoded only once."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import PIL

from gffpn.data.index import DataError
from gffpn.data.readers.images import Look, look
from gffpn.data.readers.memo import read_memo, write_memo
from gffpn.files.content import content_digest, stamp
from gffpn.machine.threads import in_threads

MEMO = "inspected-images.json"
RULES = f"2, Pillow {PIL.__version__}"
"""Version of `look` and of the decoder. A memo of another version, whose faults may differ, is ignored."""


class Seen(NamedTuple):
    """Result of the inspection of an image file that can be read."""

    look: Look
    content: str
    """`content_digest` of the file."""


def inspect(paths: Iterable[Path], cache_dir: Path) -> dict[Path, Seen | DataError]:
    """Return, for each file, what was seen or the DataError that `look` raised.

    A file that could be read is neither read nor decoded again while its `stamp` stays the same: its result
    is kept in a memo below `cache_dir`.
    """
    files = list(dict.fromkeys(paths))
    memo = read_memo(cache_dir / MEMO, RULES)
    stamps = {path: stamp(path) for path in files}
    known = {str(path): memo[str(path)] for path in files if memo.get(str(path), ())[:1] == [stamps[path]]}
    unknown = [path for path in files if str(path) not in known]
    seen: dict[Path, Seen | DataError] = {}
    for path, found in zip(unknown, in_threads(_see, unknown, "Inspecting images"), strict=True):
        seen[path] = found
        if isinstance(found, Seen):
            known[str(path)] = [stamps[path], found.content, *found.look]
    if unknown:
        write_memo(cache_dir / MEMO, RULES, memo | known)
    return {path: seen[path] if path in seen else _seen(known[str(path)]) for path in files}


def _see(path: Path) -> Seen | DataError:
    try:
        return Seen(look(path), content_digest(path))
    except DataError as error:
        return error


def _seen(entry: list[Any]) -> Seen:
    _, content, height, width, unusual = entry
    return Seen(Look(height, width, tuple((kind, what) for kind, what in unusual)), content)
