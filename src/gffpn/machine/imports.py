"""Importing torch and Lightning without Python's search for garbage, of which it makes none."""

import atexit
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def first_imports() -> Iterator[None]:
    """Around the first import of Lightning; does nothing around a later one.

    The import leaves half a million objects that live as long as the process. To search them while they
    arrive takes a second; to search them again, a quarter of a second at each full collection, and a run of
    a sweep ends with one. So nothing is collected inside, and what is there at the end is searched no more.
    """
    if "lightning" in sys.modules:
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.freeze()
        # Python's end frees them: libraries written in C++ tell of every object that is left
        atexit.register(gc.unfreeze)
