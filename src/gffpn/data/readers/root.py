"""Root folder of a data set, which no path read from the data set's files may leave."""

import os
import re
import shlex
import stat
import tarfile
import zipfile
from pathlib import Path, PurePosixPath, PureWindowsPath

from gffpn.data.index import DataError
from gffpn.data.readers.faults import Faults, Kind
from gffpn.data.readers.quoting import override

ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz")
_IRREGULAR = re.compile(r"\\|//|/\.|^[./]|/$")
"""What a path may contain that is not in its shortest form."""


class Root:
    """Root folder of a data set, which resolves names below it.

    `holds` names its expected contents, for the message. Raises DataError if `root` is None, empty or not a
    folder.
    """

    def __init__(self, root: str | None, holds: str) -> None:
        if not root:
            raise DataError(
                f"data.root is not set: give the folder that holds {holds}, e.g. data.root=/path/to/it"
            )
        # not Path.expanduser, which fails for a name such as ~x
        self.given = os.path.abspath(os.path.expanduser(root))
        self.path = Path(os.path.realpath(self.given))
        self._base = os.path.join(self.path, "")
        self._real_folders: dict[str, str] = {}
        if self.path.is_file():
            raise DataError(f"data.root={root}: {about_file(self.given)}")
        if not self.path.is_dir():
            raise DataError(f"data.root={root}: no such folder; {contents(self.path)}")

    def inside(self, name: str) -> Path | None:
        """Return `real` as a Path."""
        path = self.real(name)
        return None if path is None else Path(path)

    def real(self, name: str) -> str | None:
        """Return the path in `located`."""
        located = self.located(name)
        return None if located is None else located[0]

    def located(self, name: str) -> tuple[str, os.stat_result | None] | None:
        """Return the real path of `name` and its status, or None if it is absolute or contains `..`.

        The status is None if there is no such file.

        Symbolic links are followed, because only the user can have made them: a set may be on another disk.
        """
        if self.joined(name) is None:
            return None
        try:
            return self._resolved(name.replace("\\", "/"))
        except ValueError:  # characters that no file name can have
            return None

    def joined(self, name: str) -> str | None:
        """Return the path of `name` with its links; None if it is absolute or contains `..`."""
        posix = name.replace("\\", "/")
        anchored = posix.startswith("/") or (":" in name and PureWindowsPath(name).drive)
        if anchored or "\0" in name or ".." in posix.split("/"):
            return None
        return self._base + posix

    def _resolved(self, name: str) -> tuple[str, os.stat_result | None]:
        """Return the real path and status of a name, with each folder resolved once: a sixth of the time."""
        folder, _, file = name.rpartition("/")
        if file in ("", "."):
            path = os.path.realpath(os.path.join(self.path, name))
            return path, _status(path)
        if folder not in self._real_folders:
            real = os.path.realpath(os.path.join(self.path, folder))
            self._real_folders[folder] = os.path.join(real, "")
        path = self._real_folders[folder] + file
        status = _status(path)
        if status is not None and stat.S_ISLNK(status.st_mode):
            path = os.path.realpath(path)
            status = _status(path)
        return path, status

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


def _status(path: str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except OSError:
        return None


def about_file(path: str) -> str:
    """Say what to do about a file that was given as the root."""
    if zipfile.is_zipfile(path) or tarfile.is_tarfile(path):
        folder = path[: -len("".join(PurePosixPath(path).suffixes[-2:]))] if ".tar." in path else ""
        folder = folder or os.path.splitext(path)[0]
        unpack = "unzip -q {0} -d {1}" if zipfile.is_zipfile(path) else "mkdir -p {1} && tar xf {0} -C {1}"
        command = unpack.format(shlex.quote(path), shlex.quote(folder))
        return (
            f"an archive, expected a folder: unpack it, {command}, and give {override('data.root', folder)}"
        )
    return f"a file, expected a folder: give {override('data.root', os.path.dirname(path))}"


def below(folder: str, name: str) -> str:
    """Return `folder/name` in its shortest form, with forward slashes."""
    path = name if folder == "." else f"{folder}/{name}"
    if path and not _IRREGULAR.search(path):  # pathlib takes 20 times as long
        return path
    return str(PurePosixPath(folder.replace("\\", "/"), name.replace("\\", "/")))


def contents(path: Path) -> str:
    """Describe, for a message, the nearest existing folder at or above `path` and its subfolders."""
    nearest = next(parent for parent in (path, *path.parents) if parent.is_dir())
    folders = sorted(entry.name for entry in os.scandir(nearest) if entry.is_dir())
    shown = ", ".join(folders[:10]) + (f" and {len(folders) - 10} more" if len(folders) > 10 else "")
    return f"{nearest} holds {f'the folders {shown}' if folders else 'no folder'}"
