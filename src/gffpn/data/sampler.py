"""Order of the images as a function of seed and epoch, so that a resumed run equals an uninterrupted one."""

from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler

from gffpn.streams import numpy_stream


def random_positions(count: int, wanted: int | None, *stream: int | str) -> list[int]:
    """Return `wanted` of the positions 0 .. count - 1 (None, or too many: all) in increasing order.

    They are drawn at random, because many data sets are sorted by class. A `stream` always gives the same
    ones, and a larger sample contains the smaller ones.
    """
    return sorted(numpy_stream(*stream).permutation(count)[:wanted].tolist())


class EpochSampler(Sampler[tuple[int, int]]):
    """Sampler that yields the (epoch, position) pairs of this rank's share of the images at `positions`.

    With `shuffle`, each epoch has a new order, and images from its start are repeated until all ranks have
    the same length (in training, ranks of different lengths would wait for each other forever). Without it,
    each image occurs exactly once over all ranks, in order, and the lengths of ranks differ by at most one.
    """

    def __init__(
        self, positions: Sequence[int], *, seed: int, shuffle: bool, rank: int = 0, world_size: int = 1
    ) -> None:
        self.positions = np.array(positions)
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
        return (len(self.positions) + beyond) // self.world_size

    def __iter__(self) -> Iterator[tuple[int, int]]:
        order = self.positions
        if self.shuffle:
            order = order[numpy_stream(self.seed, "order", self.epoch).permutation(len(order))]
            order = np.resize(order, len(self) * self.world_size)
        for position in order[self.rank :: self.world_size].tolist():
            yield self.epoch, position
