"""Whether a YAML value may be meant by an annotated type, and how such a type is told to a user."""

import inspect
import types
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Union, get_args, get_origin

WORDS: Mapping[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a text",
    type(None): "null",
}


def fits(value: object, hint: Any) -> bool:
    """True, too, for types that YAML does not write."""
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
        # a class may be named by a number
        return isinstance(value, list) and (arguments[0] is str or all(fits(v, arguments[0]) for v in value))
    return isinstance(value, dict) if _is(origin, Mapping) else True


def words(hint: Any) -> str:
    """A type in a user's words."""
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
