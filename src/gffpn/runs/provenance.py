"""Where a result comes from: the code's commit, the libraries, the machine."""

import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

# a file that git does not know yet, a new neck for instance, determines a result as well
SOURCES = (":/src", ":/conf", ":/experiments/*.yaml", ":/train.py")
LIBRARIES = ("torch", "torchvision", "lightning", "torchmetrics", "numpy", "timm")


def provenance() -> dict[str, object]:
    """Commit (or null outside git), whether the tree is dirty, Python and library versions."""
    commit = _git("rev-parse", "HEAD")
    return {
        "commit": commit,
        "dirty": bool(_git("status", "--porcelain", "--", *SOURCES)) if commit else None,
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in LIBRARIES},
    }


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=Path(__file__).parent, capture_output=True, text=True, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
