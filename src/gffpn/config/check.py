"""Checks that refuse invalid values of a composed configuration before anything is read or built."""

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from hydra.core.hydra_config import HydraConfig
from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf

from gffpn.choice import one_of
from gffpn.config.compose import compose_config, frozen_parts, image_size
from gffpn.config.keys import HYDRA_WORDS, check_extra, check_keys
from gffpn.config.overrides import WRONG_OVERRIDE, explain
from gffpn.config.yaml_types import argument_types, fits, words
from gffpn.data.cache import CacheMode
from gffpn.machine.trainer_arguments import trainer_arguments
from gffpn.runs.folder import weights_in
from gffpn.runs.identity import EPOCHS, WEIGHT_FILES

LoggingMode = Literal["auto", "online", "offline", "off"]
Rerun = Literal["never", "changed", "all"]
# never a figure on test, by which nothing may be chosen
Objective = Literal["val/mAP50", "val/mAP50_95"]
RunIdKind = Literal["token", "hash"]
LITERALS = {
    "loader.cache": CacheMode,
    "logger.wandb": LoggingMode,
    "logger.run_id": RunIdKind,
    "rerun": Rerun,
    "objective": Objective,
}
"""Choices of settings that are no argument of a constructor."""
PRECISIONS = ["auto", "32-true", "bf16-mixed", "16-mixed"]
"""Precisions in which a detector can be trained; images and boxes are always float32."""
PARTS = ("size", "backbone", "neck", "head", "data", "augment", "optim", "trainer", "loader", "logger")
# minimum of each setting, which must be a whole number
LEAST = {
    "batch_size": 1,
    "trainer.accumulate_grad_batches": 1,
    "trainer.num_nodes": 1,
    "seed": 0,
    "logger.pictures": 0,
}
LEAST_OR_NULL = {
    "trainer.threads": 1,
    "trainer.patience": 1,
    "trainer.save_every_n_epochs": 1,
    "loader.workers": 0,
    "runs_at_a_time": 1,
}


def compose_checked(overrides: Sequence[str]) -> DictConfig:
    """Compose the configuration that overrides choose and `check` it.

    Raises ValueError with a one-line message for a wrong override or value.
    """
    config = compose_config(overrides)
    check(config)
    return config


def check(config: DictConfig) -> None:
    """Raise ValueError with a one-line message if a number, a choice or a constructor argument is invalid."""
    try:
        _check_present(config, PARTS)
        check_keys(config)
        _check_numbers(config)
        _check_schedule(config)
        _check_trainer(config)
        _check_choices(config)
        _check_name(config.name)
        frozen_parts(config.freeze)
        check_extra(config.trainer.extra)
        _check_folders(config)
        _check_files(config)
        for key, literal in LITERALS.items():
            one_of(key, OmegaConf.select(config, key), literal)
        choices = _choices(config)
        for where, node in _with_target(config, ""):
            _check_arguments(where, node, choices)
    except WRONG_OVERRIDE as error:
        raise ValueError(explain(error)) from error


def check_data(config: DictConfig) -> None:
    """Raise ValueError with a one-line message if an argument of the data source or a number is invalid.

    The arguments of other parts are not checked, because importing their classes would import torch.
    """
    try:
        _check_present(config, ("data",))
        _check_folders(config)
        _check_numbers(config)
        choices = _choices(config)
        for where, node in _with_target(config.data, "data"):
            _check_arguments(where, node, choices)
    except WRONG_OVERRIDE as error:
        raise ValueError(explain(error)) from error


def _check_present(config: DictConfig, parts: Sequence[str]) -> None:
    for part in parts:
        if config.get(part) is None:
            raise ValueError(f"{part}: missing, but every run needs one")


def _check_numbers(config: DictConfig) -> None:
    _check_budget(config)
    counted = dict.fromkeys(EPOCHS, 1) if config.trainer.minutes is None else {}
    for key, least in (counted | LEAST).items():
        value = OmegaConf.select(config, key, throw_on_missing=True)
        if type(value) is not int or value < least:
            raise ValueError(f"{key}: got {value!r}, expected a whole number, {least} or more")
    seconds = OmegaConf.select(config, "trainer.fps_seconds", throw_on_missing=True)
    if not fits(seconds, float) or not 0 <= seconds < float("inf"):
        raise ValueError(f"trainer.fps_seconds: got {seconds!r}, expected a number of seconds, 0 or more")
    check_least_or_null(config)
    image_size(config)


def _check_budget(config: DictConfig) -> None:
    """Raise ValueError for a budget that is no time, or beside numbers that would follow from it."""
    minutes = config.trainer.minutes
    if minutes is None:
        return
    if not fits(minutes, float) or not 0 < minutes < float("inf"):
        raise ValueError(f"trainer.minutes: got {minutes!r}, expected null or a number of minutes above 0")
    for key in EPOCHS:
        value = OmegaConf.select(config, key)
        if value is not None:
            raise ValueError(
                f"{key}: got {value!r} and trainer.minutes={minutes:g}, but the epochs follow from the "
                f"minutes; leave out {key}, or set budget=null (or trainer.minutes=null with all of "
                f"{', '.join(EPOCHS)})"
            )


