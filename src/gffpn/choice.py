"""Validated look-up of the choices that users write in YAML."""

from collections.abc import Hashable, Iterable, Mapping
from typing import Any, TypeVar, get_args

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


def choose(name: str, got: Key, table: Mapping[Key, Value]) -> Value:
    """Return the value of the choice `got` in `table`.

    Raises ValueError, naming the argument and listing the choices, if `table` has no such key.
    """
    try:
        return table[got]
    except (KeyError, TypeError):  # TypeError: a YAML list or mapping is not hashable
        raise ValueError(f"{name}: got {got!r}, expected one of {list(table)}") from None


def one_of(name: str, got: object, choices: Any) -> None:
    """Raise ValueError, naming the argument, unless `got` is one of the values of a `Literal` type."""
    if got not in get_args(choices):
        raise ValueError(f"{name}: got {got!r}, expected one of {list(get_args(choices))}")


def several(where: str, given: Iterable[str]) -> list[str]:
    """Return the texts of a list. Raise ValueError for one text, of which Python would take each letter."""
    if isinstance(given, str):
        raise ValueError(f"{where}: got {given!r}, expected a list, such as {[given]}")
    return list(given)
