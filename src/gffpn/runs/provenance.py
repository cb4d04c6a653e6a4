"""Provenance of a result: commit and digests of the code, data, and versions of Python and the libraries."""

import platform
import subprocess
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path

from gffpn.runs.code import changed_modules, changed_since

# untracked files below these paths count as well, because a new neck, for instance, determines a result
SOURCES = (":/src", ":/conf", ":/experiments/*.yaml", ":/train.py")
LIBRARIES = ("torch", "torchvision", "lightning", "torchmetrics", "numpy", "scipy", "pillow", "timm")


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


@dataclass(frozen=True)
class Start:
    """What a run started with: contents of start.json."""

    provenance: Provenance
    data: str
    """Fingerprint of the data."""


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


def changes(before: Provenance, now: Provenance) -> list[str]:
    """Describe how the code and the versions of two runs differ; empty if they are equal."""
    return [*changed_modules(before.code, now.code), *_changed_versions(before, now)]


def changes_since(before: Provenance) -> list[str]:
    """Describe how the present code and versions differ from those of a run, as far as this process knows."""
    return [*changed_since(before.code), *_changed_versions(before, provenance())]


def _changed_versions(before: Provenance, now: Provenance) -> list[str]:
    earlier, later = ({"Python": one.python, **one.libraries} for one in (before, now))
    return [
        f"{name} {earlier.get(name)} -> {later[name]}" for name in later if earlier.get(name) != later[name]
    ]


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=Path(__file__).parent, capture_output=True, text=True, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
