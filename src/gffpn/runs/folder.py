"""Folder of a run: its files and its status."""

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from gffpn.files.typed_json import from_json, parsed
from gffpn.runs.provenance import Start
from gffpn.runs.record import OtherVersionError, Record, read_record, write_record

# the one in C is ten times as fast
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


_KINDS: dict[str, type] = {"seed": int, "choice": dict, "data": dict, "trainer": dict}
"""Entries of config.yaml on whose kind something relies."""
OWN_FOLDERS = ("checkpoints", "evaluations", "logs", "pictures", "wandb")
"""Folders in that of a run that hold what gffpn alone has written."""


@dataclass(frozen=True)
class RunFolder:
    """Folder of one run, named after what the run computes."""

    path: Path

    @property
    def config(self) -> Path:
        """The resolved configuration that the run used."""
        return self.path / "config.yaml"

    @property
    def start(self) -> Path:
        """What the run started with, see `Start`."""
        return self.path / "start.json"

    @property
    def command(self) -> Path:
        """Words of the command that repeats the run alone, as a JSON list."""
        return self.path / "command.json"

    @property
    def metrics(self) -> Path:
        """The record, written last and atomically: if the file exists, the run is *finished*."""
        return self.path / "metrics.json"

    @property
    def predictions(self) -> Path:
        """Detections and truth of val and test, written just before the metrics."""
        return self.path / "predictions.npz"

    @property
    def traceback(self) -> Path:
        """Traceback of a failed attempt, removed when the next attempt starts."""
        return self.path / "traceback.txt"

    @property
    def checkpoints(self) -> Path:
        """Folder of `best.ckpt` (best on val, averaged weights) and `last.ckpt` (last finished epoch)."""
        return self.path / "checkpoints"

    @property
    def last_checkpoint(self) -> Path | None:
        """Checkpoint from which an interrupted run resumes, or None if it has not finished an epoch."""
        path = self.checkpoints / "last.ckpt"
        return path if path.exists() else None

    @property
    def status(self) -> str:
        """One of finished, failed, interrupted or missing."""
        if self.read() is not None:
            return "finished"
        if self.traceback.exists():
            return "failed"
        return "interrupted" if self.config.exists() else "missing"

    def read(self) -> Record | None:
        """Return the record; None if metrics.json is missing, damaged or of another version."""
        try:
            return read_record(self.metrics)
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return None

    def finished(self) -> Record:
        """Return the record. Raises ValueError with one line that says why there is none."""
        try:
            return read_record(self.metrics)
        except (FileNotFoundError, NotADirectoryError):
            fault = f"the run is {self.status}, expected a finished one"
            if self.status == "missing":
                fault = "not a run, expected a folder with config.yaml and metrics.json"
            raise ValueError(f"{self.path}: {fault}") from None

    def other_version(self) -> OtherVersionError | None:
        """Return an error of one line if another version of gffpn wrote metrics.json, else None."""
        try:
            read_record(self.metrics)
        except OtherVersionError as error:
            return error
        except (FileNotFoundError, ValueError):
            pass
        return None

    def read_start(self) -> Start | None:
        """Return the contents of start.json, or None if it is missing or damaged."""
        try:
            return from_json(Start, parsed(self.start.read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError):
            return None

    def read_config(self) -> dict[str, Any]:
        """Return the contents of config.yaml; empty if it is missing.

        Raises ValueError if it is damaged, or another program's.
        """
        try:
            content = yaml.load(self.config.read_bytes(), Loader=_LOADER)
            json.dumps(content)  # what a hash takes: no date, for instance
        except FileNotFoundError:
            return {}
        except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
            raise ValueError(f"{self.config}: damaged: {' '.join(str(error).split())}") from error
        if not isinstance(content, dict):
            raise ValueError(f"{self.config}: damaged: got {content!r:.60}, expected settings")
        for key, kind in _KINDS.items():
            if not isinstance(content.get(key, kind()), kind):
                words = f"got {content[key]!r:.60}, expected {'a number' if kind is int else 'settings'}"
                raise ValueError(f"{self.config}: damaged: {key}: {words}")
        return content

    def read_command(self) -> list[str]:
        """Return the words of the command that repeats the run; empty if it is not recorded."""
        try:
            return [str(word) for word in parsed(self.command.read_text(encoding="utf-8"))]
        except (FileNotFoundError, ValueError, TypeError):
            return []

    def set_aside(self) -> Path:
        """Move the folder to `replaced/` next to it, so that the run can restart, and return its new path."""
        replaced = self.path.parent / "replaced"
        replaced.mkdir(exist_ok=True)
        taken = [path.suffix[1:] for path in replaced.glob(f"{self.path.name}.*")]
        number = 1 + max((int(number) for number in taken if number.isdigit()), default=0)
        return self.path.rename(replaced / f"{self.path.name}.{number}")

    def finish(self, record: Record) -> None:
        """Write metrics.json and remove the traceback of an earlier failure."""
        write_record(self.metrics, record)
        self.traceback.unlink(missing_ok=True)

    def drop_torn_checkpoints(self) -> list[str]:
        """Remove files left incomplete by a kill or a failing disk; return the names of damaged checkpoints.

        A run resumes only if both checkpoints are intact: it continues from the last one, and the best one is
        tested. If either is damaged, both are removed, so that the run restarts instead of ending with a
        different result. A missing best one also counts as damaged if there is a last one.
        """
        for draft in self.checkpoints.glob(".*.ckpt.*"):
            draft.unlink()
        paths = [self.checkpoints / name for name in ("best.ckpt", "last.ckpt")]
        found = {path.name: path for path in paths if path.exists()}
        torn = [name for name, path in found.items() if not _whole(path)]
        if "last.ckpt" in found and "best.ckpt" not in found:
            torn.append("best.ckpt")
        for path in found.values() if torn else ():
            path.unlink()
        return torn


def weights_in(path: Path) -> Path:
    """Return the best weights of a run if `path` is a folder, else `path` itself, a file of weights."""
    return RunFolder(path).checkpoints / "best.ckpt" if path.is_dir() else path


def _whole(checkpoint: Path) -> bool:
    """Return True if a file is a zip archive, as torch writes, in which every entry matches its checksum."""
    try:
        with zipfile.ZipFile(checkpoint) as archive:
            return archive.testzip() is None
    except Exception:  # zipfile raises many exception types for bytes that are not an archive
        return False


def check_no_run_file(path: Path, *, setting: str) -> None:
    """Raise ValueError, naming the setting that chose it, if a path is a file of a run."""
    whole = path.absolute()
    for folder in map(RunFolder, whole.parents if path.exists() else ()):
        own = (folder.config, folder.start, folder.command, folder.metrics, folder.predictions)
        inside = whole.relative_to(folder.path).parts[0] in OWN_FOLDERS
        if (inside or whole in (*own, folder.traceback)) and folder.status != "missing":
            raise ValueError(f"{setting}: {path} is a file of a run; choose another name")
