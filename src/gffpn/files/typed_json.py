"""Frozen dataclasses as JSON, and back with their types checked."""

import dataclasses
import json
import types
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


class UnknownFieldError(ValueError):
    """Raised for a field that the dataclass does not have: the file may be newer than this code."""


def parsed(text: str | bytes) -> Any:
    """Return the value of a JSON text. Raises ValueError, also if it is nested too deeply."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def from_json(kind: type[T], value: Any, where: str = "") -> T:
    """Return the dataclass `kind` whose `dataclasses.asdict` was written as JSON; lists become tuples.

    A missing field takes its default if it has one, because the file may be older than the field. Raises
    ValueError with one line that names the first field that is missing, unknown (an UnknownFieldError) or of
    another type.
    """
    if not isinstance(value, dict):
        raise ValueError(f"{where or kind.__name__}: got {value!r:.60}, expected an object")
    hints = get_type_hints(kind)
    required = {
        field.name: field.default is dataclasses.MISSING
        for field in dataclasses.fields(kind)  # type: ignore[arg-type]
    }
    for name, needed in required.items():
        if needed and name not in value:
            raise ValueError(f"{_inside(where, name)}: missing")
    for name in value:
        if name not in required:
            raise UnknownFieldError(f"{_inside(where, name)}: unknown")
    return kind(**{name: _read(hints[name], one, _inside(where, name)) for name, one in value.items()})


def _inside(where: str, name: object) -> str:
    return f"{where}.{name}" if where else str(name)


def _read(kind: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(kind):
        return from_json(kind, value, where)  # type: ignore[arg-type]
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in inner:
            return None
        (kept,) = [one for one in inner if one is not type(None)]
        return _read(kept, value, where)
    if origin is tuple and isinstance(value, list):
        kinds = [inner[0]] * len(value) if inner[-1] is ... else inner
        if len(kinds) == len(value):
            items = enumerate(zip(kinds, value, strict=True))
            return tuple(_read(one, item, _inside(where, position)) for position, (one, item) in items)
    if origin is dict and isinstance(value, dict):
        return {key: _read(inner[1], item, _inside(where, key)) for key, item in value.items()}
    if kind is float and type(value) is int:
        return float(value)
    if origin is None and type(value) is kind:
        return value
    raise ValueError(f"{where}: got {value!r:.60}, expected {getattr(kind, '__name__', kind)}")
