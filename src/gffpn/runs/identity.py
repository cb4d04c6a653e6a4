"""Identity of a run: the part of its resolved configuration that determines the result, and the data."""

import copy
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gffpn.files.content import remembered_digest

# Locations, hardware and reporting. The number of threads affects rounding only. The number of processes does
# more, because each normalises its own share of a batch, and is part of the name
NOT_DETERMINING = (
    "paths",
    "choice",
    "name",
    "experiment",
    "rerun",
    "runs_at_a_time",
    "objective",
    "logger",
    "loader",
    "data.root",
    "data.splits",  # a path; the fingerprint of the data covers the splits themselves
    "data.unlabelled",  # the fingerprint covers which images there are
    "data.train_images",
    "data.shapes",  # the fingerprint covers which boxes there are
    "data.outside",
    "data.unusual_images",  # a set that both values accept is read identically by both
    "data.crowd",  # the fingerprint covers which boxes there are, and which of them are crowd
    "trainer.accelerator",
    "trainer.devices",
    "trainer.num_nodes",
    "trainer.strategy",
    "trainer.threads",
    "trainer.fps_seconds",
    "trainer.minutes",  # the epochs that follow from it count
    "trainer.save_every_n_epochs",
)

EPOCHS = ("trainer.max_epochs", "trainer.check_val_every_n_epoch")
"""Numbers that follow from the budget of a run that has one."""

# Paths of files whose content determines the result, wherever they are.
WEIGHT_FILES = ("backbone.file", "init")


def determining(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of a resolved configuration without the keys that do not determine the result."""
    kept = json.loads(json.dumps(config))
    for dotted in NOT_DETERMINING:
        *parents, last = dotted.split(".")
        node = kept
        for parent in parents:
            node = node.get(parent) or {}
        node.pop(last, None)
    return dict(kept)


def by_content(config: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of a resolved configuration with digests of contents in place of `WEIGHT_FILES`' paths.

    Raises OSError if such a file cannot be read.
    """
    config = copy.deepcopy(config)
    for dotted in WEIGHT_FILES:
        *parents, last = dotted.split(".")
        node = config
        for parent in parents:
            node = node.get(parent) or {}
        if node.get(last) is not None:
            node[last] = remembered_digest(Path(node[last]))
    return config


def run_name(config: Mapping[str, Any], data_fingerprint: str, *, processes: int = 1) -> str:
    """Return readable words and ten hex digits, equal for two configurations that give the same result.

    Raises OSError if a file of weights cannot be read.
    """
    record: dict[str, Any] = {"config": by_content(determining(config)), "data": data_fingerprint}
    if processes > 1:
        record["processes"] = processes
    digest = hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()[:10]
    choice = config["choice"]
    words = [
        choice["neck"],
        *([choice["ablation"]] if choice["ablation"] else []),
        f"{choice['backbone']}-{config['size']['name']}",
        choice["head"],
        choice["data"],
        image_size_word(config["image_size"]),
        f"s{config['seed']}",
        digest,
    ]
    return "_".join(words).replace("/", "-")  # neck=lab/mine is an option in a subfolder


def digest_of(name: str) -> str:
    """Return the hash at the end of a run's name."""
    return name.rpartition("_")[2]


def image_size_word(image_size: Any) -> str:
    """Return the image size as one word, such as `320` or `480x640` (height first)."""
    return "x".join(map(str, image_size)) if isinstance(image_size, list) else str(image_size)
