"""Reading of finished runs and training curves from a folder of runs, as plain values and without torch."""

import csv
import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import yaml

from gffpn.runs.folder import RunFolder
from gffpn.runs.identity import determining
from gffpn.runs.record import Record

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
    """Return the finished runs below `runs`, sorted by name; none for a missing folder."""
    folders = [path.parent for path in sorted(runs.glob("*/metrics.json"))]
    records = [(folder, RunFolder(folder).read()) for folder in folders]
    return [FinishedRow(folder.name, _arm(folder), record) for folder, record in records if record]


def unfinished_runs(runs: Path) -> list[str]:
    """Return the sorted folder names of the runs below `runs` without a readable metrics.json."""
    folders = {path.parent for path in runs.glob("*/config.yaml")}
    return sorted(folder.name for folder in folders if RunFolder(folder).read() is None)


def other_versions(runs: Path) -> list[str]:
    """Return one line for each metrics.json below `runs` that another version of gffpn wrote."""
    found = (RunFolder(path.parent).other_version() for path in sorted(runs.glob("*/metrics.json")))
    return [str(error) for error in found if error]


def curves(run: Path) -> Curves:
    """Return, by name, the values that a run logged: (epoch, value) in order of epochs, which start at 0.

    An interrupted run leaves one `logs/attempt_N/metrics.csv` per attempt; if two contain the same epoch, the
    later attempt counts. NaN is kept: it means a loss that diverged, or an average precision without objects.
    """
    merged: dict[str, dict[int, float]] = {}
    for path in sorted(run.glob("logs/attempt_*/metrics.csv"), key=_attempt):
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                # a killed process may leave a last line that lacks some columns
                logged = {name: value for name, value in row.items() if value}
                epoch = logged.pop("epoch", None)
                if epoch is None:
                    continue
                for name, value in logged.items():
                    if name != "step" and not name.startswith(_ONCE):
                        merged.setdefault(name, {})[int(epoch)] = float(value)
    return {name: sorted(values.items()) for name, values in sorted(merged.items())}


def still_improving(values: Sequence[float]) -> bool:
    """Return whether val mAP50, one value per epoch, rose by over 1 point in the last fifth of the epochs.

    The rise is that of the best value so far; before the first epoch it is 0.
    """
    before = values[: len(values) - math.ceil(len(values) / 5)]
    return _best(values) - _best(before) > POINT


def _best(values: Sequence[float]) -> float:
    return max((value for value in values if value == value), default=0.0)


def _arm(run: Path) -> str:
    config = determining(yaml.safe_load((run / "config.yaml").read_text()))
    del config["seed"]
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:6]


def _attempt(path: Path) -> int:
    return int(path.parent.name.removeprefix("attempt_"))
