"""The W&B run that all attempts of a run share: its id, the number of its rows, and the logger."""

import secrets
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import WandbLogger
from wandb import Run

from gffpn.files.writing import write_atomically
from gffpn.runs.folder import RunFolder
from gffpn.runs.predictions import Predictions
from gffpn.runs.reading import logged_rows
from gffpn.runs.record import Record
from gffpn.suite.charts import charts, headline


@dataclass(frozen=True)
class OwnId:
    """Id of a run in W&B, kept in the folder `directory`: the run's hash and a random token.

    With the hash alone, two users of one W&B project who train the same configuration would write to one W&B
    run.
    """

    directory: Path
    digest: str

    def read(self) -> str:
        """Return the kept id; the first call creates it."""
        try:
            kept = self._file.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            kept = ""
        return kept or self.replace()

    def replace(self) -> str:
        """Return a new id and keep it instead of the old one."""
        new = f"{self.digest}-{secrets.token_hex(4)}"
        write_atomically(self._file, new + "\n")
        return new

    @property
    def _file(self) -> Path:
        return self.directory / "run_id"


@dataclass(frozen=True)
class RowCount:
    """Number of rows that all attempts of a run logged to one W&B run.

    It is the size of a file to which each row adds a byte, so that it is correct after a kill at any moment.
    """

    path: Path

    def read(self) -> int:
        """Return the number of rows, 0 for a W&B run to which nothing was logged."""
        return self.path.stat().st_size if self.path.exists() else 0

    def add(self) -> None:
        """Count one more row."""
        with self.path.open("ab") as file:
            file.write(b".")


class Tracker(WandbLogger):
    """Lightning's W&B logger, but unable to end a run: after the first failure, W&B is not used again.

    metrics.csv and metrics.json hold every figure, with or without W&B.
    """

    def __init__(self, run: Run, rows: RowCount) -> None:
        super().__init__(experiment=run)
        self._rows = rows
        self._lost = False

    def go_on(self, folder: RunFolder) -> None:
        """Let the W&B run go on where the earlier attempts of the run in `folder` stopped.

        W&B's steps continue, and a W&B run without rows gets those that the run has logged so far.
        """
        if self._rows.read():
            self._try(self._continue_steps)
        else:
            self._try(self._log_earlier_rows, folder)

    def _continue_steps(self) -> None:
        # W&B itself continues only if it is online; a log() without values sets the step of the next row
        if self._rows.read() > self.experiment.step:
            self.experiment.log({}, step=self._rows.read(), commit=False)

    def _log_earlier_rows(self, folder: RunFolder) -> None:
        for step, values in logged_rows(folder.path):
            self.log_metrics(values, step)

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self._try(self._log_row, metrics, step)

    def _log_row(self, metrics: Mapping[str, Any], step: int | None) -> None:
        super().log_metrics(metrics, step)
        self._rows.add()

    def log_image(self, key: str, images: list[Any], step: int | None = None, **kwargs: Any) -> None:
        self._try(super().log_image, key, images, step, **kwargs)

    def show_results(self, record: Record, test: Predictions | None) -> None:
        """Put the figures by which W&B's table of runs sorts into the summary, and log charts of the test.

        Without the predictions, no chart is logged.
        """
        self._try(self._show_results, record, test)

    def _show_results(self, record: Record, test: Predictions | None) -> None:
        if test is not None:
            self._log_row(charts(record, test), None)
        self.experiment.summary.update(headline(record))

    def finalize(self, status: str) -> None:
        self._try(super().finalize, status)

    def _try(self, call: Callable[..., Any], *values: Any, **named: Any) -> None:
        if self._lost:
            return
        try:
            call(*values, **named)
        except Exception as error:
            self._lost = True
            warn(f"W&B accepts no more data ({error}); the run continues without it")


def warn(message: str) -> None:
    """Print that W&B does less than asked."""
    print(f"WARNING: {message}", file=sys.stderr, flush=True)
