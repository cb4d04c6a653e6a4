"""Memory of this machine: how much is available, and the C library's management of it during training."""

import ctypes
import platform
from pathlib import Path

# from glibc's malloc.h
_TRIM_THRESHOLD = -1
_MMAP_MAX = -4
_NEVER = -1

_CGROUPS = (
    ("sys/fs/cgroup", "memory.max", "memory.current", ""),
    ("sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_"),
)
"""Folder of each version of Linux's control groups, its files of limit and usage, and its prefix of sums."""


def available_memory(root: Path = Path("/")) -> int | None:
    """Return the bytes that new processes can use, by the system and by the container's limit.

    Returns None where the system (Linux below `root`) does not report it.
    """
    try:
        lines = (root / "proc/meminfo").read_text(encoding="utf-8").splitlines()
        (free,) = [1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
    except (OSError, ValueError):
        return None
    for folder, limit, usage, prefix in _CGROUPS:
        try:
            most, used = (int((root / folder / name).read_text(encoding="utf-8")) for name in (limit, usage))
            stat = dict(
                line.split()
                for line in (root / folder / "memory.stat").read_text(encoding="utf-8").splitlines()
            )
            # cached files count as used, but they give way
            cached = sum(int(stat[f"{prefix}{name}"]) for name in ("active_file", "inactive_file"))
        except (OSError, ValueError, KeyError):  # another version, or no limit ("max")
            continue
        free = min(free, most - used + cached)
    return max(0, free)


def keep_freed_memory() -> None:
    """Keep freed memory in the process instead of returning it to the system; do nothing without glibc.

    Otherwise the system clears new memory for each step's large tensors page by page, which costs ten
    thousand page faults per step and 5 to 8 % of its time (size n, 224 px, batch 16, two cores). The setting
    holds for the rest of the process, which never shrinks from its largest size.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(_MMAP_MAX, 0)  # a block that has its own mapping is unmapped when it is freed
        libc.mallopt(_TRIM_THRESHOLD, _NEVER)
