"""Reader of the files that W&B writes offline.

A `run-<id>.wandb` file is a header of 7 bytes followed by LevelDB's log format: blocks of 32 KiB that contain
pieces, each with a head of 7 bytes (crc, length, kind) and a payload. The payloads join to protobuf messages.
"""

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wandb.proto import wandb_internal_pb2

HEADER = b":W&B"
HEADER_BYTES = 7
BLOCK = 32 * 1024
HEAD = struct.Struct("<IHB")
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


@dataclass
class OfflineRun:
    """The data that the attempts of one run logged to W&B."""

    run_id: str = ""
    name: str = ""
    entity: str = ""
    project: str = ""
    group: str = ""
    job_type: str = ""
    tags: tuple[str, ...] = ()
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    step_metrics: dict[str, str] = field(default_factory=dict)
    """The metric on the x axis of each metric or pattern of metrics."""
    appends: list[bool] = field(default_factory=list)
    """Whether `wandb sync` appends an attempt's rows to those of the same W&B run, or starts at row 0."""
    exits: list[int] = field(default_factory=list)
    """Exit code of each attempt that was not killed."""


@dataclass(frozen=True)
class Keys:
    """Names in an offline run, except for W&B's own, which begin with an underscore."""

    config: frozenset[str]
    """Names at every level: `optim` and `optim.lr`."""
    history: frozenset[str]
    summary: frozenset[str]
    boxed_images: frozenset[str]
    """The history keys of images with boxes."""
    group: str
    tags: tuple[str, ...]
    run_id: str


def attempts(folder: Path) -> list[Path]:
    """Return W&B's folders below a run's folder, one per attempt, in order."""
    return sorted(folder.glob("wandb/wandb/offline-run-*"))


def keys(folder: Path) -> Keys:
    """Return the names in the offline files of all attempts in a run's folder (the one with config.yaml).

    Raises FileNotFoundError if W&B wrote nothing there.
    """
    files = [file for attempt in attempts(folder) for file in attempt.glob("run-*.wandb")]
    if not files:
        raise FileNotFoundError(f"no offline run in {folder}/wandb/wandb")
    run = read_offline(*files)
    logged = {key: value for row in run.history for key, value in row.items()}
    boxed = (key for key, value in logged.items() if isinstance(value, dict) and value.get("all_boxes"))
    return Keys(
        config=frozenset(_dotted(_own(run.config))),
        history=frozenset(_own(logged)),
        summary=frozenset(_own(run.summary)),
        boxed_images=frozenset(boxed),
        group=run.group,
        tags=run.tags,
        run_id=run.run_id,
    )


def read_offline(*paths: Path) -> OfflineRun:
    """Read a run from its offline files, one per attempt, in order."""
    run = OfflineRun()
    for path in paths:
        for data in messages(path.read_bytes()):
            _take(wandb_internal_pb2.Record.FromString(data), run)
    return run


def messages(data: bytes) -> Iterator[bytes]:
    """Yield the messages of a file as far as they were written; the file of an active run has no end.

    Raises ValueError for a file of another kind.
    """
    if not data.startswith(HEADER):
        raise ValueError(f"got a file that starts with {data[:HEADER_BYTES]!r}, expected {HEADER!r}")
    position, message = HEADER_BYTES, b""
    while position + HEAD.size <= len(data):
        left_in_block = BLOCK - position % BLOCK
        if left_in_block < HEAD.size:  # too short for a head, so filled with zeros
            position += left_in_block
            continue
        _, length, kind = HEAD.unpack_from(data, position)
        start, position = position + HEAD.size, position + HEAD.size + length
        if position > len(data):
            return
        message = data[start:position] if kind in (FULL, FIRST) else message + data[start:position]
        if kind in (FULL, LAST):
            yield message


def _take(record: Any, run: OfflineRun) -> None:
    kind = record.WhichOneof("record_type")
    if kind == "run":
        logged = record.run
        run.run_id, run.name, run.project = logged.run_id, logged.display_name, logged.project
        run.entity, run.group, run.job_type = logged.entity, logged.run_group, logged.job_type
        run.tags = tuple(logged.tags)
        run.appends.append(logged.resume)
        _set_all(run.config, logged.config.update)
    elif kind == "config":
        _set_all(run.config, record.config.update)
    elif kind == "history":
        run.history.append({})
        _set_all(run.history[-1], record.history.item)
    elif kind == "summary":
        _set_all(run.summary, record.summary.update)
    elif kind == "metric":
        run.step_metrics[record.metric.name or record.metric.glob_name] = record.metric.step_metric
    elif kind == "exit":
        run.exits.append(record.exit.exit_code)


def _set_all(values: dict[str, Any], items: Any) -> None:
    """Set values, which are JSON; a nested key is a path into nested dicts."""
    for item in items:
        *parents, last = list(item.nested_key) or [item.key]
        node = values
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = json.loads(item.value_json)


def _own(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if not key.startswith("_")}


def _dotted(values: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in values.items():
        yield prefix + key
        if isinstance(value, dict):
            yield from _dotted(value, f"{prefix}{key}.")
