"""The epochs of a run that has a budget of minutes, by its speed, which is measured once per machine."""

import hashlib
import io
import json
import math
import time
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import lightning as L
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from lightning.pytorch.callbacks import Callback
from omegaconf import DictConfig, OmegaConf

from gffpn.build.detector import build_data, build_task
from gffpn.build.index import build_index
from gffpn.build.trainer import build_tester, build_trainer
from gffpn.callbacks.finite import LossNotFiniteError
from gffpn.config.compose import targets
from gffpn.config.resolve import processes_of, resolved
from gffpn.data.index import DataIndex
from gffpn.files.sources import code_digest
from gffpn.files.typed_json import from_json
from gffpn.files.writing import alone, write_atomically
from gffpn.machine.cores import usable_cores
from gffpn.machine.devices import device, device_name, synchronizer
from gffpn.machine.others import Neighbours
from gffpn.runs.code import code_of
from gffpn.runs.folder import RunFolder
from gffpn.runs.identity import determining
from gffpn.runs.reading import without_epochs
from gffpn.suite.fit import hush
from gffpn.suite.output import without_log

WARM_UP = 3
"""Training steps that are not timed: they prepare kernels and memory."""
LEAST_STEPS, MEASURED_S = 5, 8.0
"""Training steps and seconds that are timed at least."""
LONGEST_S = 30.0
"""Seconds after which fewer suffice, as validations between the steps of a small set also take time."""
TESTED_IMAGES = 64
"""Number of images of val on which evaluations are timed, rounded up to whole batches."""
VALIDATIONS = 40
"""Largest number of validations in a run."""
NO_END = 1_000_000
"""Number of epochs of a training that is stopped when it has been timed."""
WITHOUT_COST = ("seed", "optim", "init", "objective", "rerun")
"""Settings that do not change the time of an epoch: runs that differ in nothing else get equal epochs."""


@dataclass(frozen=True)
class Pace:
    """Time that a run takes on this machine, in seconds."""

    step: float
    """A training step."""
    validation: float
    """A validation while training, with its checkpoints."""
    image: float
    """Evaluation of an image at the end, in fp32."""
    steps: int
    """Training steps per epoch."""
    batch: int
    """Training images per step."""
    val: int
    """Images of val that are evaluated."""
    test: int
    """Images of test that are evaluated."""
    others: float = 0.0
    """Share of the cores that other processes took during the measurement, while none was free."""

    def schedule(self, minutes: float, *, fps_seconds: float) -> tuple[int, int]:
        """Return the number of epochs that fit into a time, and the number from one validation to the next.

        The time includes the validations, the test and the measurement of FPS. The first number is a multiple
        of the second. Raises ValueError if less than one epoch fits.
        """
        left = 60 * minutes - (self.val + self.test) * self.image - fps_seconds
        epoch, validation = self.steps * self.step, self.validation
        if left < epoch + validation:
            need = (60 * minutes - left + epoch + validation) / 60
            raise ValueError(
                f"trainer.minutes: got {minutes:g}, expected {need:.1f} or more for one epoch and the test; "
                "a smaller image_size or size is faster"
            )
        interval = 1
        while left / (epoch + validation / interval) / interval > VALIDATIONS:
            interval += 1
        rounds = left / (epoch + validation / interval) / interval
        return (round(rounds) if rounds > 10 else int(rounds)) * interval, interval


def within_budget(plain: Mapping[str, Any], index: DataIndex) -> dict[str, Any]:
    """Return a resolved configuration with the epochs that its budget allows; unchanged without one.

    The speed is measured by training for some seconds, unless it is remembered below `paths.cache`. Raises
    ValueError for a budget of less than one epoch, and for a run of several processes.
    """
    trainer = plain["trainer"]
    if trainer["minutes"] is None or trainer["max_epochs"] is not None:
        return dict(plain)
    if (earlier := _of_earlier(plain, index)) is not None:
        path, known = earlier
        found = f"{known['max_epochs']} epochs, as in {path}"
        print(f"Budget of {trainer['minutes']:g} minutes: {found}", flush=True)
        return {**plain, "trainer": {**trainer, **known}}
    epochs, interval, words = _schedule(plain, index)
    print(words, flush=True)
    return {**plain, "trainer": {**trainer, "max_epochs": epochs, "check_val_every_n_epoch": interval}}


def _of_earlier(plain: Mapping[str, Any], index: DataIndex) -> tuple[Path, dict[str, int]] | None:
    """Return an earlier run with the same budget and its epochs, if its pace is forgotten, else None.

    So an interrupted run continues, a finished one is found, and further seeds get as many epochs, after the
    cache was deleted.
    """
    if _file(plain, index).exists():
        return None
    asked = _costly(without_epochs(plain))
    for path in sorted(Path(plain["paths"]["runs"]).glob("*/start.json")):
        folder = RunFolder(path.parent)
        try:
            start, config = folder.read_start(), folder.read_config()
        except ValueError:  # another run's file is damaged, which is no concern of this one
            continue
        known = config.get("trainer", {})
        if known.get("minutes") != plain["trainer"]["minutes"] or start is None:
            continue
        if start.data == index.fingerprint and _costly(without_epochs(config)) == asked:
            return folder.path, {key: known[key] for key in ("max_epochs", "check_val_every_n_epoch")}
    return None


