"""File names that can be written into tables, JSON and pages."""

import os


def check_name(path: str) -> None:
    """Raise ValueError if a path is not UTF-8, as after unpacking an archive from an older Windows."""
    if path.isascii():
        return
    try:
        path.encode()
    except UnicodeEncodeError:
        shown = os.fsencode(path).decode(errors="backslashreplace")
        raise ValueError(
            f"{shown}: the name is not UTF-8, rename it (all in a folder: "
            f"convmv -r -f latin1 -t utf8 --notest FOLDER)"
        ) from None
