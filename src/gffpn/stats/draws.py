"""Bootstrap draws of test images, the same for every run that was tested on them."""

import hashlib
from collections.abc import Sequence

import numpy as np

from gffpn.metrics.matching import Ints

REPLICATES = 2000


def draws(groups: Sequence[str], count: int = REPLICATES) -> Ints:
    """Return how often each replicate contains each image, (N, B).

    `groups` (N,) names the origin of each image; those of one origin are drawn together, because they are not
    independent. The generator is seeded by the names alone, so that all arms and seeds share their draws,
    and the replicates of a run serve in every experiment.
    """
    names, position = np.unique(np.asarray(groups, dtype=np.str_), return_inverse=True)
    seed = hashlib.sha256("\n".join(names).encode()).digest()
    generator = np.random.default_rng(int.from_bytes(seed[:8], "little"))
    drawn = generator.integers(len(names), size=(count, len(names)))
    cells = drawn + len(names) * np.arange(count)[:, None]
    counts = np.bincount(cells.ravel(), minlength=count * len(names)).reshape(count, len(names))
    return np.ascontiguousarray(counts[:, position].T)
