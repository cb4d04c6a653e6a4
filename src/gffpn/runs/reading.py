"""Reading of finished runs and training curves from a folder of runs, as plain values and without torch."""

import csv
import hashlib
import json
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from gffpn.runs.folder import RunFolder
from gffpn.runs.identity import EPOCHS, determining
from gffpn.runs.record import Record

_log = logging.getLogger(__name__)
Curves = dict[str, list[tuple[int, float]]]

# not curves over epochs: logged once, at epoch 0 of a separate trainer
_ONCE = ("test/", "model/")
POINT = 0.01
"""One point of average precision."""


class FinishedRow(NamedTuple):
    """One finished run."""

    run: str
    """The folder's name."""
    arm: str
    """Six hex digits that are equal for runs that differ only in their seed."""
    record: Record


def finished_runs(runs: Path) -> list[FinishedRow]:
    """Return the finished runs below `runs`, sorted by name; none for a missing folder.

    One whose configuration is damaged is left out, with a warning.
    """
    found = []
    for folder in sorted(path.parent for path in runs.glob("*/metrics.json")):
        if record := RunFolder(folder).read():
            try:
                arm = arm_of(folder, record.training.processes, data=record.data.fingerprint)
            except ValueError as error:
                _log.warning("left out: %s", error)
            else:
                found.append(FinishedRow(folder.name, arm, record))
    return found


def arm_of(run: Path, processes: int, *, data: str = "") -> str:
    """Return six hex digits of a hash of a run's configuration without its seed.

    `data` is the fingerprint of its data, which runs of several data sets need: no setting covers it.
    """
    config = determining(RunFolder(run).read_config())
    config.pop("seed", None)
    if data:
        config["fingerprint"] = data
    if processes > 1:  # part of a run's name, see `run_name`
        config["processes"] = processes
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:6]


def other_versions(runs: Path) -> list[str]:
    """Return one line for each metrics.json below `runs` that another version of gffpn wrote."""
    found = (RunFolder(path.parent).other_version() for path in sorted(runs.glob("*/metrics.json")))
    return [str(error) for error in found if error]


def curves(run: Path) -> Curves:
    """Return, by name, the values that a run logged: (epoch, value) in order of epochs, which start at 0.

    An interrupted run leaves one `logs/attempt_N/metrics.csv` per attempt; if two contain the same epoch, the
    later attempt counts. NaN is kept: it means a loss that diverged, or an average precision without objects.
    A last row that a kill left incomplete is left out. Raises ValueError, with the file's name, if another
    row is damaged.
    """
    merged: dict[str, dict[int, float]] = {}
    for rows in _attempts(run):
        for row in rows:
            for name, value in row.items():
                if "epoch" in row and name not in ("epoch", "step") and not name.startswith(_ONCE):
                    merged.setdefault(name, {})[int(row["epoch"])] = value
    return {name: sorted(values.items()) for name, values in sorted(merged.items())}


def logged_rows(run: Path) -> list[tuple[int | None, dict[str, float]]]:
    """Return the rows that a run logged, in order: (training step, values by name).

    The step is None for a row that was logged without one. Epochs that a later attempt repeated are left out.
    """
    kept: list[dict[str, float]] = []
    for rows in _attempts(run):
        first = min((row["epoch"] for row in rows if _is_training(row)), default=float("inf"))
        kept = [row for row in kept if not _is_training(row) or row["epoch"] < first] + rows
    # in a row without an epoch, the CSV logger numbers the step itself
    steps = [int(row.pop("step")) if "epoch" in row and "step" in row else None for row in kept]
    return [
        (step, {name: value for name, value in row.items() if name != "step"})
        for step, row in zip(steps, kept, strict=True)
    ]


def of_other_epochs(run: Path, config: Mapping[str, Any], data_fingerprint: str) -> list[tuple[int, Path]]:
    """Return (number of epochs, folder) of finished runs that differ from a run in nothing else, sorted.

    Only folders are looked at whose name differs from that of `run` in its hash alone.
    """
    asked = without_epochs(config)
    found: list[tuple[int, Path]] = []
    for path in run.parent.glob(f"{run.name.rpartition('_')[0]}_*/metrics.json"):
        start = RunFolder(path.parent).read_start()
        if start is not None and start.data == data_fingerprint:
            with suppress(ValueError, KeyError):  # damaged, which is no concern of this run
                other = RunFolder(path.parent).read_config()
                if without_epochs(other) == asked:
                    found.append((other["trainer"]["max_epochs"], path.parent))
    return sorted(found)


def without_epochs(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what determines the result of a configuration, without its numbers of epochs."""
    kept = determining(config)
    for key in EPOCHS:
        kept["trainer"].pop(key.partition(".")[2])
    return kept


def still_improving(values: Sequence[float]) -> bool:
    """Return whether val mAP50, one value per epoch, rose by over 1 point in the last fifth of the epochs.

    The rise is that of the best value so far; before the first epoch it is 0.
    """
    before = values[: len(values) - math.ceil(len(values) / 5)]
    return _best(values) - _best(before) > POINT


def _best(values: Sequence[float]) -> float:
    return max((value for value in values if value == value), default=0.0)


def _attempts(run: Path) -> Iterator[list[dict[str, float]]]:
    """Yield the rows of each attempt's metrics.csv, in order; a row lacks the columns that it did not log."""
    paths = run.glob("logs/attempt_*/metrics.csv")
    for path in sorted(paths, key=lambda path: int(path.parent.name.removeprefix("attempt_"))):
        with path.open(encoding="utf-8", newline="", errors="replace") as file:
            yield list(_numbers(path, list(csv.DictReader(file))))


def _numbers(path: Path, rows: Sequence[Mapping[str, str]]) -> Iterator[dict[str, float]]:
    """Yield the values of each row; a killed process may leave a last one that ends within a value."""
    for number, row in enumerate(rows, start=1):
        try:
            values = {name: float(value) for name, value in row.items() if value}
            if "epoch" in values:
                int(values["epoch"])
        except (ValueError, TypeError, OverflowError) as error:
            if number < len(rows):
                fault = f"{path}: damaged: row {number}: {error}"
                raise ValueError(f"{fault}; remove that row, or the file: only curves need it") from error
        else:
            yield values


def _is_training(row: dict[str, float]) -> bool:
    return "epoch" in row and not any(name.startswith(_ONCE) for name in row)
