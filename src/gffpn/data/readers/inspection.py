"""Inspection of every image of a data set, with results kept in a memo so that each is decoded only once."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import PIL

from gffpn.data.index import DataError
from gffpn.data.readers.images import Look, look
from gffpn.data.readers.memo import read_memo, write_memo
from gffpn.files.content import content_digest
from gffpn.machine.threads import in_threads

MEMO = "inspected-images.json"
RULES = f"2, Pillow {PIL.__version__}"
"""Version of `look` and of the decoder. A memo of another version, whose faults may differ, is ignored."""


class Seen(NamedTuple):
    """Result of the inspection of an image file that can be read."""

    look: Look
    content: str
    """`content_digest` of the file."""


def inspect(stamps: Mapping[Path, list[int]], cache_dir: Path) -> dict[Path, Seen | DataError]:
    """Return, for each file in `stamps`, what was seen or the DataError that `look` raised.

    A file that could be read is neither read nor decoded again while its `stamp` stays the same: its result
    is kept in a memo below `cache_dir`.
    """
    memo = read_memo(cache_dir / MEMO, RULES)
    seen: dict[Path, Seen | DataError] = {}
    unknown: dict[Path, list[int]] = {}
    for path, own in stamps.items():
        entry = memo.get(str(path))
        if entry and entry[0] == own:
            seen[path] = _seen(entry)
        else:
            unknown[path] = own
    looks = in_threads(_see, list(unknown), "Inspecting images")
    for (path, own), found in zip(unknown.items(), looks, strict=True):
        seen[path] = found
        if isinstance(found, Seen):
            memo[str(path)] = [own, found.content, *found.look]
    if unknown:
        write_memo(cache_dir / MEMO, RULES, memo)
    return seen


def _see(path: Path) -> Seen | DataError:
    try:
        return Seen(look(path), content_digest(path))
    except DataError as error:
        return error


def _seen(entry: list[Any]) -> Seen:
    _, content, height, width, unusual = entry
    return Seen(Look(height, width, tuple(map(tuple, unusual))), content)
