"""A run's folder: what lies in it, and when it counts as finished."""

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gffpn.files.writing import write_atomically


@dataclass(frozen=True)
class RunFolder:
    """One folder a run, named by what it computes."""

    path: Path

    @property
    def config(self) -> Path:
        """The resolved configuration, as it was used."""
        return self.path / "config.yaml"

    @property
    def metrics(self) -> Path:
        """Written last and atomically: that it exists means *finished*."""
        return self.path / "metrics.json"

    @property
    def traceback(self) -> Path:
        """What a failed attempt left; removed when an attempt succeeds."""
        return self.path / "traceback.txt"

    @property
    def checkpoints(self) -> Path:
        """`best.ckpt` (on val, averaged weights) and `last.ckpt` (of the last finished epoch)."""
        return self.path / "checkpoints"

    @property
    def last_checkpoint(self) -> Path | None:
        """Where an interrupted run goes on, if it finished an epoch."""
        path = self.checkpoints / "last.ckpt"
        return path if path.exists() else None

    @property
    def status(self) -> str:
        """finished, failed, interrupted or missing."""
        if self.read_metrics() is not None:
            return "finished"
        if self.traceback.exists():
            return "failed"
        return "interrupted" if self.config.exists() else "missing"

    def read_metrics(self) -> dict[str, Any] | None:
        """The finished run's metrics.json; None where there is none, or only a torn one."""
        try:
            metrics = json.loads(self.metrics.read_text())
        except (FileNotFoundError, ValueError):
            return None
        return metrics if isinstance(metrics, dict) else None

    def finish(self, metrics: Mapping[str, Any]) -> None:
        """Write metrics.json and forget earlier failures."""
        write_atomically(self.metrics, json.dumps(metrics, indent=1, allow_nan=False) + "\n")
        self.traceback.unlink(missing_ok=True)

    def drop_torn_checkpoints(self) -> list[str]:
        """Remove what a kill or a failing disk left half-written; names the checkpoints that are not whole.

        A run goes on only with both checkpoints whole: the best one is tested, the last one is gone on from.
        Where one is torn both go, and the run begins anew, rather than end with another result.
        """
        for draft in self.checkpoints.glob(".*.ckpt.*"):
            draft.unlink()
        found = {path.name: path for path in sorted(self.checkpoints.glob("*.ckpt"))}
        torn = [name for name, path in found.items() if not _whole(path)]
        if "last.ckpt" in found and "best.ckpt" not in found:
            torn.append("best.ckpt")
        for path in found.values() if torn else ():
            path.unlink()
        return torn


def _whole(checkpoint: Path) -> bool:
    """Whether a file is a zip archive, as torch writes, whose every entry has its checksum."""
    try:
        with zipfile.ZipFile(checkpoint) as archive:
            return archive.testzip() is None
    except Exception:  # zipfile raises many kinds on bytes that are no archive
        return False
