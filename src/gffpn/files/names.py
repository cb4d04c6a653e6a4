"""File names that can be written into tables, JSON and pages."""

import os
import sys


def check_name(path: str) -> None:
    """Raise ValueError if a path is not UTF-8, as after unpacking an archive from an older Windows.

    That the locale has another encoding is a fault of its own.
    """
    if path.isascii():
        return
    try:
        path.encode()
    except UnicodeEncodeError:
        if (encoding := sys.getfilesystemencoding()) != "utf-8":
            shown = os.fsencode(path).decode(errors="replace")
            raise ValueError(
                f"{shown}: names of files are read as {encoding}, as the locale says: set PYTHONUTF8=1"
            ) from None
        shown = os.fsencode(path).decode(errors="backslashreplace")
        raise ValueError(
            f"{shown}: the name is not UTF-8, rename it (all in a folder: "
            f"convmv -r -f latin1 -t utf8 --notest FOLDER)"
        ) from None
