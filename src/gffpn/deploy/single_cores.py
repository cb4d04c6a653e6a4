"""Parts of a batch on the cores of a CPU: each part is computed by a thread that uses one core.

Several threads that compute one operator wait for each other at its end, hundreds of times per batch, and
each time for the one whose core is also busy with reading images or with another process. Threads with parts
of their own wait once per batch.
"""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

LARGEST = 4
"""Images in a part at most: larger parts need more of the cache, and longer per image (docs/speed.md)."""
Part = TypeVar("Part")
Images = NDArray[np.uint8]


class SingleCores:
    """As many threads as torch uses now, each of which computes on one core, also in torch."""

    def __init__(self) -> None:
        self.threads = torch.get_num_threads()
        self._pool: ThreadPoolExecutor | None = None

    def split(self, images: Images) -> list[Images]:
        """Return the parts of a batch (N, ...), or the whole if there would be fewer parts than threads."""
        if len(images) < self.threads:
            return [images]
        return np.array_split(images, max(self.threads, math.ceil(len(images) / LARGEST)))

    def map(self, work: Callable[[Images], Part], parts: list[Images]) -> list[Part]:
        """Return `work(part)` for each part. A single part is computed by the caller, with all threads."""
        if len(parts) == 1 or self.threads == 1:
            return [work(part) for part in parts]
        if self._pool is None:
            return self._first(work, parts)
        return list(self._pool.map(work, parts))

    def _first(self, work: Callable[[Images], Part], parts: list[Images]) -> list[Part]:
        """Start the threads with the first parts."""
        ready = Barrier(self.threads)

        def use_one_core() -> None:
            torch.set_num_threads(1)
            torch.get_num_threads()  # a thread adopts the setting when it first asks for it
            ready.wait()

        self._pool = ThreadPoolExecutor(self.threads, "core", use_one_core)
        try:
            return list(self._pool.map(work, parts))
        finally:
            # torch's setting holds for the thread that makes it, and for all that start later
            torch.set_num_threads(self.threads)
