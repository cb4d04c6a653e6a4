"""Data, detector, loss, decoding and optimiser recipe, built from a configuration."""

import copy
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig

from gffpn.config.compose import frozen_parts, image_size
from gffpn.data.datamodule import DetectionData
from gffpn.data.index import DataIndex
from gffpn.data.transforms import Augment
from gffpn.detector import Detector
from gffpn.machine.cores import usable_cores
from gffpn.machine.devices import device
from gffpn.optim import Recipe
from gffpn.pyramid import (
    FitsToBoxes,
    Head,
    Levels,
    Neck,
    StartsFromWeights,
    check_image_size,
    size_multiple,
)
from gffpn.runs.folder import RunFolder
from gffpn.streams import torch_stream
from gffpn.task import DetectionTask
from gffpn.weights import load_matching

log = logging.getLogger(__name__)


def build_data(config: DictConfig, index: DataIndex) -> DetectionData:
    """Return the data module for an index."""
    return DetectionData(
        index,
        image_size=image_size(config),
        batch_size=config.batch_size,
        workers=loader_workers(config),
        seed=config.seed,
        augment=instantiate(config.augment, _convert_="all"),
        max_epochs=config.trainer.max_epochs,
        cache=config.loader.cache,
        cache_dir=Path(config.paths.cache),
        limit_eval_batches=config.trainer.limit_eval_batches,
    )


def train_size(config: DictConfig) -> tuple[int, int]:
    """Return the size (H, W) of the training samples in pixels, that of the crops if there are any.

    Raises ValueError for a crop or a transposition that does not fit the images.
    """
    augment: Augment = instantiate(config.augment, _convert_="all")
    return augment.sample_size(image_size(config))


def loader_workers(config: DictConfig) -> int:
    """Return the number of data-loader workers.

    If `loader.workers` is null, this is 0 for training on a CPU, which uses all of its cores, and otherwise
    up to 8 per GPU.
    """
    asked: int | None = config.loader.workers
    if asked is not None:
        return asked
    if device(config.trainer.accelerator).type == "cpu":
        return 0
    return min(8, usable_cores() // max(1, torch.cuda.device_count()))


def build_detector(config: DictConfig, num_classes: int) -> Detector:
    """Build a detector with random weights; `load_weights` loads the pretrained ones.

    Backbone, neck and head each have their own random stream, so that equal seeds give equal backbones. Heads
    and the necks of the suite use a stream of it for each part, see `gffpn.layers.start`. Raises ValueError
    without classes.
    """
    if num_classes < 1:
        raise ValueError(f"--classes: got {num_classes}, expected 1 or more")
    with torch_stream(config.seed, "backbone"):
        backbone = instantiate(config.backbone, _convert_="all")
    neck = build_neck(config, backbone.out_levels)
    with torch_stream(config.seed, "head"):
        head = instantiate(config.head.network, neck.out_levels, num_classes, _convert_="all")
    return Detector(backbone, neck, head)


def load_weights(config: DictConfig, detector: Detector) -> None:
    """Load the pretrained weights that the configuration chooses, if any.

    Raises WeightsError if they cannot be obtained, and ValueError if they do not fit.
    """
    if isinstance(detector.backbone, StartsFromWeights):
        with torch_stream(config.seed, "backbone"):
            detector.backbone.load_weights()


def load_start(config: DictConfig, detector: Detector, classes: Sequence[str]) -> None:
    """Load the weights that a training starts from: the pretrained ones, then those of `init`.

    Logs a warning if `init` is a run with other `classes`, or if a part of `freeze` would stay random.
    See `load_weights` and `load_matching` for the errors.
    """
    frozen = {part: detector.get_submodule(part) for part in frozen_parts(config.freeze)}
    random = {part: copy.deepcopy(module.state_dict()) for part, module in frozen.items()}
    load_weights(config, detector)
    if config.init is not None:
        load_matching(detector, Path(config.init), prefix="detector.")
        _compare_classes(Path(config.init), tuple(classes))
    for part, module in frozen.items():
        now = module.state_dict()
        if now and all(torch.equal(value, now[key]) for key, value in random[part].items()):
            log.warning("freeze=%s: not trained, and no weights were loaded into it: it stays random", part)


def _compare_classes(weights: Path, own: tuple[str, ...]) -> None:
    record = RunFolder(weights.parent.parent).read()
    known = record.data.classes if record else own
    if len(known) != len(own) or known == own:
        return
    first = next(position for position in range(len(own)) if known[position] != own[position])
    log.warning(
        "init: %s has other classes, or another order: class %d is %r there and %r here, and the head starts "
        "from what it knows of the former",
        *(weights, first, known[first], own[first]),
    )


def build_neck(config: DictConfig, in_levels: Levels) -> Neck:
    """Build the neck alone."""
    with torch_stream(config.seed, "neck"):
        neck: Neck = instantiate(config.neck, in_levels, _convert_="all")
    return neck


def rehearse(config: DictConfig) -> Detector:
    """Build everything that needs no data, so that wrong values are refused before data is read or simulated.

    Returns the detector, for one class and without pretrained weights.

    Raises ValueError for a wrong value, and for an image size or a crop that is not a multiple of the neck's
    `size_multiple`.
    """
    detector = build_detector(config, num_classes=1)
    multiple = size_multiple(detector.neck)
    check_image_size(image_size(config), multiple, neck=config.choice.neck)
    check_image_size(train_size(config), multiple, neck=config.choice.neck, setting="augment.crop")
    build_loss_and_decode(config, detector.head)
    build_recipe(config)
    return detector


def build_recipe(config: DictConfig) -> Recipe:
    """Build the optimiser's recipe."""
    return instantiate(config.optim, _convert_="all")


def build_loss_and_decode(config: DictConfig, head: Head) -> tuple[Any, Any]:
    """Build the functions that turn a head's raw predictions into losses and into detections."""
    parts = (config.head.loss, config.head.decode)
    loss, decode = (instantiate(part, head, _convert_="all") for part in parts)
    return loss, decode


def build_task(config: DictConfig, data: DetectionData, *, from_scratch: bool = False) -> DetectionTask:
    """Build the detector with its loss and decoding.

    A head that `FitsToBoxes` is fitted to the sizes of the training boxes. Pretrained weights are loaded only
    for a run that starts `from_scratch`: a checkpoint would replace them, and timing does not need them. The
    same holds for the weights of `init`.
    """
    detector = build_detector(config, len(data.index.classes))
    if from_scratch:
        load_start(config, detector, data.index.classes)
    if isinstance(detector.head, FitsToBoxes):
        detector.head.fit_to(data.boxes_wh())
    return DetectionTask(
        detector,
        *build_loss_and_decode(config, detector.head),
        build_recipe(config),
        classes=data.index.classes,
        channels_last=config.trainer.channels_last,
        freeze=frozen_parts(config.freeze),
    )
