"""The work of a run: train, choose the best epoch on val, test once, measure the cost.

The results go to metrics.json.
"""

import dataclasses
import logging
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from omegaconf import DictConfig

from gffpn.build.detector import build_data, build_task
from gffpn.build.trainer import build_tester, build_trainer
from gffpn.callbacks.console import trained_minutes
from gffpn.callbacks.cpu_threads import cpu_threads
from gffpn.config.compose import image_size
from gffpn.cost import cost, fps
from gffpn.data.index import DataError, DataIndex
from gffpn.fold import inference_form
from gffpn.machine.processes import is_lead
from gffpn.machine.thread_choice import AT_START
from gffpn.runs import identity
from gffpn.runs.folder import RunFolder
from gffpn.suite import tracking
from gffpn.suite.tracking import build_loggers
from gffpn.task import DetectionTask

# for each trainer, Lightning logs hardware, tips and advertisements
logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
# about Lightning itself, or about the test, which is meant to run without the training callbacks
EXPECTED_WARNINGS = (
    r".*LeafSpec.*is deprecated",
    r"Be aware that when using `ckpt_path`, callbacks used to create the checkpoint",
    r".*does not have many workers which may be a bottleneck",
    r"Checkpoint directory .* exists and is not empty",
    r"The number of training batches .* is smaller than the logging interval",
    # losses and metrics are gathered over all processes before they are logged
    r"It is recommended to use `self.log\('(train|val|test)/.*sync_dist=True",
)
# in pixels of the network input; a box with a shorter side than this can hardly be learnt or found
TINY_SIDE = 2.0


def about(plain: Mapping[str, Any], index: DataIndex, start: Mapping[str, Any]) -> dict[str, Any]:
    """Return everything that a table row says about a run, except its figures."""
    return {
        **plain["choice"],
        "size": plain["size"]["name"],
        "seed": plain["seed"],
        "image_size": identity.image_size_word(plain["image_size"]),
        "precision": plain["trainer"]["precision"],
        "simulated": index.simulated,
        "settings": f"{plain['trainer']['max_epochs']} epochs, batch {plain['batch_size']}, "
        f"{plain['optim']['optimizer']} lr {plain['optim']['lr']}, {plain['choice']['head']} head",
        "images": {split: len(records) for split, records in index.splits.items()},
        "data_origin": index.origin,
        "data_fingerprint": index.fingerprint,
        **{key: start[key] for key in ("commit", "dirty", "python", "libraries", "code")},
    }


def fit_and_test(
    config: DictConfig, index: DataIndex, folder: RunFolder, *, group: str, resumes: bool = False
) -> dict[str, Any]:
    """Train, choose the best epoch on val, test it once, and measure the cost.

    If the run `resumes`, training continues from its last checkpoint, if there is one.

    Only the first process of a run returns figures; the others return an empty dict. Raises DataError if val
    has no objects by which to choose an epoch.
    """
    if not any(len(record.objects.boxes) for record in index.splits["val"]):
        raise DataError("the val split has no objects, so no epoch can be chosen by it")
    data = build_data(config, index)
    tiny = data.count_thinner(TINY_SIDE)
    if any(tiny.values()) and is_lead():
        print(f"Boxes with a side shorter than {TINY_SIDE:g} px at this image size: {tiny}", flush=True)
    # an earlier run of the sweep may have left another number
    torch.set_num_threads(config.trainer.threads or AT_START)
    task = build_task(config, data)
    loggers = build_loggers(config, folder, group=group)
    hush()
    try:
        trainer = build_trainer(config, folder, loggers)
        trainer.fit(task, data, ckpt_path=folder.last_checkpoint if resumes else None, weights_only=True)
        tester = build_tester(config, folder, loggers)
        best = folder.checkpoints / "best.ckpt"
        (figures,) = tester.test(task, data, ckpt_path=best, weights_only=True, verbose=False)
        if not is_lead():
            return {}
        torch.set_num_threads(cpu_threads(trainer).at_start)  # FPS must not depend on what else is running
        price = measure(config, task, tester.strategy.root_device)
        for logger in loggers:
            logger.log_metrics({f"model/{key}": value for key, value in price.items() if _is_number(value)})
            logger.save()  # after the test, no trainer makes the CSV logger write this row
    finally:
        tracking.finish()
    return {
        **{key: _as_json(key, value) for key, value in figures.items()},
        **price,
        "tiny_boxes": tiny,
        "processes": trainer.world_size,
        "minutes": trained_minutes(trainer),
    }


def hush() -> None:
    """Silence warnings about intended behaviour."""
    for message in EXPECTED_WARNINGS:
        warnings.filterwarnings("ignore", message)


def measure(config: DictConfig, task: DetectionTask, device: torch.device) -> dict[str, Any]:
    """Return parameters and GFLOPs as trained, the levels that the neck reads and returns, and the speed.

    FPS is measured in the detector's inference form, with norms folded: the same function, as it would be
    deployed.
    """
    size = image_size(config)
    price = dataclasses.asdict(cost(task.detector, size))
    del price["image_size"]  # `about` already has it, as configured
    # Lightning moves the detector to the CPU after the test, and decoding may use the head
    task.detector.to(device)
    speed = fps(
        inference_form(task.detector),
        lambda raw: task.decode(raw, size),
        size,
        device=device,
        channels_last=config.trainer.channels_last,
        budget_s=config.trainer.fps_seconds,
    )
    neck = task.detector.neck
    levels = {
        "reads": list(neck.in_strides),
        "gives": {level.stride: level.channels for level in neck.out_levels},
    }
    return {**price, **speed, "fps": speed["fps_end_to_end"], "fps_form": "inference form", **levels}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _as_json(key: str, value: float) -> float | int | None:
    """Undo the loggers' conversion to float: counts (`n_8_16`) become int, and NaN, for no objects, None."""
    if value != value:
        return None
    return int(value) if key.rpartition("/")[2].startswith("n_") else value
