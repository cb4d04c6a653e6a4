"""CPU cores that this process may use. Does not import torch."""

import os


def usable_cores() -> int:
    """Return the number of cores that the scheduler grants this process, at most those of the machine."""
    # macOS has no CPU affinity
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
