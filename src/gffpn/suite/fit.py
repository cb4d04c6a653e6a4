"""The work of a run: train, choose the best epoch on val, evaluate it once, measure the cost.

The results go to predictions.npz and metrics.json.
"""

import logging
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig

from gffpn.build.detector import build_data, build_task
from gffpn.build.trainer import build_trainer
from gffpn.callbacks.console import training_time
from gffpn.callbacks.cpu_threads import cpu_threads
from gffpn.config.compose import image_size
from gffpn.config.resolve import resolved
from gffpn.cost import cost, speed
from gffpn.data.datamodule import DetectionData
from gffpn.data.index import DataIndex
from gffpn.figures import Speed
from gffpn.fold import inference_form
from gffpn.machine.memory import keep_freed_memory
from gffpn.machine.others import Neighbours
from gffpn.machine.processes import is_lead
from gffpn.machine.thread_choice import AT_START
from gffpn.metrics.evaluated import MAX_DETECTIONS
from gffpn.metrics.matching import SIZE_EDGES
from gffpn.runs.folder import RunFolder
from gffpn.runs.predictions import Predictions, write_predictions
from gffpn.runs.provenance import Provenance
from gffpn.runs.reading import curves, still_improving
from gffpn.runs.record import SHARING_LAUNCHERS, Choice, DataFacts, Record, Settings, Training
from gffpn.runs.verify import results
from gffpn.suite import tracking
from gffpn.suite.evaluate import evaluate
from gffpn.suite.tracker import Tracker
from gffpn.suite.tracking import build_loggers
from gffpn.task import DetectionTask

# for each trainer, Lightning logs hardware, tips and advertisements
logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
# about Lightning itself, or about the test, which is meant to run without the training callbacks
EXPECTED_WARNINGS = (
    r".*LeafSpec.*is deprecated",
    r"Be aware that when using `ckpt_path`, callbacks used to create the checkpoint",
    r".*does not have many workers which may be a bottleneck",
    r"The `srun` command is available on your system but is not used",
    r"Checkpoint directory .* exists and is not empty",
    r"The number of training batches .* is smaller than the logging interval",
    # losses and metrics are gathered over all processes before they are logged
    r"It is recommended to use `self.log\('(train|val|test)/.*sync_dist=True",
)
# in pixels of the network input; a box with a shorter side than this can hardly be learnt or found
TINY_SIDE = 2.0


def fit_and_test(
    config: DictConfig,
    index: DataIndex,
    folder: RunFolder,
    *,
    group: str,
    origin: Provenance,
    resumes: bool = False,
) -> Record | None:
    """Train, choose the best epoch on val, evaluate it once, write its predictions, and measure the cost.

    If the run `resumes`, training continues from its last checkpoint, if there is one. Only the first process
    of a run returns its record; the others return None.
    """
    data = build_data(config, index)
    tiny = data.count_thinner(TINY_SIDE)
    if any(tiny.values()) and is_lead():
        found = ", ".join(f"{count:,} in {split}" for split, count in tiny.items() if count)
        print(f"Boxes with a side shorter than {TINY_SIDE:g} px at this image size: {found}", flush=True)
    # an earlier run of the sweep may have left another number
    torch.set_num_threads(config.trainer.threads or AT_START)
    last = folder.last_checkpoint if resumes else None
    task = build_task(config, data, from_scratch=last is None)
    loggers = build_loggers(config, folder, group=group)
    hush()
    try:
        trainer = build_trainer(config, folder, loggers)
        trainer.fit(task, data, ckpt_path=last, weights_only=True)
        splits = evaluate(config, task, data, folder, loggers)
        if not is_lead():
            return None
        write_predictions(folder.predictions, splits)
        threads = cpu_threads(trainer)
        time = training_time(trainer)
        training = Training(
            processes=trainer.world_size,
            threads=tuple(threads.used),
            devices=tuple(threads.devices),
            minutes=time.minutes,
            minutes_others=time.others,
            chosen_epoch=task.chosen_epoch,
            trained_epochs=trainer.current_epoch,
            still_improving=still_improving([value for _, value in curves(folder.path).get("val/mAP50", [])]),
        )
        torch.set_num_threads(threads.at_start)  # FPS must not depend on what else is running
        # beside other runs, it would be theirs as well: suite/speeds.py measures it when they have ended
        alone = config.choice.launcher not in SHARING_LAUNCHERS
        record = Record(
            **asked(config),
            **computed(splits),
            **costs(config, task),
            speed=measure_speed(config, task, data, trainer.strategy.root_device) if alone else None,
            data=data_facts(index, tiny),
            provenance=origin,
            training=training,
        )
        log_results(loggers, record, splits["test"])
    finally:
        tracking.finish()
    return record


