"""A run's folder: what lies in it, and when it counts as finished."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


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
        if self.metrics.exists():
            return "finished"
        if self.traceback.exists():
            return "failed"
        return "interrupted" if self.config.exists() else "missing"

    def read_metrics(self) -> dict[str, Any]:
        """The finished run's metrics.json."""
        return dict(json.loads(self.metrics.read_text()))

    def finish(self, metrics: Mapping[str, Any]) -> None:
        """Write metrics.json and forget earlier failures."""
        write_atomically(self.metrics, json.dumps(metrics, indent=1, allow_nan=False) + "\n")
        self.traceback.unlink(missing_ok=True)


def write_atomically(path: Path, text: str) -> None:
    """Write a whole file or none: no reader ever sees a part of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
