"""Memo of what was found in files, so that an unchanged file is read only once."""

import json
import logging
from pathlib import Path
from typing import Any

from gffpn.files.writing import write_atomically

logger = logging.getLogger(__name__)


def read_memo(path: Path, rules: str) -> dict[str, list[Any]]:
    """Return the entries of a memo by file; none if it is damaged or was written by other `rules`."""
    try:
        memo = json.loads(path.read_bytes())
        return dict(memo["files"]) if memo["rules"] == rules else {}
    except (OSError, ValueError, TypeError, KeyError):
        return {}


def write_memo(path: Path, rules: str, files: dict[str, list[Any]]) -> None:
    """Write a memo, or log why that is not possible."""
    try:
        write_atomically(path, json.dumps({"rules": rules, "files": files}))
    except OSError as error:
        logger.warning("%s: not written (%s): the next start reads every file again", path, error)
