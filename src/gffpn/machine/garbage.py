"""The garbage collector, off while many objects are made that stay."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collection_paused() -> Iterator[None]:
    """Turn the collector off inside the block, and leave it as it was before.

    It is started by the number of new objects, and searches all of them for cycles: reading a set of 120,000
    images makes ten million objects and hardly any cycle.
    """
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()