def measure_paces(jobs: Sequence[DictConfig]) -> None:
    """Measure the pace of each job of a sweep that has a budget, while no other job runs.

    One that cannot be measured, for instance for lack of memory, is left to its job. Raises ValueError for a
    budget of less than one epoch.
    """
    sweep = HydraConfig.instance().cfg
    try:
        for job in jobs:
            if job.trainer.minutes is not None:
                HydraConfig.instance().set_config(job)
                # what only a constructor or a training step refuses fails its own job
                with without_log(), suppress(InstantiationException, RuntimeError, LossNotFiniteError):
                    plain, index = resolved(job), build_index(job)
                    if _of_earlier(plain, index) is None:
                        _schedule(plain, index)
    finally:
        HydraConfig.instance().cfg = sweep


def _schedule(plain: Mapping[str, Any], index: DataIndex) -> tuple[int, int, str]:
    """Return a run's number of epochs, the number from one validation to the next, and both in words."""
    if processes_of(plain) > 1:
        raise ValueError(
            "trainer.minutes: a run of several processes has none; set budget=null and trainer.max_epochs=N"
        )
    trainer, pace = plain["trainer"], _remembered(plain, index)
    epochs, interval = pace.schedule(trainer["minutes"], fps_seconds=trainer["fps_seconds"])
    validated = f", one in {interval} validated" if interval > 1 else ""
    rate = f"{pace.batch / pace.step:.1f} images/s"
    words = f"Budget of {trainer['minutes']:g} minutes at {rate}: {epochs} epochs{validated}"
    if pace.others:
        words += (
            f"\nWARNING: other processes took {pace.others:.0%} of the cores while this speed was measured, "
            "so there may be too few epochs. To measure again when they have ended, delete "
            f"{_file(plain, index)} and the runs that have these epochs"
        )
    return epochs, interval, words


def _remembered(plain: Mapping[str, Any], index: DataIndex) -> Pace:
    """Return the pace of a run as it was measured on this machine, or measure it."""
    file = _file(plain, index)
    with alone(file.parent / ".lock", waits_for="another measurement of the speed"):
        try:
            return from_json(Pace, json.loads(file.read_text(encoding="utf-8")))
        except (OSError, ValueError):  # missing or damaged
            print("Measuring the training speed, from which the epochs follow", flush=True)
        pace = _measure(OmegaConf.create(dict(plain)), index)
        write_atomically(file, json.dumps(asdict(pace)))
    return pace


def _file(plain: Mapping[str, Any], index: DataIndex) -> Path:
    return Path(plain["paths"]["cache"]) / "pace" / f"{_digest(plain, index)}.json"


def _digest(plain: Mapping[str, Any], index: DataIndex) -> str:
    """Return a digest of all that determines the pace of a run, its code and this machine included."""
    costly = _costly(determining(plain))
    code = code_digest(code_of(targets(plain), Path(plain["paths"]["cache"])))
    where = device(plain["trainer"]["accelerator"])
    machine = [device_name(where), str(where), _threads(plain), torch.__version__, code]
    text = json.dumps([costly, plain["loader"], index.fingerprint, machine], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _costly(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key not in WITHOUT_COST}


def _threads(plain: Mapping[str, Any]) -> int:
    """Return the number of threads of a run that has the machine to itself.

    Not torch's own number: a process of a sweep that trains several runs at a time has fewer.
    """
    return int(plain["trainer"]["threads"] or usable_cores())


def _measure(config: DictConfig, index: DataIndex) -> Pace:
    """Train and evaluate for some seconds, and return how long it takes."""
    used = torch.get_num_threads()
    config.trainer.max_epochs, config.trainer.check_val_every_n_epoch = NO_END, 1
    data = build_data(config, index)
    task = build_task(config, data)
    watch, neighbours = _StopWatch(device(config.trainer.accelerator)), Neighbours()
    hush()
    torch.set_num_threads(_threads(config))
    try:
        data.prepare_data()
        data.setup()
        val, test = len(data.evaluated("val")), len(data.evaluated("test"))
        data.limit_eval_batches = math.ceil(min(val, TESTED_IMAGES) / config.batch_size)
        timed = len(data.evaluated("val"))
        with TemporaryDirectory() as folder, redirect_stdout(io.StringIO()):
            trainer = build_trainer(config, RunFolder(Path(folder)), [])
            trainer.callbacks.append(watch)  # type: ignore[attr-defined]
            trainer.fit(task, data)
        tester = build_tester(config, None, [])
        start = time.perf_counter()
        tester.validate(task, data, verbose=False)
        image = (time.perf_counter() - start) / timed
        others = neighbours.share()
    except SystemExit:  # Lightning turns Ctrl-C into SystemExit
        raise KeyboardInterrupt from None
    finally:
        torch.set_num_threads(used)
    steps = int(trainer.num_training_batches)
    images = min(config.batch_size, len(index.splits["train"]))
    return Pace(watch.step, watch.validation * val / timed, image, steps, images, val, test, others)


class _StopWatch(Callback):
    """Callback that times training steps and a validation, and ends the training after enough of them."""

    def __init__(self, where: torch.device) -> None:
        self._wait = synchronizer(where)
        self._began = time.perf_counter()
        self._last = 0.0
        self._steps = -WARM_UP
        self._seconds = 0.0
        self.validation = math.nan
        """Seconds of the last validation, with the checkpoints that follow it."""

    @property
    def step(self) -> float:
        """Seconds per step."""
        return self._seconds / self._steps

    def _lap(self) -> float:
        """Return the seconds since the last call."""
        self._wait()
        before, self._last = self._last, time.perf_counter()
        return self._last - before

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._lap()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        seconds = self._lap()
        self._steps += 1
        self._seconds += seconds if self._steps > 0 else 0.0
        enough = self._seconds > MEASURED_S or time.perf_counter() - self._began > LONGEST_S
        trainer.should_stop = self._steps >= LEAST_STEPS and enough

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.validation = self._lap()
