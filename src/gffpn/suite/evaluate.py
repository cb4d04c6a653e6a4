"""The final evaluation of a run: val and test with the weights of the best epoch, in fp32."""

from collections.abc import Sequence

import numpy as np
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig

from gffpn.build.trainer import build_tester
from gffpn.data.datamodule import DetectionData
from gffpn.data.index import DataIndex
from gffpn.machine.devices import without_tf32
from gffpn.metrics.evaluated import Evaluated
from gffpn.runs.folder import RunFolder
from gffpn.runs.predictions import SPLITS, Predictions
from gffpn.task import DetectionTask


def evaluate(
    config: DictConfig, task: DetectionTask, data: DetectionData, folder: RunFolder, loggers: Sequence[Logger]
) -> dict[str, Predictions]:
    """Evaluate `best.ckpt` on val and test in fp32, whatever the precision of the training.

    Returns the detections and the truth of each split, in every process those of all. Only test is logged,
    because val would look like another epoch.
    """
    task.float()
    best = folder.checkpoints / "best.ckpt"
    with without_tf32():
        validator, tester = build_tester(config, None, []), build_tester(config, folder, loggers)
        validator.validate(task, data, ckpt_path=best, weights_only=True, verbose=False)
        tester.test(task, data, verbose=False)  # with the same weights
    return {split: predictions(data.index, split, task.evaluated[split]) for split in SPLITS}


def predictions(index: DataIndex, split: str, evaluated: Evaluated) -> Predictions:
    """Return the evaluation of a split with the names, groups and native sizes of its images."""
    records = [index.splits[split][position] for position in evaluated.image_index]
    return Predictions(
        classes=tuple(index.classes),
        names=tuple(record.name for record in records),
        groups=tuple(record.group or record.name for record in records),
        sizes=np.array([(record.height, record.width) for record in records]),
        evaluated=evaluated,
    )
