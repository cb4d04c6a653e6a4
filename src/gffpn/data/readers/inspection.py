"""Inspection of every image of a data set, with results kept in a memo so that each is decoded only once."""

import json
import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import PIL

from gffpn.data.index import DataError
from gffpn.data.readers.images import Look, look
from gffpn.files.writing import write_atomically
from gffpn.machine.threads import in_threads

logger = logging.getLogger(__name__)

MEMO = "inspected-images.json"
RULES = f"1, Pillow {PIL.__version__}"
"""Version of `look` and of the decoder. A memo of another version, whose faults may differ, is ignored."""


def inspect(paths: Iterable[Path], cache_dir: Path) -> dict[Path, Look | DataError]:
    """Return, for each file, the result of `look` or the DataError that it raised.

    A file that could be read is not decoded again while its size and modification time stay the same: its
    result is kept in a memo below `cache_dir`.
    """
    files = list(dict.fromkeys(paths))
    memo = _read(cache_dir / MEMO)
    stamps = {path: _stamp(path) for path in files}
    known = {str(path): memo[str(path)] for path in files if memo.get(str(path), ())[:2] == stamps[path]}
    unknown = [path for path in files if str(path) not in known]
    seen: dict[Path, Look | DataError] = {}
    for path, found in zip(unknown, in_threads(_look, unknown, "Inspecting images"), strict=True):
        seen[path] = found
        if isinstance(found, Look):
            known[str(path)] = [*stamps[path], *found]
    if unknown:
        _write(cache_dir / MEMO, memo | known)
    return {path: seen[path] if path in seen else _look_of(known[str(path)]) for path in files}


def _look(path: Path) -> Look | DataError:
    try:
        return look(path)
    except DataError as error:
        return error


def _stamp(path: Path) -> list[int]:
    facts = os.stat(path)
    return [facts.st_size, facts.st_mtime_ns]


def _look_of(entry: list[Any]) -> Look:
    height, width, unusual = entry[2:]
    return Look(height, width, tuple((kind, what) for kind, what in unusual))


def _read(path: Path) -> dict[str, list[Any]]:
    try:
        memo = json.loads(path.read_bytes())
        return dict(memo["files"]) if memo["rules"] == RULES else {}
    except (OSError, ValueError, TypeError, KeyError):
        return {}


def _write(path: Path, files: dict[str, list[Any]]) -> None:
    try:
        write_atomically(path, json.dumps({"rules": RULES, "files": files}))
    except OSError as error:
        logger.warning("%s: not written (%s): the next start decodes every image again", path, error)
