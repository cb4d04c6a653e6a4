"""Checks at the start of a run or a sweep, so that it is refused before anything is simulated or trained."""

import math
import sys

import numpy as np
import torch
from omegaconf import DictConfig

from gffpn.build.detector import rehearse, train_size
from gffpn.config.resolve import processes_of, resolved
from gffpn.data.index import DataError, DataIndex
from gffpn.data.letterbox import Letterbox
from gffpn.detector import Detector
from gffpn.metrics.matching import network_bins, size_bin
from gffpn.pyramid import StartsFromWeights
from gffpn.stats.question import FEW_OBJECTS, OF_A_CLASS
from gffpn.streams import torch_stream


def check_start(config: DictConfig) -> None:
    """Build everything that needs no data, and check the weights to start from.

    Raises ValueError for a wrong value, for a file of weights that does not fit, and for a batch that is too
    small for the network.
    """
    detector = rehearse(config)
    if isinstance(detector.backbone, StartsFromWeights):
        detector.backbone.check_weights()
    if config.batch_size <= processes_of(resolved(config)):
        _check_single_image(config, detector)


def check_index(config: DictConfig, index: DataIndex) -> None:
    """Raise DataError for a split without objects, and ValueError for too few images for the network.

    Raises ValueError, too, for a share of the batches of an epoch that is less than one batch.
    """
    check_objects(index)
    processes = processes_of(resolved(config))
    _check_limit(config, len(index.splits["train"]), processes)
    if len(index.splits["train"]) <= processes:
        _check_single_image(config, rehearse(config))


def _check_limit(config: DictConfig, total: int, processes: int) -> None:
    share = config.trainer.limit_train_batches
    images, batch = math.ceil(total / processes), max(1, config.batch_size // processes)
    # a last batch of a single image is left out
    batches = math.ceil(images / batch) - (images % batch == 1 < images)
    if isinstance(share, float) and int(share * batches) == 0:
        raise ValueError(
            f"trainer.limit_train_batches: got {share:g}, less than one of an epoch's {batches} batches; "
            f"expected a larger share, or a number of batches, such as 1"
        )


def check_objects(index: DataIndex) -> None:
    """Raise DataError if there are no objects to train with, to choose an epoch by, or to test on."""
    purposes = {
        "train": "nothing can be learnt: label its objects, or give the folders of all splits as one list, "
        "data.images=[A,B], from which the splits are drawn",
        "val": "no epoch can be chosen by it",
        "test": "nothing can be measured on it: label its objects, or leave it out to draw it from train",
    }
    for split, purpose in purposes.items():
        if not any(len(record.objects.boxes) for record in index.splits[split]):
            raise DataError(f"the {split} split has no objects, so {purpose}")


def mention_few_objects(endpoint: str, index: DataIndex, image_size: tuple[int, int]) -> None:
    """Print a warning if the test split has too few objects of a class or a size for a verdict on it.

    `image_size` is (height, width) of the network's input, whose pixels sizes are in.
    """
    bins = [f"AP_{one.name}" for one in network_bins()]
    test = [record.objects for record in index.splits["test"]]
    if endpoint in bins:
        fits = [Letterbox.fit((record.height, record.width), image_size) for record in test]
        boxes = [fit.to_network(record.boxes) for fit, record in zip(fits, test, strict=True)]
        found = int((size_bin(np.concatenate(boxes)) == bins.index(endpoint)).sum())
    elif endpoint.startswith(OF_A_CLASS):
        label = index.classes.index(endpoint.removeprefix(OF_A_CLASS))
        found = sum(int((record.labels == label).sum()) for record in test)
    else:
        return
    if found < FEW_OBJECTS:
        print(
            f"WARNING: experiment.primary_endpoint=test/{endpoint}: the test split has {found} such objects, "
            f"and a verdict needs {FEW_OBJECTS}",
            file=sys.stderr,
        )


def _check_single_image(config: DictConfig, detector: Detector) -> None:
    """Raise ValueError if the network cannot be trained on one image per step and process.

    Batch norm needs two values per channel, and a map of a single cell has one per image.
    """
    if resolved(config)["trainer"]["sync_batchnorm"]:
        return  # the norms see the images of all processes
    height, width = train_size(config)
    try:
        with torch_stream(config.seed, "rehearsal"), torch.no_grad():
            detector.train()(torch.zeros(1, 3, height, width))
    except ValueError as error:
        raise ValueError(
            f"each step has one image per process (batch_size={config.batch_size}), which is too few for the "
            f"norms of neck={config.choice.neck} at {height} x {width} pixels: {error}; use a larger "
            f"batch_size and at least two training images per process"
        ) from error
