"""The code that computes a run's result: its modules, with a digest of each one."""

import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path

from gffpn.files.sources import Modules, digested, location_of, modules_reached, spec_of

OWN = ("gffpn", "tinyindus")
ROOTS = ("gffpn.suite.fit",)
"""Modules that compute a result, together with those that a configuration names and all that they import."""
RECORDING = (
    "gffpn.callbacks.console",
    "gffpn.callbacks.pictures",
    "gffpn.callbacks.telemetry",
    "gffpn.config",
    "gffpn.files",
    "gffpn.report",
    "gffpn.runs",
    "gffpn.suite.tracker",
    "gffpn.suite.tracking",
)
"""Packages and modules that are not counted, except for those in `COMPUTING`.

They compose the configuration, which a run's name covers, or show and store what others have computed.
"""
FRONT = "gffpn"
"""The package's own file is not counted: its functions are for users, and no run computes with them."""
COMPUTING = ("gffpn.config.compose", "gffpn.runs.verify")
LIBRARIES = frozenset({"torch", "torchvision", "lightning", "torchmetrics", "numpy", "scipy", "PIL", "timm"})
"""Packages whose versions are recorded instead."""


def code_of(targets: Iterable[str], cache_dir: Path) -> dict[str, str]:
    """Return the modules that compute the result of a run, sorted by name.

    `targets` are the dotted names of the classes and functions in the run's configuration, which must have
    been imported. Counted are the modules of this project and of the user (those outside the installed
    packages, and those of an installed package that contains a target). See `modules_reached`.
    """
    named = [target.rpartition(".")[0] for target in targets]
    packages = {name.partition(".")[0] for name in (*OWN, *named)} - LIBRARIES
    return modules_reached([*ROOTS, *named], lambda name: _counts(name, packages), cache_dir)


def changed_modules(before: Modules, now: Modules) -> list[str]:
    """Return the names of the modules that were changed, added or removed, sorted."""
    return sorted(name for name in {*before, *now} if before.get(name) != now.get(name))


def changed_since(modules: Modules) -> list[str]:
    """Return which of the modules of a run are other code than what this process has digested, sorted."""
    now = digested()
    return sorted(name for name, digest in modules.items() if now.get(name, digest) != digest)


def _counts(name: str, packages: set[str]) -> bool:
    package = name.partition(".")[0]
    if package in sys.stdlib_module_names or package in LIBRARIES:
        return False
    if name == FRONT or (_below(name, RECORDING) and name not in COMPUTING):
        return False
    return package in packages or _is_own(location_of(spec_of(package)))


def _is_own(path: Path | None) -> bool:
    """Return whether a file is neither of Python's own nor of an installed package."""
    return path is not None and not any(path.resolve().is_relative_to(folder) for folder in _installed())


def _installed() -> Iterator[Path]:
    for kind in ("stdlib", "platstdlib", "purelib", "platlib"):
        yield Path(sysconfig.get_path(kind)).resolve()


def _below(name: str, packages: Iterable[str]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)
