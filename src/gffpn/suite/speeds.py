"""Speed of finished runs that had to share the machine, measured when no other run of the sweep is left."""

import io
import json
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from gffpn.build.detector import build_data, build_task
from gffpn.build.index import build_index, index_key
from gffpn.data.datamodule import DetectionData
from gffpn.data.index import DataError, DataIndex
from gffpn.figures import Speed
from gffpn.machine.devices import device
from gffpn.machine.thread_choice import AT_START
from gffpn.runs.folder import RunFolder
from gffpn.runs.identity import determining
from gffpn.runs.record import VERSION, Record, write_record
from gffpn.suite import tracking
from gffpn.suite.fit import log_results, measure_speed
from gffpn.suite.output import without_log
from gffpn.suite.tracking import build_loggers
from gffpn.weights import load_torch


@dataclass
class _Arm:
    """Runs that differ only in their seed, and the function that composes the configuration of the first."""

    compose: Callable[[], DictConfig]
    runs: list[RunFolder] = field(default_factory=list)


def time_runs(
    runs: Sequence[tuple[RunFolder, Callable[[], DictConfig]]], *, group: str | None = None
) -> None:
    """Measure and record the speed of each finished run that has none, one network after another.

    It is also added to metrics.csv and to the W&B run, which is in `group`, or in one named after the run.

    Each run comes with the function that composes its configuration. Runs that differ only in their seed have
    equal networks: the first of them is timed, and its speed is recorded for all of them, with its name. If a
    speed cannot be measured, a line says why, and the record remains without it.
    """
    waiting = [(run, compose) for run, compose in runs if (record := run.read()) and record.speed is None]
    arms: dict[str, _Arm] = {}
    for run, compose in waiting:
        try:
            arms.setdefault(_arm_of(run), _Arm(compose)).runs.append(run)
        except (ValueError, KeyError, OSError) as error:
            print(f"WARNING: no FPS of {run.path}: {error}", file=sys.stderr, flush=True)
    if not arms:
        return
    networks = f"{len(arms)} network{'s' if len(arms) > 1 else ''}"
    print(f"Measuring the FPS of {networks} while no other run uses the machine", flush=True)
    indices: dict[str, DataIndex] = {}
    before = torch.get_num_threads()
    try:
        for arm in arms.values():
            try:
                _time(arm, indices, group)
            except (ValueError, OSError, RuntimeError) as error:
                print(f"WARNING: no FPS of {arm.runs[0].path}: {error}", file=sys.stderr, flush=True)
    finally:
        torch.set_num_threads(before)


def _arm_of(run: RunFolder) -> str:
    """Return what runs with equal networks, data and way of timing have in common."""
    config, start = run.read_config(), run.read_start()
    return json.dumps(
        [_arm_settings(config), config["trainer"]["threads"], start and start.data], sort_keys=True
    )


def _arm_settings(config: dict[str, Any]) -> dict[str, Any]:
    kept = determining(config)
    kept.pop("seed")
    return kept


def _time(arm: _Arm, indices: dict[str, DataIndex], group: str | None) -> None:
    """Time the first run of an arm, and write the speed into the records of all."""
    config = arm.compose()
    key = index_key(config)
    if key not in indices:
        with without_log():
            indices[key] = build_index(config)
    first = arm.runs[0]
    taken = replace(_measured(config, indices[key], first), timed_run=first.path.name)
    timed = [(run, replace(record, speed=taken)) for run in arm.runs if (record := run.read())]
    for run, record in timed:
        write_record(run.metrics, replace(record, version=VERSION))
    for run, record in timed:
        _log(run, record, config.logger, group or run.path.name)


def _log(run: RunFolder, record: Record, settings: DictConfig, group: str) -> None:
    """Add the last row of a run once more, now with its speed, to its logs and its W&B run."""
    try:
        config = OmegaConf.create({**run.read_config(), "logger": settings})
        with redirect_stdout(io.StringIO()):  # W&B's line was printed when the run was trained
            log_results(build_loggers(config, run, group=group), record, None)
    except (OSError, ValueError) as error:
        words = f"the FPS of {run.path} are in its metrics.json, but not in its logs: {error}"
        print(f"WARNING: {words}", file=sys.stderr, flush=True)
    finally:
        tracking.finish()


def _measured(config: DictConfig, index: DataIndex, run: RunFolder) -> Speed:
    """Return the speed of a run's tested network, with the threads of a run that is alone."""
    record = run.read()
    assert isinstance(record, Record)
    if index.fingerprint != record.data.fingerprint:
        raise DataError("the data changed since this run was trained")
    torch.set_num_threads(config.trainer.threads or AT_START)
    data: DetectionData = build_data(config, index)
    data.setup("test")
    task = build_task(config, data)
    task.load_state_dict(load_torch(run.checkpoints / "best.ckpt")["state_dict"])
    return measure_speed(config, task, data, device(config.trainer.accelerator))
