"""YAML values and annotated types: check, conversion, and descriptions of these types for users."""

import inspect
import types
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from hydra.utils import get_object

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
    if origin is Annotated:
        return fits(value, arguments[0])
    if origin in (Union, types.UnionType):
        return any(fits(value, argument) for argument in arguments)
    if origin is Literal:
        return any(type(value) is type(one) and value == one for one in arguments)  # 1.0 and true equal 1
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


@cache
def argument_types(target: str) -> Mapping[str, Any]:
    """Return the annotated types of what a `_target_` takes, by name.

    `Annotated[Mapping[str, Any], X]` is a mapping of fields of the class X, whose types its values have.
    """
    taker = get_object(target)
    return get_type_hints(taker.__init__ if inspect.isclass(taker) else taker, include_extras=True)


def as_typed(value: Any, hint: Any) -> Any:
    """Return a YAML value that fits a type, with 1.0 for 1 where only the type `float` takes it.

    A number in a list of strings, such as the name of a class, becomes a string.
    """
    origin, arguments = get_origin(hint) or hint, get_args(hint)
    if origin is Annotated and isinstance(value, dict):
        fields = get_type_hints(arguments[1])
        return {key: as_typed(one, fields.get(key, Any)) for key, one in value.items()}
    if origin in (Union, types.UnionType):
        own = type(value) in arguments
        return value if own else next((as_typed(value, one) for one in arguments if fits(value, one)), value)
    if origin is float and type(value) is int:
        return float(value)
    if origin is str and type(value) in (int, float):
        return str(value)
    if isinstance(value, list) and origin is tuple and ... not in arguments:
        return [as_typed(one, own) for one, own in zip(value, arguments, strict=True)]
    if isinstance(value, list) and arguments and _is(origin, Sequence):
        return [as_typed(one, arguments[0]) for one in value]
    if isinstance(value, dict) and arguments and _is(origin, Mapping):
        return {key: as_typed(one, arguments[1]) for key, one in value.items()}
    return value


def words(hint: Any) -> str:
    """Return a description of a type for users."""
    origin, arguments = get_origin(hint) or hint, get_args(hint)
    if origin is Annotated:
        return words(arguments[0])
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
