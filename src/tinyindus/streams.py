"""Independent random streams: one per seed, split, image, cause and, for defects, object.

A dial that changes one cause draws from that cause's stream alone. Twins (the same scene without its
defect, with less noise, with a larger side) therefore need no bookkeeping: they are rendered again with
other dials.
"""

from enum import IntEnum

import numpy as np
from numpy.random import Generator, Philox, SeedSequence

SPLIT_KEYS = {"train": 0, "val": 1, "test": 2}
SPLITS = tuple(SPLIT_KEYS)


class Stream(IntEnum):
    """What a random number is for. Values are part of the data: append, never renumber."""

    PRODUCT = 0
    NUISANCE = 1
    DEFECT = 2
    LOOKALIKE = 3
    NOISE = 4
    LAYOUT = 5
    LABEL = 6


def generator(seed: int, split: str, i: int, stream: Stream, part: int = 0) -> Generator:
    """The generator of one cause in one image."""
    return Generator(Philox(SeedSequence((seed, SPLIT_KEYS[split], i, int(stream), part))))


def quantile(seed: int, split: str, i: int, irrational: float) -> float:
    """Additive recurrence: image i's place in a sequence that covers 0..1 evenly in every run of images.

    Plain draws would leave the rarest of nine classes out of a small split.
    """
    offset = np.random.default_rng((seed, SPLIT_KEYS[split], int(irrational * 1e6))).random()
    return float((offset + i * irrational) % 1.0)
