"""One-line messages about wrong overrides, with the value given and the values allowed."""

import difflib
import logging
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import (
    HydraException,
    InstantiationException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf import Container, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException
from yaml import YAMLError

from gffpn.data.readers.quoting import hydra_value, override
from gffpn.machine.signals import HOW_TO_CONTINUE, INTERRUPTED, interrupted_by_sigterm

_PACKAGE = Path(__file__).resolve().parents[1]
# conf/ is inside the package in a wheel, and at the top level in a checkout
CONF = next(path for path in (_PACKAGE / "conf", _PACKAGE.parents[1] / "conf") if path.is_dir())
OmegaConf.register_new_resolver("conf_dir", lambda: str(CONF))
WRONG_OVERRIDE = (HydraException, OmegaConfBaseException, YAMLError)
"""Exceptions raised by composing and resolving a configuration."""
_SEARCH_PATH = "hydra.searchpath"
_FILE = "file://"
_PARSER = OverridesParser.create()
HIDDEN = frozenset({"_target_", "hydra", "choice"})


def search_path(folders: Sequence[Path]) -> list[str]:
    """Return the override that adds folders of configuration files, as Hydra's own `--config-dir` does.

    The list is empty without folders. Raises ValueError for a folder that does not exist.
    """
    for folder in folders:
        if not folder.is_dir():
            raise ValueError(f"--config-dir: got {folder}, expected a folder")
    paths = hydra_value([f"{_FILE}{folder.resolve()}" for folder in folders])
    return [f"{_SEARCH_PATH}={paths}"] if folders else []


def choices(group: str, overrides: Sequence[str]) -> list[str]:
    """Return the options of a configuration group, including those in folders added by `search_path`."""
    given = [_PARSER.parse_override(word).value() for word in overrides if word.startswith(_SEARCH_PATH)]
    added = [
        Path(str(path).removeprefix(_FILE)) for paths in given if isinstance(paths, list) for path in paths
    ]
    return sorted({file.stem for folder in (CONF, *added) for file in (folder / group).glob("*.yaml")})


def start(main: Callable[[], object]) -> None:
    """Run Hydra's `main` and turn wrong overrides into one line on stderr and exit code 2.

    Ctrl-C and SIGTERM outside of a run, such as during the imports, also print one line.
    Exceptions raised by a run keep their traceback, and with HYDRA_FULL_ERROR=1 all exceptions do.
    """
    if os.environ.get("HYDRA_FULL_ERROR") == "1":
        main()
        return
    os.environ["HYDRA_FULL_ERROR"] = "1"  # otherwise Hydra prints its own message and exits
    try:
        with interrupted_by_sigterm():
            main()
    except KeyboardInterrupt:
        logging.disable(logging.INFO)  # torch logs statistics at exit
        print(HOW_TO_CONTINUE, flush=True)
        raise SystemExit(INTERRUPTED) from None
    except (*WRONG_OVERRIDE, ValueError) as error:
        modules = {frame.f_globals.get("__name__") for frame, _ in traceback.walk_tb(error.__traceback__)}
        if "gffpn.suite.run" in modules:  # a run had started, so no override is to blame
            raise
        refuse(explain(error))
    finally:
        del os.environ["HYDRA_FULL_ERROR"]


def check_words(words: Sequence[str]) -> None:
    """Refuse an empty argument, which would mean the working directory, with one line and exit code 2."""
    for place, word in enumerate(words):
        if not word or (word.startswith("--") and word.endswith("=")):
            before = " ".join(words[:place]) or "the command"
            refuse(f"{word or 'an argument'} is empty, after {before!r}: is a variable of the shell not set?")


def refuse(error: Exception | str, *, code: int = 2) -> None:
    """Print an error on stderr and exit with `code`."""
    print(f"ERROR: {error}", file=sys.stderr, flush=True)
    raise SystemExit(code) from None


def explain(error: Exception) -> str:
    """Explain in one line what is wrong with an override."""
    if isinstance(error, MissingConfigException) and error.options is not None:
        group, _, name = (error.missing_cfg_file or "").rpartition("/")
        return got(group, name, list(error.options))
    if isinstance(error, OverrideParseException):
        fault = _flat(error.message.replace(f"Error parsing override '{error.override}'", ""))
        example = _corrected(error.override) or "KEY='\"a,b\"'"
        return f"{error.override}: {fault}: expected KEY=VALUE, with special characters in quotes: {example}"
    if str(error).startswith("Ambiguous value"):
        given = str(error).splitlines()[0].split("'", 1)[1].rsplit("'", 1)[0]
        single = _corrected(given) if "/" in given else ""  # such as a path, and unlike the names of options
        cure = f"; if they are one value: {single}" if single else ""
        return f"{given}: several values, expected one; use python train.py -m to run them in turn{cure}"
    cause = error if isinstance(error, OmegaConfBaseException) else error.__cause__
    if isinstance(cause, ConfigAttributeError | ConfigKeyError) and cause.parent_node is not None:
        return _no_such_key(str(cause.full_key), cause.parent_node)
    return _flat(str(error))


def _corrected(given: str) -> str:
    """Return an override whose value is text, ready to be pasted; empty if it may be a list or mapping."""
    key, _, value = given.partition("=")
    plain = re.fullmatch(r"\+{0,2}[A-Za-z_][\w.@/-]*", key) and value and value[0] not in "[{\"'"
    return override(key, value) if plain else ""


def unwrapped(error: Exception) -> Exception:
    """Return the exception that a constructor raised, without the wrapper that Hydra puts around it."""
    cause = error.__cause__
    return cause if isinstance(error, InstantiationException) and isinstance(cause, Exception) else error


def got(where: str, value: object, choices: Sequence[str]) -> str:
    """Return the message for a value that is not among its choices, suggesting the one that may be meant."""
    near = difflib.get_close_matches(str(value), choices, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"{where}: got {value!r}, expected one of {list(choices)}{hint}"


def _no_such_key(full_key: str, parent_node: Container) -> str:
    parent, _, key = full_key.rpartition(".")
    siblings = list(map(str, parent_node))
    if not siblings and parent:  # a mapping that users fill, such as trainer.extra
        return f"{full_key}: not there yet; to add it, use +{full_key}=VALUE"
    groups = [] if parent else [path.name for path in CONF.iterdir() if path.is_dir()]
    known = sorted({*siblings, *groups} - HIDDEN)
    if full_key == "data.root":  # the default data set is simulated
        return f"{full_key}: the simulated set has none; to read a folder: data=auto data.root=FOLDER"
    names = [*names_of(OmegaConf.to_container(parent_node._get_root()))]
    ends = {one.rpartition(".")[2]: one for one in reversed(names) if one.partition(".")[0] not in HIDDEN}
    like = difflib.get_close_matches(key, known, n=1)
    beside = [".".join(filter(None, [parent, one])) for one in like]
    near = [ends[key]] if key in ends else beside or _like(key, ends)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"{full_key}: no such key, expected one of {known}{hint}"


def _like(key: str, ends: Mapping[str, str]) -> list[str]:
    """Return the name, if any, whose last word, a key of `ends`, is like `key` or contains it."""
    near = difflib.get_close_matches(key, ends, n=1, cutoff=0.7)
    return [ends[one] for one in near or [end for end in ends if key in end.split("_")][:1]]


def names_of(node: object, where: str = "") -> Iterator[str]:
    """Yield the keys of nested mappings with dots: `optim`, `optim.lr`; not those that start with `_`."""
    for key, value in node.items() if isinstance(node, dict) else ():
        if not str(key).startswith("_"):
            name = f"{where}.{key}" if where else str(key)
            yield name
            yield from names_of(value, name)


def _flat(text: str) -> str:
    advice = ("See https", "To append", "object_type")  # addressed to authors of Hydra configurations
    lines = [line.strip() for line in text.splitlines()]
    return " ".join(line for line in lines if line and not line.startswith(advice))
