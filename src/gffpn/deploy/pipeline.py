"""Detection in many images: reading in threads beside the network, in bounded memory and stable order."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gffpn.data.index import DataError
from gffpn.deploy.detections import Detections
from gffpn.deploy.detector import ImageDetector, View, in_batches
from gffpn.deploy.sources import Item

HELD_BYTES = 256_000_000
"""Pixels that are read ahead, and that a batch collects, at most; but always one image."""
READERS = 4


class Outcome(NamedTuple):
    """One image with its detections, or with the reason why it could not be read."""

    item: Item
    pixels: NDArray[np.uint8]
    """RGB (H, W, 3); empty if the image could not be read."""
    found: Detections | None
    error: str = ""


class _Read(NamedTuple):
    item: Item
    pixels: NDArray[np.uint8]
    views: list[View]
    error: str = ""

    @property
    def bytes(self) -> int:
        return self.pixels.nbytes + sum(view.canvas.nbytes for view in self.views)


def outcomes(detector: ImageDetector, items: Iterable[Item], *, batch: int) -> Iterator[Outcome]:
    """Yield the outcome of each item, in their order; the network receives up to `batch` views at a time."""
    for read, own in _detected_all(detector, items, batch):
        found = None if read.error else detector.assembled(read.pixels.shape, read.views, own)
        yield Outcome(read.item, read.pixels, found, read.error)


def native_detections(detector: ImageDetector, items: Iterable[Item], *, batch: int) -> Iterator[Detections]:
    """Yield all detections in each item, neither filtered nor clipped; raise DataError for a faulty file."""
    for read, own in _detected_all(detector, items, batch):
        if read.error:
            raise DataError(read.error)
        yield detector.native(read.pixels.shape, read.views, own)


def _detected_all(
    detector: ImageDetector, items: Iterable[Item], batch: int
) -> Iterator[tuple[_Read, list[Detections]]]:
    waiting: list[_Read] = []
    for read in _read_ahead(detector, items, batch):
        waiting.append(read)
        views = sum(len(one.views) for one in waiting)
        if views >= batch or sum(one.bytes for one in waiting) >= HELD_BYTES:
            yield from _detected(detector, waiting, batch)
            waiting = []
    yield from _detected(detector, waiting, batch)


def _detected(
    detector: ImageDetector, reads: list[_Read], batch: int
) -> Iterator[tuple[_Read, list[Detections]]]:
    """Yield each image with the detections in each of its views."""
    views = [view for one in reads for view in one.views]
    found = iter(in_batches(detector.network, views, batch))
    for one in reads:
        yield one, [next(found) for _ in one.views]


def _read_ahead(detector: ImageDetector, items: Iterable[Item], batch: int) -> Iterator[_Read]:
    pending: deque[Future[_Read]] = deque()
    # until the size of the first one is known, each reader reads one
    largest, rest, first = HELD_BYTES // READERS, iter(items), True
    with ThreadPoolExecutor(READERS, thread_name_prefix="read") as pool:
        try:
            while True:
                ahead = max(1, min(2 * batch, HELD_BYTES // largest))
                while len(pending) < ahead and (item := next(rest, None)):
                    pending.append(pool.submit(_read, detector, item))
                if not pending:
                    return
                read = pending.popleft().result()
                if read.bytes:  # 0: unreadable
                    largest, first = read.bytes if first else max(largest, read.bytes), False
                yield read
        finally:
            for future in pending:
                future.cancel()


def _read(detector: ImageDetector, item: Item) -> _Read:
    try:
        pixels = item.read()
    except DataError as error:
        return _Read(item, np.zeros((0, 0, 3), np.uint8), [], str(error))
    return _Read(item, pixels, detector.views(pixels))
