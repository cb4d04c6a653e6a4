"""Parts of a batch on the cores of a CPU: each part is computed by a thread that uses one core.

Several threads that compute one operator wait for each other at its end, hundreds of times per batch, and
each time for the one whose core is also busy with reading images or with another process. Threads with parts
of their own wait once per batch.
"""

import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Lock
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

LARGEST = 4
"""Images in a part at most: larger parts need more of the cache, and longer per image (docs/speed.md)."""
_SETTING = Lock()
"""Held while torch's number of threads is that of a single core."""
Part = TypeVar("Part")
Images = NDArray[np.uint8]


class SingleCores:
    """As many threads as torch uses now, each of which computes on one core, also in torch."""

    def __init__(self) -> None:
        with _SETTING:
            self.threads = torch.get_num_threads()
        self._pool: ThreadPoolExecutor | None = None
        self._process = os.getpid()

    def split(self, images: Images) -> list[Images]:
        """Return the parts of a batch (N, ...), or the whole if there would be fewer parts than threads."""
        if len(images) < self.threads:
            return [images]
        return np.array_split(images, max(self.threads, math.ceil(len(images) / LARGEST)))

    def map(self, work: Callable[[Images], Part], parts: list[Images]) -> list[Part]:
        """Return `work(part)` for each part. A single part is computed by the caller, with all threads."""
        if len(parts) == 1 or self.threads == 1:
            return [work(part) for part in parts]
        with _SETTING:
            if self._pool is None or self._process != os.getpid():  # a forked process has no threads
                self._pool, self._process = _started(self.threads), os.getpid()
        return list(self._pool.map(work, parts))


def _started(threads: int) -> ThreadPoolExecutor:
    """Start threads that use one core each."""
    before = torch.get_num_threads()
    ready = Barrier(threads + 1)

    def use_one_core() -> None:
        torch.set_num_threads(1)
        torch.get_num_threads()  # a thread adopts the setting when it first asks for it
        ready.wait()

    pool = ThreadPoolExecutor(threads, "core", use_one_core)
    for _ in range(threads):
        pool.submit(int)  # a thread is started for each task that finds none waiting
    ready.wait()
    # torch's setting holds for the thread that makes it, and for all that start later
    torch.set_num_threads(before)
    return pool
