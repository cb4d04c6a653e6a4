"""Bootstrap draws of test images, the same for every run that was tested on them."""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int32]
REPLICATES = 2000
# replicates that are drawn at once, so that memory is needed for the result alone
_BLOCK = 100


def draws(groups: Sequence[str], count: int = REPLICATES) -> Counts:
    """Return how often each replicate contains each image, (N, B).

    `groups` (N,) names the origin of each image; those of one origin are drawn together, because they are not
    independent. The generator is seeded by the names alone, so that all arms and seeds share their draws,
    and the replicates of a run serve in every experiment.
    """
    names, position = np.unique(np.asarray(groups, dtype=np.str_), return_inverse=True)
    seed = hashlib.sha256("\n".join(names).encode()).digest()
    generator = np.random.default_rng(int.from_bytes(seed[:8], "little"))
    counts = np.empty((len(names), count), dtype=np.int32)
    for start in range(0, count, _BLOCK):
        drawn = generator.integers(len(names), size=(min(_BLOCK, count - start), len(names)))
        cells = drawn + len(names) * np.arange(len(drawn))[:, None]
        found = np.bincount(cells.ravel(), minlength=cells.size)
        counts[:, start : start + len(drawn)] = found.reshape(cells.shape).T
    return counts[position]


def group_draws(groups: Sequence[str], weights: Counts) -> Counts:
    """Return how often each replicate contains each group, (G, B), from the draws of the images (N, B)."""
    _, first = np.unique(np.asarray(groups, dtype=np.str_), return_index=True)
    return weights[first]
