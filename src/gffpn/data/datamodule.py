"""Lightning data module: batches from a data index."""

import logging
import math
import sys
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from gffpn.choice import one_of
from gffpn.data.cache import CacheMode, ImageCache
from gffpn.data.dataset import DetectionDataset, Item, collate
from gffpn.data.index import SPLITS, DataIndex
from gffpn.data.letterbox import Letterbox
from gffpn.data.sampler import EpochSampler, random_positions
from gffpn.data.transforms import Augment
from gffpn.streams import derive_seed, numpy_stream

log = logging.getLogger(__name__)

TIMED_IMAGES = 32
"""Number of images on which a detector's speed is measured."""
STAGE_SPLITS = {"fit": ("train", "val"), "validate": ("val",), "test": ("test",), "predict": ()}


class DetectionData(L.LightningDataModule):
    """Train, val and test batches (see `Batch`), which are the same for every network with the same seed.

    `image_size` is (H, W), of whole images; if `augment` crops them, training samples are smaller.
    `batch_size` is the number of images per step, over all devices. `workers` is the number of processes per
    loader; it does not affect the batches. `max_epochs` determines which epochs are
    the last ones, in which `augment` turns mosaic off. For `cache`, see `ImageCache`.

    `limit_eval_batches` limits the images of val and test to a number of batches or to a share of them (a
    float), at least one. The images are drawn at random, and are the same ones for every seed.

    If the last batch of an epoch would have a single image per device, it is left out, for every network
    alike, because batch norm needs more than one value per channel.

    The sampler itself shards over devices, so the Trainer needs `use_distributed_sampler=False`.

    Raises ValueError for sizes below 1, negative `workers`, an unknown cache mode, a crop larger than the
    images, a `batch_size` that is not a multiple of the number of devices, or fewer images than devices.
    """

    def __init__(
        self,
        index: DataIndex,
        *,
        image_size: tuple[int, int],
        batch_size: int,
        workers: int,
        seed: int,
        augment: Augment,
        max_epochs: int,
        cache: CacheMode,
        cache_dir: Path,
        limit_eval_batches: float | None = 1.0,
    ) -> None:
        super().__init__()
        if min(*image_size, batch_size) < 1 or workers < 0:
            raise ValueError(
                f"data: got image_size={image_size}, batch_size={batch_size}, workers={workers}, "
                f"expected sizes of at least 1 and workers >= 0"
            )
        one_of("cache", cache, CacheMode)
        augment.sample_size(image_size)  # refuses a crop or a transposition that does not fit
        self.index = index
        self.fingerprint = index.fingerprint
        self.image_size = image_size
        self.batch_size = batch_size
        self.workers = workers
        self.seed = seed
        self.augment = augment
        self.max_epochs = max_epochs
        self.cache = cache
        self.cache_dir = cache_dir
        self.limit_eval_batches = limit_eval_batches
        self.caches: dict[str, ImageCache] = {}
        self.datasets: dict[str, DetectionDataset] = {}

    def prepare_data(self) -> None:
        """Build the disk cache in one process per machine, before the other processes open it."""
        if self.cache == "disk":
            for split in SPLITS:
                self._images(split)

    def setup(self, stage: str | None = None) -> None:
        """Open the splits that `stage` needs, or all splits if it is None."""
        for split in SPLITS if stage is None else STAGE_SPLITS[stage]:
            if split not in self.datasets:
                train = split == "train"
                self.datasets[split] = DetectionDataset(
                    self.index.splits[split],
                    self._images(split),
                    image_size=self.image_size,
                    seed=self.seed,
                    augment=self.augment if train else None,
                    max_epochs=self.max_epochs,
                )

    def _images(self, split: str) -> ImageCache:
        if split not in self.caches:
            folder = self.cache_dir / f"{self.fingerprint}-{split}"
            self.caches[split] = ImageCache(
                self.index.splits[split], folder, image_size=self.image_size, mode=self.cache
            )
        return self.caches[split]

    def train_dataloader(self) -> DataLoader[Item]:
        """Return a loader of the training split, shuffled and augmented."""
        return self._loader("train")

    def val_dataloader(self) -> DataLoader[Item]:
        """Return a loader of the validation split, with each evaluated image once and in order."""
        return self._loader("val")

    def test_dataloader(self) -> DataLoader[Item]:
        """Return a loader of the test split, with each evaluated image once and in order."""
        return self._loader("test")

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Move a batch to `device` as Lightning does, but return it unchanged on a CPU.

        There, Lightning would spend half a millisecond on visiting every target.
        """
        if device.type == "cpu":
            return batch
        return super().transfer_batch_to_device(batch, device, dataloader_idx)

    def _loader(self, split: str) -> DataLoader[Item]:
        dataset = self.datasets[split]
        trainer = self.trainer
        world_size = trainer.world_size if trainer else 1
        sampler = EpochSampler(
            range(len(dataset)) if split == "train" else self.evaluated(split),
            seed=self.seed,
            shuffle=split == "train",
            rank=trainer.global_rank if trainer else 0,
            world_size=world_size,
        )
        if self.batch_size % world_size:
            raise ValueError(
                f"batch_size: got {self.batch_size}, expected a multiple of the {world_size} devices"
            )
        if len(dataset) < world_size:  # a sample has whole batches of at least one image per device
            raise ValueError(
                f"{split}: got {len(dataset)} images, expected at least {world_size}, one per device"
            )
        per_device = self.batch_size // world_size
        lonely = split == "train" and len(sampler) % per_device == 1 < len(sampler)
        if lonely:
            log.info(
                "train: %d images in batches of %d leave one image over; each epoch leaves out another one",
                len(sampler),
                per_device,
            )
        # forked workers start in milliseconds, spawned ones in seconds because they import torch again; macOS
        # cannot fork safely
        context = "fork" if self.workers and sys.platform == "linux" else None
        return DataLoader(
            dataset,
            per_device,
            sampler=sampler,
            drop_last=lonely,
            num_workers=self.workers,
            collate_fn=collate,
            pin_memory=trainer is not None and trainer.strategy.root_device.type == "cuda",
            multiprocessing_context=context,
            persistent_workers=self.workers > 0,
            # without a generator, a loader draws from the global one at the start of each epoch
            generator=torch.Generator().manual_seed(derive_seed(self.seed, "loader", split)),
        )

    def evaluated(self, split: str) -> list[int]:
        """Return the positions of a split's images that are evaluated, the same ones for every run."""
        total, limit = len(self.datasets[split]), self.limit_eval_batches
        if limit is None:
            return [*range(total)]
        batches = limit if isinstance(limit, int) else int(limit * math.ceil(total / self.batch_size))
        return random_positions(total, max(batches, 1) * self.batch_size, "evaluated", split)

    def sample(self, split: str, count: int = TIMED_IMAGES) -> Tensor:
        """Return up to `count` images of an open split, uint8 (N, 3, H, W), the same ones for every run.

        They are in random order, so that the first of them are a sample, too.
        """
        images, total = self.datasets[split].images, len(self.datasets[split])
        drawn = numpy_stream("sample", split).permutation(total)[:count]
        return torch.from_numpy(np.stack([images[int(position)] for position in drawn]))

    def count_thinner(self, side: float) -> dict[str, int]:
        """Return the number of objects per split with a side below `side` network pixels, unaugmented."""
        return {split: int((self.boxes_wh(split).amin(1) < side).sum()) for split in SPLITS}

    def boxes_wh(self, split: str = "train") -> Tensor:
        """Return the width and height of every object, float32 (M, 2), in unaugmented network pixels."""
        records = [record.objects for record in self.index.splits[split]]
        native = np.concatenate([np.zeros((0, 4), np.float32), *(record.boxes for record in records)])
        scales = [Letterbox.fit((record.height, record.width), self.image_size).scale for record in records]
        scale = np.array(scales).reshape(-1, 2).repeat([len(record.boxes) for record in records], axis=0)
        boxes = (native * np.tile(scale, 2)).astype(np.float32)
        return torch.from_numpy(boxes[:, 2:] - boxes[:, :2])
