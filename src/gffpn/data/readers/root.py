"""Root folder of a data set, which no path read from the data set's files may leave."""

import os
from pathlib import Path, PurePosixPath, PureWindowsPath

from gffpn.data.index import DataError
from gffpn.data.readers.faults import Faults, Kind


class Root:
    """Root folder of a data set, which resolves names below it.

    `holds` names its expected contents, for the message. Raises DataError if `root` is None or not a folder.
    """

    def __init__(self, root: str | None, holds: str) -> None:
        if root is None:
            raise DataError(
                f"data.root is not set: give the folder that holds {holds}, e.g. data.root=/path/to/it"
            )
        self.path = Path(os.path.realpath(Path(root).expanduser()))
        if not self.path.is_dir():
            raise DataError(f"data.root={root}: no such folder; {contents(self.path)}")

    def inside(self, name: str) -> Path | None:
        """Return the real path of `name`; None if it is absolute or contains `..`.

        Symbolic links are followed, because only the user can have made them: a set may be on another disk.
        """
        posix = name.replace("\\", "/")
        anchored = posix.startswith("/") or PureWindowsPath(name).drive
        if anchored or "\0" in name or ".." in posix.split("/"):
            return None
        try:
            return Path(os.path.realpath(os.path.join(self.path, posix)))
        except ValueError:  # characters that no file name can have
            return None

    def folder(self, name: str, faults: Faults) -> Path | None:
        """Return the folder `name`, or record a fault and return None."""
        path = self.inside(name)
        if path is None or not path.is_dir():
            self._missing(name, path, "folder", faults)
        elif not os.access(path, os.R_OK | os.X_OK):
            faults.add(Kind.MISSING_FOLDER, f"{name}: no permission to read this folder")
        else:
            return path
        return None

    def file(self, name: str, faults: Faults) -> Path | None:
        """Return the file `name`, or record a fault and return None."""
        path = self.inside(name)
        if path is not None and path.is_file():
            return path
        self._missing(name, path, "file", faults)
        return None

    def _missing(self, name: str, path: Path | None, what: str, faults: Faults) -> None:
        why = "leads out of data.root" if path is None else f"no such {what}"
        faults.add(Kind.MISSING_FOLDER, f"{name}: {why}; {contents(path or self.path)}")


def below(folder: str, name: str) -> str:
    """Return `folder/name` in its shortest form, with forward slashes."""
    return str(PurePosixPath(folder.replace("\\", "/"), name.replace("\\", "/")))


def contents(path: Path) -> str:
    """Describe, for a message, the nearest existing folder at or above `path` and its subfolders."""
    nearest = next(parent for parent in (path, *path.parents) if parent.is_dir())
    folders = sorted(entry.name for entry in os.scandir(nearest) if entry.is_dir())
    shown = ", ".join(folders[:10]) + (f" and {len(folders) - 10} more" if len(folders) > 10 else "")
    return f"{nearest} holds {f'the folders {shown}' if folders else 'no folder'}"
