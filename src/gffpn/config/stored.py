"""The configuration of a finished run, read back from its config.yaml. What the file names is constructed."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf

from gffpn.config.check import check_least_or_null

MOVABLE = (
    "data.root",
    "data.splits",
    "paths.cache",
    "loader.cache",
    "trainer.threads",
    "trainer.accelerator",
)
"""Settings that determine no result; they may differ from the run's."""


def stored_config(path: Path, overrides: Sequence[str], *, allowed: Sequence[str] = ()) -> DictConfig:
    """Read a run's config.yaml; `overrides` of `MOVABLE` say what lies elsewhere now.

    The file may construct gffpn's own classes, and those of the packages and modules in `allowed`. A file
    from elsewhere could name anything: raises ValueError, in one line, for every other `_target_`, and for an
    override of another key.
    """
    config = OmegaConf.load(path)
    assert isinstance(config, DictConfig)
    for target in _targets(OmegaConf.to_container(config, resolve=True)):
        if not any(_is_from(package, target) for package in ("gffpn", *allowed)):
            package = target.partition(".")[0]
            raise ValueError(
                f"{path}: _target_ {target!r}, expected one of gffpn's own; "
                f"--allow {package} lets it construct what {package} defines"
            )
    for word in overrides:
        key, sign, value = word.partition("=")
        if not sign or key not in MOVABLE:
            raise ValueError(f"{word}: expected KEY=VALUE with KEY one of {list(MOVABLE)}")
        OmegaConf.update(config, key, OmegaConf.from_dotlist([f"value={value}"]).value)
    OmegaConf.update(config, "loader.workers", 0)  # images are read one by one
    check_least_or_null(config)
    return config


def _is_from(package: str, target: str) -> bool:
    """Whether `package` (or a module below it) defines what `target` names."""
    if not target.startswith(f"{package}."):
        return False
    try:
        found = get_object(target)
    except (ImportError, ValueError, AttributeError):
        return False
    # a module has names of others in it: gffpn.build.detector.torch
    return f"{getattr(found, '__module__', '')}.".startswith(f"{package}.")


def _targets(node: object) -> Iterator[str]:
    """Everything that a configuration would construct."""
    if isinstance(node, dict):
        if "_target_" in node:
            yield str(node["_target_"])
        node = list(node.values())
    for part in node if isinstance(node, list) else ():
        yield from _targets(part)
