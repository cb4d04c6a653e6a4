"""Dataset of the (image, target) samples of a split, and their collation into batches."""

from collections.abc import Sequence
from typing import Any, Protocol, TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from gffpn.data.canvas import NONE_LOST, Source
from gffpn.data.index import ImageRecord
from gffpn.data.letterbox import Letterbox
from gffpn.data.transforms import Augment
from gffpn.metrics.matching import Ints
from gffpn.streams import numpy_stream


class Images(Protocol):
    """Letterboxed images, uint8 (3, H, W), indexed by position."""

    def __getitem__(self, number: int, /) -> NDArray[np.uint8]: ...


class Target(TypedDict):
    """Ground truth of one image."""

    boxes: Tensor
    """float32 (M, 4) xyxy in network pixels"""
    labels: Tensor
    """int64 (M,)"""
    crowd: Tensor
    """bool (M,), true for a crowd region, which evaluation ignores; training targets contain none"""
    image_index: int
    """Position of the image in the split; for a mosaic, the position of its first image."""
    scale: tuple[float, float]
    """Network pixels per native pixel along x and y, before augmentation; in evaluation, `boxes` divided by
    (x, y, x, y) are native."""
    lost_boxes: Ints
    """(causes, bins) number of boxes that augmentation lost, by `LOST_BY` and `network_bins`."""
    sources: tuple[int, ...]
    """Positions in the split of all images that were combined into this one."""


Item = tuple[Tensor, Target]


class Batch(TypedDict):
    """Batch returned by a data loader."""

    images: Tensor
    """uint8 (N, 3, H, W)"""
    targets: list[Target]
    lost_boxes: Ints
    """Sum of `lost_boxes` over the targets."""


class DetectionDataset(Dataset[Item]):
    """Dataset of samples `dataset[epoch, position]`, which depend only on epoch, position and seed.

    Without augmentation, they depend on the position only. Every process gets the same sample, in whichever
    order the samples are read.
    """

    def __init__(
        self,
        records: Sequence[ImageRecord],
        images: Images,
        *,
        image_size: tuple[int, int],
        seed: int = 0,
        augment: Augment | None = None,
        max_epochs: int = 1,
    ) -> None:
        self.records = records
        self.images = images
        self.image_size = image_size
        self.seed = seed
        self.augment = augment
        self.max_epochs = max_epochs

    def __len__(self) -> int:
        return len(self.records)

    def letterbox(self, position: int) -> Letterbox:
        """Return the letterbox that fits the image at `position` to the network's input."""
        record = self.records[position]
        return Letterbox.fit((record.height, record.width), self.image_size)

    def source(self, position: int) -> Source:
        """Return the image at `position` without padding, with its objects in network pixels."""
        fit, record = self.letterbox(position), self.records[position]
        objects = record.objects
        source = Source(fit.covered(self.images[position]), fit.to_network(objects.boxes), objects.labels)
        return (
            source._replace(crowd=fit.to_network(record.boxes[record.crowd])) if record.has_crowd else source
        )

    def __getitem__(self, key: tuple[int, int]) -> Item:
        epoch, position = key
        scale = self.letterbox(position).scale
        if self.augment is None:
            record = self.records[position]
            boxes = self.letterbox(position).to_network(record.boxes)
            # copied because the cache may be read-only
            image = torch.from_numpy(self.images[position].copy())
            return image, _target(
                boxes, record.labels, record.crowd, position, scale, lost_boxes=NONE_LOST, sources=(position,)
            )
        sources: list[int] = []

        def read(number: int) -> Source:
            sources.append(number)
            return self.source(number)

        sample = self.augment(
            read,
            position,
            count=len(self),
            image_size=self.image_size,
            epochs_left=self.max_epochs - epoch,
            rng=numpy_stream(self.seed, "image", epoch, position),
        )
        lost, seen, crowd = sample.lost_boxes, tuple(sources), np.zeros(len(sample.labels), np.bool_)
        target = _target(sample.boxes, sample.labels, crowd, position, scale, lost_boxes=lost, sources=seen)
        return sample.image, target


def _target(
    boxes: NDArray[np.float32],
    labels: NDArray[np.int64],
    crowd: NDArray[np.bool_],
    position: int,
    scale: tuple[float, float],
    *,
    lost_boxes: Ints,
    sources: tuple[int, ...],
) -> Target:
    return {
        "boxes": torch.from_numpy(boxes.astype(np.float32)).reshape(-1, 4),
        "labels": torch.from_numpy(labels.astype(np.int64)),
        "crowd": torch.from_numpy(crowd.astype(np.bool_)),
        "image_index": position,
        "scale": scale,
        "lost_boxes": lost_boxes,
        "sources": sources,
    }


class Targets(list[Target]):
    """List of targets that is pickled as three arrays and unpickled as a plain list.

    Otherwise, a worker would send each tensor to the main process as an open file, three per image, and a
    large batch would exceed the limit on open files.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        boxes = torch.cat([target["boxes"] for target in self]).numpy()
        labels = torch.cat([target["labels"] for target in self]).numpy()
        crowd = torch.cat([target["crowd"] for target in self]).numpy()
        ends = np.cumsum([len(target["labels"]) for target in self])
        facts = [(t["image_index"], t["scale"], t["lost_boxes"], t["sources"]) for t in self]
        return _unpacked, (boxes, labels, crowd, ends, facts)


def _unpacked(
    boxes: NDArray[np.float32],
    labels: NDArray[np.int64],
    crowd: NDArray[np.bool_],
    ends: NDArray[np.int64],
    facts: list[tuple[int, tuple[float, float], Ints, tuple[int, ...]]],
) -> list[Target]:
    parts = zip(*(np.split(array, ends[:-1]) for array in (boxes, labels, crowd)), facts, strict=True)
    return [
        _target(box, label, flags, index, scale, lost_boxes=lost, sources=sources)
        for box, label, flags, (index, scale, lost, sources) in parts
    ]


def collate(samples: Sequence[Item]) -> Batch:
    """Collate samples into a batch: stack the images, list the targets and sum the lost boxes."""
    images, targets = zip(*samples, strict=True)
    return {
        "images": torch.stack(images),
        "targets": Targets(targets),
        "lost_boxes": np.sum([target["lost_boxes"] for target in targets], axis=0),
    }
