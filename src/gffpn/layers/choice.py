"""A choice that a user writes in YAML is a key of a table."""

from collections.abc import Hashable, Mapping
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


def choose(name: str, got: Key, table: Mapping[Key, Value]) -> Value:
    """The value in `table` of the choice `got`.

    Raises ValueError that names the argument and lists the choices.
    """
    try:
        return table[got]
    except (KeyError, TypeError):  # TypeError: a YAML list or mapping is no key
        raise ValueError(f"{name}: got {got!r}, expected one of {list(table)}") from None
