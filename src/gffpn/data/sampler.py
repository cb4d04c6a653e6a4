"""Order of the images as a function of seed and epoch, so that a resumed run equals an uninterrupted one."""

from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler

from gffpn.streams import numpy_stream


class EpochSampler(Sampler[tuple[int, int]]):
    """Sampler that yields the (epoch, position) pairs of this rank's share of `count` images.

    With `shuffle`, each epoch has a new order, and images from its start are repeated until all ranks have
    the same length (in training, ranks of different lengths would wait for each other forever). Without it,
    each image occurs exactly once over all ranks, in order, and the lengths of ranks differ by at most one.
    """

    def __init__(self, count: int, *, seed: int, shuffle: bool, rank: int = 0, world_size: int = 1) -> None:
        self.count = count
        self.seed = seed
        self.shuffle = shuffle
        self.rank = rank
        self.world_size = world_size
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch; Lightning calls this before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        beyond = self.world_size - 1 if self.shuffle else self.world_size - 1 - self.rank
        return (self.count + beyond) // self.world_size

    def __iter__(self) -> Iterator[tuple[int, int]]:
        order = np.arange(self.count)
        if self.shuffle:
            order = numpy_stream(self.seed, "order", self.epoch).permutation(self.count)
            order = np.resize(order, len(self) * self.world_size)
        for position in order[self.rank :: self.world_size].tolist():
            yield self.epoch, position