def _check_trainer(config: DictConfig) -> None:
    """Raise ValueError for a value of another type than Lightning's Trainer expects."""
    types = trainer_arguments() | {"limit_eval_batches": trainer_arguments()["limit_val_batches"]}
    types |= {"strategy": str, "accelerator": str, "channels_last": bool}
    for key, value in config.trainer.items():
        plain = OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
        if key in types and plain != "auto" and not fits(plain, types[key]):
            raise ValueError(f"trainer.{key}: got {plain!r}, expected {words(types[key])}")
    from gffpn.machine.devices import FULL_NAMES  # here, because it imports torch

    number_format = str(config.trainer.precision)
    if FULL_NAMES.get(number_format, number_format) not in PRECISIONS:
        raise ValueError(f"trainer.precision: got {number_format!r}, expected one of {PRECISIONS}")
    for key in ("limit_train_batches", "limit_eval_batches"):
        value = config.trainer[key]
        if value is not None and (value <= 0 or (isinstance(value, float) and value > 1)):
            raise ValueError(
                f"trainer.{key}: got {value!r}, expected a share up to 1.0 or a number of batches"
            )


def _check_choices(config: DictConfig) -> None:
    """Raise ValueError if the name of a choice is not that of the chosen option."""
    for key in config.choice:
        if not OmegaConf.is_interpolation(config.choice, key):
            raise ValueError(
                f"choice.{key}: got {config.choice[key]!r}, but it is the name of the chosen option"
            )
    option = _choices(config)["size"]
    if config.size.name != option:
        raise ValueError(
            f"size.name: got {config.size.name!r}, expected {option!r}, the name of the chosen option"
        )


def _check_name(name: object) -> None:
    if name is not None and not re.fullmatch(r"[\w-][\w.-]*", str(name)):
        raise ValueError(f"name: got {name!r}, expected letters, digits, '-', '_' and '.', not first")


def _check_schedule(config: DictConfig) -> None:
    epochs, interval = (OmegaConf.select(config, key) for key in EPOCHS)
    if config.trainer.minutes is None and epochs % interval:
        raise ValueError(
            f"trainer.check_val_every_n_epoch: got {interval}, expected a divisor of trainer.max_epochs "
            f"({epochs}), so that the last epoch is validated"
        )
    kept = config.trainer.save_every_n_epochs
    if config.trainer.minutes is None and kept is not None and kept % interval:
        raise ValueError(
            f"trainer.save_every_n_epochs: got {kept}, expected a multiple of "
            f"trainer.check_val_every_n_epoch ({interval}), because weights are kept when they are validated"
        )


def _check_folders(config: DictConfig) -> None:
    for key in ("runs", "cache"):
        if not config.paths[key]:
            raise ValueError(f"paths.{key}: got {config.paths[key]!r}, expected a folder")


def _check_files(config: DictConfig) -> None:
    for key in WEIGHT_FILES:
        asked = OmegaConf.select(config, key)
        if asked is None:
            continue
        file = weights_in(Path(asked)) if key == "init" else Path(asked)
        if not file.is_file():
            folder = " or the folder of a run with checkpoints/best.ckpt" if key == "init" else ""
            raise ValueError(f"{key}: got {str(asked)!r}, expected a file of weights{folder}")


def check_least_or_null(config: DictConfig) -> None:
    """Raise ValueError with a one-line message if a number of threads or workers is invalid."""
    for key, least in LEAST_OR_NULL.items():
        value = OmegaConf.select(config, key)
        if value is not None and (type(value) is not int or value < least):
            raise ValueError(f"{key}: got {value!r}, expected null or a whole number, {least} or more")


def _with_target(node: Any, where: str) -> Iterator[tuple[str, DictConfig]]:
    """Yield the key and the node of everything with a `_target_`, except in Hydra's own configuration."""
    if OmegaConf.is_list(node):
        for position in range(len(node)):
            yield from _with_target(node._get_node(position), f"{where}[{position}]")
    if not isinstance(node, DictConfig):
        return
    if "_target_" in node:
        yield where, node
    for key in node:
        if not isinstance(key, str):
            continue  # a table may have numeric keys
        plain = not OmegaConf.is_missing(node, key) and not OmegaConf.is_interpolation(node, key)
        if plain and key != "hydra":
            yield from _with_target(node[key], f"{where}.{key}" if where else key)


def _check_arguments(where: str, node: DictConfig, choices: Mapping[str, str]) -> None:
    """Raise ValueError if a keyword argument of the constructor is missing, unknown or of the wrong type."""
    values = OmegaConf.to_container(node, resolve=True, throw_on_missing=True)
    assert isinstance(values, dict)
    target = get_object(values["_target_"])
    hints = argument_types(values["_target_"])
    asked = {
        parameter.name: parameter
        for parameter in inspect.signature(target).parameters.values()
        if parameter.kind is parameter.KEYWORD_ONLY
    }
    given = {str(key): value for key, value in values.items() if key not in HYDRA_WORDS}
    taker = f"{where}={choices[where]}" if where in choices else str(target.__name__)
    for key in (key for key in given if key not in asked):
        cause = f" (ablation={choices['ablation']} sets it)" if choices.get("ablation") else ""
        raise ValueError(f"{where}.{key}: {taker} takes no {key!r}{cause}, only {list(asked)}")
    for key, parameter in asked.items():
        if key not in given and parameter.default is parameter.empty:
            raise ValueError(f"{where}.{key}: missing, but {taker} needs it")
        if key in given and not fits(given[key], hints.get(key, Any)):
            raise ValueError(f"{where}.{key}: got {given[key]!r}, expected {words(hints[key])}")


def _choices(config: DictConfig) -> Mapping[str, str]:
    """Return the option chosen for each configuration group."""
    hydra = config.hydra if "hydra" in config else HydraConfig.get()
    return dict(hydra.runtime.choices)
