"""The order of images: a function of seed and epoch, so that a resumed run goes on as if never stopped."""

from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler

from gffpn.streams import numpy_stream


class EpochSampler(Sampler[tuple[int, int]]):
    """Yields (epoch, position) pairs of this rank's share of `count` images.

    shuffle: a new order each epoch, and ranks of equal length, by starting the order over (in training, ranks
    that differ would wait for each other for ever). Without it each image comes exactly once over all ranks,
    in order, and ranks differ in length by one at most.
    """

    def __init__(self, count: int, *, seed: int, shuffle: bool, rank: int = 0, world_size: int = 1) -> None:
        self.count = count
        self.seed = seed
        self.shuffle = shuffle
        self.rank = rank
        self.world_size = world_size
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch."""
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
