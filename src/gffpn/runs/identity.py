"""What makes two runs the same run: the resolved configuration that determines the result, and the data."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

# Nothing below these keys changes a result: where things lie, on what they run, and how they are told.
NOT_DETERMINING = (
    "paths",
    "choice",
    "name",
    "experiment",
    "logger",
    "loader",
    "data.root",
    "data.splits",  # a path; the fingerprint of the data covers what it says
    "data.unusual_images",  # a set that both accept is read alike by both
    "trainer.accelerator",
    "trainer.devices",
    "trainer.num_nodes",
    "trainer.strategy",
    "trainer.threads",
)


def determining(config: Mapping[str, Any]) -> dict[str, Any]:
    """A resolved configuration without what does not determine the result."""
    kept = json.loads(json.dumps(config))
    for dotted in NOT_DETERMINING:
        *parents, last = dotted.split(".")
        node = kept
        for parent in parents:
            node = node.get(parent) or {}
        node.pop(last, None)
    return dict(kept)


def run_name(config: Mapping[str, Any], data_fingerprint: str) -> str:
    """Readable words and ten hex digits, equal for two configurations that give the same result."""
    record = {"config": determining(config), "data": data_fingerprint}
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
    return "_".join(words)


def digest_of(name: str) -> str:
    """The hash at the end of a run's name."""
    return name.rpartition("_")[2]


def image_size_word(image_size: Any) -> str:
    """`320` or `480x640` (height first)."""
    return "x".join(map(str, image_size)) if isinstance(image_size, list) else str(image_size)
