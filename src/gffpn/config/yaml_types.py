"""Check of YAML values against annotated types, and descriptions of these types for users."""

import inspect
import types
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Union, get_args, get_origin

WORDS: Mapping[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a string",
    type(None): "null",
}


def fits(value: object, hint: Any) -> bool:
    """Return whether a YAML value fits an annotated type; True for types that YAML cannot express."""
    origin, arguments = get_origin(hint) or hint, get_args(hint)
    if origin in (Union, types.UnionType):
        return any(fits(value, argument) for argument in arguments)
    if origin is Literal:
        return value in arguments
    if origin is float:
        return type(value) in (int, float)
    if origin in WORDS:
        return type(value) is origin
    if origin is tuple and ... not in arguments:
        return isinstance(value, list) and len(value) == len(arguments) and all(map(fits, value, arguments))
    if _is(origin, Sequence):
        # class names may be numbers, so the items of a list of strings are not checked
        return isinstance(value, list) and (arguments[0] is str or all(fits(v, arguments[0]) for v in value))
    return isinstance(value, dict) if _is(origin, Mapping) else True


def words(hint: Any) -> str:
    """Return a description of a type for users."""
    origin, arguments = get_origin(hint) or hint, get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(map(words, arguments))
    if origin is Literal:
        return f"one of {list(arguments)}"
    if origin is tuple and ... not in arguments:
        return f"a list of {len(arguments)}: {', '.join(map(words, arguments))}"
    if origin not in WORDS and _is(origin, Sequence):
        return f"a list, each {words(arguments[0])}"
    return WORDS.get(origin, "a mapping")


def _is(origin: Any, kind: type) -> bool:
    return inspect.isclass(origin) and issubclass(origin, kind)
