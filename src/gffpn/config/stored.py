"""The configuration of a finished run, read back from its config.yaml.

The file names classes that are then constructed, so it is checked first.
"""

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf
from yaml import YAMLError

from gffpn.config.check import check_least_or_null
from gffpn.config.compose import compose_config, targets
from gffpn.config.overrides import CONF

MOVABLE = (
    "data.root",
    "data.splits",
    "paths.cache",
    "loader.cache",
    "trainer.threads",
    "trainer.accelerator",
)
"""Settings that do not affect results; they may differ from those of the run."""
PARTS = ("backbones", "data", "heads", "necks", "optim", "suite.sweep")
"""Modules of gffpn whose classes a stored configuration may construct."""


def stored_config(path: Path, overrides: Sequence[str], *, allowed: Sequence[str] = ()) -> DictConfig:
    """Read a run's config.yaml and apply `overrides` of `MOVABLE` settings, such as the data's new location.

    The file may construct the classes of gffpn in `PARTS`, and those of the packages in `allowed`.
    Because a file from elsewhere could name anything, any other `_target_` raises ValueError with a one-line
    message. So does an override of any other key.
    """
    try:
        config = OmegaConf.load(path)
    except YAMLError as error:
        raise ValueError(f"{path}: damaged: {str(error).splitlines()[0]}") from error
    if not isinstance(config, DictConfig):
        raise ValueError(f"{path}: damaged: expected a mapping")
    for target in targets(OmegaConf.to_container(config, resolve=True)):
        package = target.partition(".")[0]
        if package == "gffpn" and not _is_part(target):  # whatever is allowed
            raise ValueError(f"{path}: _target_ {target!r}, expected a class of gffpn that a run is made of")
        if package != "gffpn" and not any(_is_from(one, target) for one in allowed):
            raise ValueError(
                f"{path}: _target_ {target!r}, expected a class of gffpn; "
                f"use --allow {package} to let it construct the classes that {package} defines"
            )
    _add_newer_settings(config)
    for word in overrides:
        key, sign, value = word.partition("=")
        if not sign or key not in MOVABLE:
            raise ValueError(f"{word}: expected KEY=VALUE with KEY one of {list(MOVABLE)}")
        if key.startswith("data.") and key.removeprefix("data.") not in config.data:
            name = OmegaConf.select(config, "choice.data")
            raise ValueError(f"{key}: the run's data set, {name}, has no such setting; leave it out")
        if not value and key in ("data.root", "paths.cache"):
            raise ValueError(f"{key}: got nothing, expected a folder")
        OmegaConf.update(config, key, OmegaConf.from_dotlist([f"value={value}"]).value)
    OmegaConf.update(config, "loader.workers", 0)  # images are read one at a time
    check_least_or_null(config)
    return config


def _add_newer_settings(config: DictConfig) -> None:
    """Give settings of the data set's reader that are newer than the run their defaults.

    Whether they change the data, the fingerprint shows. Defaults that refer to other settings are left out.
    """
    options = {path.stem: path for path in (CONF / "data").glob("*.yaml")}
    path = options.get(str(OmegaConf.select(config, "choice.data")))  # the file may come from elsewhere
    if path is None:
        return
    newer: dict[str, Any] = OmegaConf.to_container(OmegaConf.load(path))  # type: ignore[assignment]
    if OmegaConf.select(config, "data._target_") == newer["_target_"]:
        for key, value in newer.items():
            if key not in config.data and "${" not in str(value):
                OmegaConf.update(config, f"data.{key}", value, force_add=True)


def other_data(config: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """Return a run's configuration with another data set, chosen by overrides as for train.py.

    They are `data=NAME` and `data.KEY=VALUE`. Raises ValueError for any other one.
    """
    for word in overrides:
        key, sign, _ = word.partition("=")
        if not sign or not (key.lstrip("+") == "data" or key.lstrip("+").startswith("data.")):
            raise ValueError(f"{word}: expected data=NAME or data.KEY=VALUE")
    composed = compose_config(list(overrides))
    changed = OmegaConf.create(OmegaConf.to_container(config))
    assert isinstance(changed, DictConfig)
    OmegaConf.update(changed, "data", OmegaConf.to_container(composed.data, resolve=True), merge=False)
    changed.choice.data = composed.choice.data
    return changed


def _is_part(target: str) -> bool:
    """Return whether `target` names a class that a run is made of.

    Functions are none: some compose and construct whatever their arguments say.
    """
    own = any(_is_from(f"gffpn.{part}", target) for part in PARTS)
    return own and inspect.isclass(get_object(target))


def _is_from(package: str, target: str) -> bool:
    """Return whether the object that `target` names is defined in `package` or in a module below it."""
    if not target.startswith(f"{package}."):
        return False
    try:
        found = get_object(target)
    except (ImportError, ValueError, AttributeError):
        return False
    # a module also contains names that it imports, such as gffpn.build.detector.torch
    return f"{getattr(found, '__module__', '')}.".startswith(f"{package}.")
