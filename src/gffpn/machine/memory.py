"""How the C library keeps memory for a training on a CPU."""

import ctypes
import platform

# from glibc's malloc.h
_TRIM_THRESHOLD = -1
_MMAP_MAX = -4
_NEVER = -1


def keep_freed_memory() -> None:
    """Give no freed memory back to the system, for the rest of the process; without glibc nothing happens.

    Otherwise each step's large tensors are new to the system, which clears them page by page: ten thousand
    page faults a step and 5 to 8 % of its time (size n, 224 px, batch 16, two cores). The process stays as
    large as it has once been.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(_MMAP_MAX, 0)  # blocks that are mapped one by one are unmapped one by one
        libc.mallopt(_TRIM_THRESHOLD, _NEVER)
