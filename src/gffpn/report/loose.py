"""Overrides by which runs that no sweep started differ, as if a sweep had varied them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gffpn.runs.folder import RunFolder
from gffpn.runs.identity import determining
from gffpn.runs.reading import arm_of

CHOICES = ("neck", "ablation", "backbone", "head", "data")
"""Choices by name, which say more than the settings that they stand for."""


def pseudo_overrides(runs: Sequence[Path]) -> list[list[str]]:
    """Return the overrides of each run: those by which the runs differ, always its neck and its seed.

    Runs get equal overrides, but for the seed, if their configurations are equal but for the seed. A choice
    such as `neck=fpn` is named before single settings, and settings only as far as they are needed.
    """
    configs = [RunFolder(run).read_config() for run in runs]
    records = [RunFolder(run).read() for run in runs]
    arms = [
        arm_of(run, record.training.processes if record else 1)
        for run, record in zip(runs, records, strict=True)
    ]
    facts = [{**_facts(config), "arm": arm} for config, arm in zip(configs, arms, strict=True)]
    keys = _separating(facts, len(set(arms)))
    return [
        [*(f"{key}={fact.get(key, 'null')}" for key in keys), f"seed={config.get('seed', 0)}"]
        for fact, config in zip(facts, configs, strict=True)
    ]


def _separating(facts: Sequence[Mapping[str, str]], arms: int) -> list[str]:
    """Return the keys by which all arms differ: choices first, `arm` (a hash) only if nothing else does."""
    keys = [key for key in CHOICES if key == "neck" or len({fact.get(key) for fact in facts}) > 1]
    every = dict.fromkeys(key for fact in facts for key in fact)
    for key in every:
        if _points(facts, keys) == arms:
            break
        if key not in CHOICES and _points(facts, [*keys, key]) > _points(facts, keys):
            keys.append(key)
    return keys


def _points(facts: Sequence[Mapping[str, str]], keys: Sequence[str]) -> int:
    return len({tuple(fact.get(key) for key in keys) for fact in facts})


def _facts(config: Mapping[str, Any]) -> dict[str, str]:
    """Return the choices and the determining settings of a run, without its seed, by their full keys."""
    chosen = {key: config.get("choice", {}).get(key) for key in CHOICES}
    plain = {key: value for key, value in determining(config).items() if key != "seed"}
    return {key: _word(value) for key, value in [*chosen.items(), *_leaves("", plain)]}


def _leaves(where: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _leaves(f"{where}.{key}" if where else str(key), item)
    else:
        yield where, value


def _word(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
