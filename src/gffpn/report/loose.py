"""Runs that no sweep started: which belong together, and by which overrides they differ."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gffpn.report.state import damage
from gffpn.runs.folder import RunFolder
from gffpn.runs.identity import determining, digest_of
from gffpn.runs.reading import arm_of

CHOICES = ("neck", "ablation", "backbone", "head", "data")
"""Choices by name, which say more than the settings that they stand for."""


def each_once(folders: Sequence[Path]) -> tuple[list[Path], list[str]]:
    """Return one folder of each configuration and seed, a finished one if there is any, and a note on others.

    The folders are those of one data set. Equal runs give equal results, so a copy is no further seed.
    """
    found: dict[tuple[str, int], list[Path]] = {}
    for path in folders:
        if damage(RunFolder(path)):  # it cannot be compared
            found[str(path), 0] = [path]
            continue
        record, config = RunFolder(path).read(), RunFolder(path).read_config()
        arm = arm_of(path, record.training.processes if record else 1)
        found.setdefault((arm, config.get("seed", 0)), []).append(path)
    kept, notes = [], list[str]()
    for copies in found.values():
        first, *others = sorted(copies, key=lambda path: RunFolder(path).read() is None)
        kept.append(first)
        notes += [f"{other} {_relation(other, first)} {first} and does not count" for other in others]
    return by_name(kept), notes


def _relation(run: Path, first: Path) -> str:
    """Return how a run of equal settings is related: another hash is of other weights to start from."""
    same = digest_of(run.name) == digest_of(first.name) or RunFolder(run).read() == RunFolder(first).read()
    return "is the same run as" if same else "has the settings and the seed, but not the hash, of"


def by_name(folders: Sequence[Path]) -> list[Path]:
    """Return folders in the order that they have in a bundle, in which the first arm is the same one."""
    return sorted(folders, key=lambda path: (path.name, path))


def by_data(folders: Sequence[Path]) -> dict[tuple[str, str], list[Path]]:
    """Return folders of runs by the name and the fingerprint of their data set."""
    sets: dict[tuple[str, str], list[Path]] = {}
    unknown: list[tuple[str | None, Path]] = []
    for path in folders:
        folder = RunFolder(path)
        record, start = folder.read(), folder.read_start()
        if damage(folder):
            name = record.choice.data if record else None
        else:
            name = str(folder.read_config().get("choice", {}).get("data", "data"))
        if name and (record or start):
            fingerprint = record.data.fingerprint if record else start.data if start else ""
            sets.setdefault((name, fingerprint), []).append(path)
        else:
            unknown.append((name, path))
    for name, path in unknown:  # not even started: with the others on data of this name, if it is known
        known = [key for key in sets if name in (key[0], None)]
        sets.setdefault(known[0] if known else (name or "data", ""), []).append(path)
    return sets


def pseudo_overrides(runs: Sequence[Path]) -> list[list[str]]:
    """Return the overrides of each run: those by which the runs differ, always its neck and its seed.

    Runs get equal overrides, but for the seed, if their configurations are equal but for the seed. A choice
    such as `neck=fpn` is named before single settings, and settings only as far as they are needed. Of a run
    whose configuration is damaged, only the neck and the seed of its record are known.
    """
    readable = [run for run in runs if not damage(RunFolder(run))]
    found = dict(zip(readable, _of_readable(readable), strict=True))
    return [found.get(run) or _of_record(run) for run in runs]


def unnamed_differences(runs: Sequence[Path], overrides: Sequence[Sequence[str]]) -> list[str]:
    """Return the settings in which runs differ, but which their overrides, made as short as can be, omit."""
    named = {word.partition("=")[0] for words in overrides for word in words}
    named |= {"neck"} if "ablation" in named else set()
    facts = [_facts(RunFolder(run).read_config()) for run in runs if not damage(RunFolder(run))]
    return [
        key
        for key in dict.fromkeys(key for fact in facts for key in fact)
        if key not in named and key.partition(".")[0] not in named
        if len({fact.get(key) for fact in facts}) > 1
    ]


def _of_record(run: Path) -> list[str]:
    record = RunFolder(run).read()
    return [f"neck={record.choice.neck}", f"seed={record.seed}"] if record else [f"neck={run.name}", "seed=0"]


def _of_readable(runs: Sequence[Path]) -> list[list[str]]:
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
