"""Provenance of a result: the commit of the code, and the versions of Python and the libraries."""

import platform
import subprocess
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

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


def provenance() -> Provenance:
    """Return the provenance of what this process computes."""
    commit = _git("rev-parse", "HEAD")
    return Provenance(
        commit=commit,
        dirty=bool(_git("status", "--porcelain", "--", *SOURCES)) if commit else None,
        python=platform.python_version(),
        libraries={name: version(name) for name in LIBRARIES},
    )


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=Path(__file__).parent, capture_output=True, text=True, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
