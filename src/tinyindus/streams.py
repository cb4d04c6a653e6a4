"""Independent random streams: one per seed, split, image, cause and, for defects, object.

A dial that changes a cause affects only the draws from that cause's stream. Twins (the same scene without its
defect, with less noise or with a larger side) therefore need no bookkeeping: the scene is rendered again with
other dials.
"""

from enum import IntEnum

import numpy as np
from numpy.random import Generator, Philox, SeedSequence

SPLIT_KEYS = {"train": 0, "val": 1, "test": 2}
SPLITS = tuple(SPLIT_KEYS)


class Stream(IntEnum):
    """The causes that random numbers are drawn for. The values determine the data: append, never renumber."""

    PRODUCT = 0
    NUISANCE = 1
    DEFECT = 2
    LOOKALIKE = 3
    NOISE = 4
    LAYOUT = 5
    LABEL = 6


def generator(seed: int, split: str, i: int, stream: Stream, part: int = 0) -> Generator:
    """Return the random generator of one cause in one image."""
    return Generator(Philox(SeedSequence((seed, SPLIT_KEYS[split], i, int(stream), part))))


def quantile(seed: int, split: str, i: int, irrational: float) -> float:
    """Return image i's value in an additive recurrence, which covers 0 to 1 evenly in any range of images.

    Independent draws could leave the rarest of the nine classes out of a small split.
    """
    offset = np.random.default_rng((seed, SPLIT_KEYS[split], int(irrational * 1e6))).random()
    return float((offset + i * irrational) % 1.0)
