"""Import torch and Lightning with the garbage collector off; importing creates no garbage."""

import atexit
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def first_imports() -> Iterator[None]:
    """Turn the collector off around the first import of Lightning; do nothing around a later one.

    The import leaves half a million objects that live as long as the process. Searching them during the
    import takes a second, and each later full collection, one per run of a sweep, a quarter of a second. At
    the end of the block the collector is on again and ignores the objects that exist by then.
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
        # so that Python frees the objects at exit; C++ libraries report every object that is left
        atexit.register(gc.unfreeze)
