"""Provenance of a result: commit and digests of the code, data, and versions of Python and the libraries."""

import platform
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from gffpn.runs.code import differences

# untracked files below these paths count as well, because a new neck, for instance, determines a result
SOURCES = (":/src", ":/conf", ":/experiments/*.yaml", ":/train.py")
LIBRARIES = ("torch", "torchvision", "lightning", "torchmetrics", "numpy", "timm")


@dataclass(frozen=True)
class Provenance:
    """The code and the libraries that produced a result."""

    commit: str | None
    """None outside git."""
    dirty: bool | None
    """True if the tree had uncommitted changes; None outside git."""
    python: str
    libraries: dict[str, str]
    code: dict[str, str] = field(default_factory=dict)
    """For a run, the digest of each module that computes its result, by the module's name."""


@cache
def provenance() -> Provenance:
    """Return the provenance of what this process computes, without the digests of its code.

    It is that of the first call: a commit made while a run trains is not the one that the run used.
    """
    commit = _git("rev-parse", "HEAD")
    return Provenance(
        commit=commit,
        dirty=bool(_git("status", "--porcelain", "--", *SOURCES)) if commit else None,
        python=platform.python_version(),
        libraries={name: version(name) for name in LIBRARIES},
    )


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Describe how the code and the versions of two starts (see `RunFolder.start`) differ; empty if equal."""
    versions = [{"Python": start["python"], **start["libraries"]} for start in (before, now)]
    earlier, later = versions
    return [
        *differences(before["code"], now["code"]),
        *(f"{name} {earlier[name]} -> {later[name]}" for name in later if earlier.get(name) != later[name]),
    ]


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=Path(__file__).parent, capture_output=True, text=True, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
