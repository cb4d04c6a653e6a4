"""Overrides that can be pasted into a shell, quoted by Hydra's rules and by the shell's."""

import re
import shlex
from collections.abc import Mapping, Sequence

_PLAIN = re.compile(r"\.|(?:\.?/|[A-Za-z_])[\w./-]*", re.ASCII)
_WORDS = frozenset({"null", "true", "false", "nan", "inf"})
"""Words that Hydra reads as values of another type."""


def override(key: str, value: object) -> str:
    """Return `key=value` as a word of a shell's command line.

    `value` is None, a bool, a number, a string, or a list or mapping of these.
    """
    return shlex.quote(f"{key}={hydra_value(value)}")


def hydra_value(value: object) -> str:
    """Return a value as Hydra's grammar of overrides has it."""
    if isinstance(value, str):
        return value if _PLAIN.fullmatch(value) and value.lower() not in _WORDS else _quoted(value)
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{hydra_value(k)}:{hydra_value(v)}" for k, v in value.items()) + "}"
    if isinstance(value, Sequence):
        return "[" + ",".join(map(hydra_value, value)) + "]"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)


def _quoted(text: str) -> str:
    # OmegaConf takes ${ for an interpolation unless an odd number of backslashes precedes it
    text = re.sub(r"(\\*)\$\{", lambda match: match[1] * 2 + r"\${", text)
    # Hydra halves the backslashes in front of a quote only
    return '"' + re.sub(r'(\\*)("|$)', lambda match: match[1] * 2 + ('\\"' if match[2] else ""), text) + '"'