def asked(config: DictConfig) -> dict[str, Any]:
    """Return the record's fields that the configuration determines."""
    plain = resolved(config)
    trainer, optim = plain["trainer"], plain["optim"]
    return {
        "choice": Choice(**plain["choice"]),
        "size": plain["size"]["name"],
        "seed": plain["seed"],
        "image_size": image_size(config),
        "settings": Settings(
            epochs=trainer["max_epochs"],
            batch_size=plain["batch_size"],
            optimizer=optim["optimizer"],
            lr=float(optim["lr"]),
            precision=str(trainer["precision"]),
            accumulate_grad_batches=trainer["accumulate_grad_batches"],
        ),
    }


def computed(splits: Mapping[str, Predictions]) -> dict[str, Any]:
    """Return the record's fields that follow from the predictions."""
    figures, point = results(splits)
    return {
        "size_edges": SIZE_EDGES,
        "max_detections": MAX_DETECTIONS,
        "test": figures["test"],
        "val": figures["val"],
        "operating_point": point,
    }


def data_facts(index: DataIndex, tiny_boxes: dict[str, int]) -> DataFacts:
    """Return the record's facts about the data set."""
    return DataFacts(
        fingerprint=index.fingerprint,
        origin=index.origin,
        simulated=index.simulated,
        classes=tuple(index.classes),
        images={split: len(records) for split, records in index.splits.items()},
        objects={
            split: sum(len(one.objects.labels) for one in records) for split, records in index.splits.items()
        },
        tiny_boxes=tiny_boxes,
    )


def hush() -> None:
    """Silence warnings about intended behaviour."""
    for message in EXPECTED_WARNINGS:
        warnings.filterwarnings("ignore", message)


def costs(config: DictConfig, task: DetectionTask) -> dict[str, Any]:
    """Return the record's fields of cost, and the levels that the neck reads and returns.

    Parameters and GFLOPs are those of the detector as trained.
    """
    neck = task.detector.neck
    return {
        "cost": cost(task.detector, image_size(config)),
        "reads": tuple(neck.in_strides),
        "gives": tuple((level.stride, level.channels) for level in neck.out_levels),
    }


def measure_speed(
    config: DictConfig, task: DetectionTask, data: DetectionData, device: torch.device
) -> Speed:
    """Return the speed of the detector's inference form, with norms folded, on images of the test split.

    It is the same function as the detector, as it would be deployed. The test split must be open. On a CPU,
    memory is kept as in training, so that a run is timed alike after its training and after its sweep.
    """
    if device.type == "cpu":
        keep_freed_memory()
    size = image_size(config)
    # Lightning moves the detector to the CPU after the test, and decoding may use the head
    task.detector.to(device)
    neighbours = Neighbours()
    taken = speed(
        inference_form(task.detector),
        lambda raw: task.decode(raw, size),
        data.sample("test"),
        device=device,
        channels_last=config.trainer.channels_last,
        budget_s=config.trainer.fps_seconds,
    )
    others = neighbours.share()
    if others:
        words = f"other processes took {others:.0%} of the cores while FPS were measured; they may be too low"
        print(f"WARNING: {words}", file=sys.stderr, flush=True)
    return replace(taken, others=others)


def log_results(loggers: Sequence[Logger], record: Record, test: Predictions | None) -> None:
    """Log cost, speed and operating point as the last row of each logger, and let W&B show the test.

    Without the predictions, W&B shows no charts of it.
    """
    point = record.operating_point.columns() if record.operating_point else {}
    columns = point | {f"model/{name}": value for name, value in record.model_columns().items()}
    numbers = {name: value for name, value in columns.items() if type(value) in (int, float)}
    for logger in loggers:
        logger.log_metrics(numbers)
        logger.save()  # after the test, no trainer makes the CSV logger write this row
        if isinstance(logger, Tracker):
            logger.show_results(record, test)
