"""Keys of the configuration: those that are read, and the refusal of all others with the nearest real one."""

import difflib
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from hydra.conf import HydraConf
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from gffpn.config.overrides import CONF, names_of
from gffpn.config.yaml_types import fits, words
from gffpn.machine.trainer_arguments import trainer_arguments

# the file that lists the keys of each group whose options are plain values
GROUPS = {"logger": "default", "size": "n", "trainer": "default"}
CONSTRUCTED = ("backbone", "neck", "data", "augment", "optim")
HYDRA_WORDS = frozenset({"_target_", "_partial_"})
"""Keys of a node with a `_target_` that Hydra reads and that this project leaves open."""
HYDRA_PLUGINS = (
    "launcher",
    "sweeper",
    "callbacks",
    "hydra_logging",
    "job_logging",
    "env",
    "runtime",
    "overrides",
)
"""Keys of Hydra's own configuration whose contents Hydra checks itself or leaves open."""
OWNED = {
    "accumulate_grad_batches": "trainer.accumulate_grad_batches",
    "callbacks": "the suite sets it",
    "check_val_every_n_epoch": "trainer.check_val_every_n_epoch",
    "default_root_dir": "paths.runs",
    "enable_checkpointing": "the suite sets it",
    "enable_model_summary": "the suite sets it",
    "enable_progress_bar": "the suite sets it",
    "fast_dev_run": "trainer.limit_train_batches",
    "gradient_clip_algorithm": "the suite clips by norm, see optim.gradient_clip",
    "gradient_clip_val": "optim.gradient_clip",
    "limit_predict_batches": "the suite does not use it",
    "limit_test_batches": "trainer.limit_eval_batches",
    "limit_val_batches": "trainer.limit_eval_batches",
    "log_every_n_steps": "the suite sets it",
    "logger": "logger.wandb",
    "max_steps": "trainer.max_epochs",
    "max_time": "trainer.max_epochs",
    "overfit_batches": "data.train_images",
    "num_sanity_val_steps": "the suite sets it",
    "plugins": "the suite sets it",
    "profiler": "the suite sets it",
    "use_distributed_sampler": "the suite sets it",
    "val_check_interval": "trainer.check_val_every_n_epoch, as a run resumes only after whole epochs",
    "barebones": "the suite sets it",
}
"""Arguments of Lightning's Trainer that `trainer.extra` cannot set, with the setting to use instead."""


def check_keys(config: DictConfig) -> None:
    """Raise ValueError with a one-line message for a key that nobody reads.

    Keys of a node with a `_target_` are checked with its arguments. A key that an interpolation refers to is
    read.
    """
    plain = _plain(config)
    hydra = plain.pop("hydra", None) or _plain(HydraConfig.get())
    used = set(re.findall(r"\$\{([\w.]+)[\[}]", str(plain)))
    for key in _unknown(plain, _known(), ""):
        if not any(name == key or name.startswith(f"{key}.") for name in used):
            raise ValueError(f"{key}: nothing reads this key{_nearest(key, plain)}")
    schema = {**_plain(OmegaConf.structured(HydraConf)), **dict.fromkeys(HYDRA_PLUGINS)}
    for key in _unknown(hydra, schema, "hydra"):
        raise ValueError(f"{key}: Hydra does not read this key")


def check_extra(extra: Any) -> None:
    """Raise ValueError for an entry of `trainer.extra` that Lightning's Trainer or the suite refuses."""
    taken = trainer_arguments()
    if not isinstance(extra, Mapping):
        raise ValueError(f"trainer.extra: got {extra!r}, expected arguments of Lightning's Trainer")
    for name, value in extra.items():
        if name not in taken:
            near = difflib.get_close_matches(str(name), taken, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"trainer.extra.{name}: Lightning's Trainer has no such argument{hint}")
        if instead := OWNED.get(name) or (f"trainer.{name}" if name in _known()["trainer"] else None):
            advice = f"use {instead}" if "." in instead else instead
            raise ValueError(f"trainer.extra.{name}: not an extra: {advice}")
        if not fits(value, taken[name]):
            raise ValueError(f"trainer.extra.{name}: got {value!r}, expected {words(taken[name])}")


@cache
def _known() -> dict[str, Any]:
    """Return the keys that are read as nested mappings; anything else ends a branch."""
    top = _load("train")
    del top["defaults"], top["hydra"]
    groups = {group: _load(f"{group}/{option}") for group, option in GROUPS.items()}
    parts = dict.fromkeys(CONSTRUCTED)
    head = dict.fromkeys(("network", "loss", "decode"))
    known = {**top, **groups, **parts, "head": head}
    known["trainer"]["extra"] = known["experiment"]["arms"] = None
    return known


def _load(name: str) -> dict[str, Any]:
    return _plain(OmegaConf.load(CONF / f"{name}.yaml"))


def _plain(config: Any) -> dict[str, Any]:
    """Return a configuration as plain values, with its interpolations as they are written."""
    values = OmegaConf.to_container(config, resolve=False)
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


def _unknown(node: Mapping[str, Any], known: Mapping[str, Any], where: str) -> Iterator[str]:
    for key, value in node.items():
        name = f"{where}.{key}" if where else key
        if key not in known:
            yield name
        elif isinstance(known[key], dict) and isinstance(value, dict):
            yield from _unknown(value, known[key], name)


def _nearest(key: str, plain: Mapping[str, Any]) -> str:
    """Return the suggestion of a real key, found by its last word or by its whole name."""
    every = list(names_of(plain))
    inside = [name for name in every if name == key or name.startswith(f"{key}.")]
    # the innermost name of an unknown node: early_stopping.patience
    last = max(inside, key=lambda name: name.count(".")).rpartition(".")[2]
    instead = OWNED.get(last, "")
    if "." in instead:
        return f"; did you mean {instead.partition(',')[0]!r}?"
    real = [name for name in every if name not in inside]
    for names in (real, [f"trainer.extra.{name}" for name in trainer_arguments() if name not in OWNED]):
        ends = {name.rpartition(".")[2]: name for name in reversed(names)}
        if near := difflib.get_close_matches(last, ends, n=1, cutoff=0.7):
            return f"; did you mean {ends[near[0]]!r}?"
    near = difflib.get_close_matches(key, [name for name in real if not key.startswith(f"{name}.")], n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
