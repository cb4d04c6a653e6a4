"""Types of a constructor's arguments, read from its source, because importing it may import torch."""

import ast
import builtins
import collections.abc
import importlib.util
import typing
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple


class _Module(NamedTuple):
    """Definitions at the top of a module."""

    classes: Mapping[str, ast.ClassDef]
    aliases: Mapping[str, ast.expr]
    """Assigned names, such as `Mix = Literal[...]`."""
    imported: Mapping[str, tuple[str, str]]
    """Module and name by the name here."""


def argument_types(target: str) -> dict[str, Any]:
    """Return the types of a class's keyword arguments by name, given its dotted name.

    A type that cannot be read is Any. The result is empty if there is no such class or no source.
    """
    module, _, name = target.rpartition(".")
    found: dict[str, Any] = {}
    for where, defined in _lineage(module, name):
        for argument, annotation in _annotations(defined):
            found.setdefault(argument, _evaluate(annotation, where))
    return found


def _annotations(defined: ast.ClassDef) -> Iterator[tuple[str, ast.expr]]:
    """Yield the keyword arguments of `__init__`, or the fields of a dataclass, with their annotations."""
    for part in defined.body:
        if isinstance(part, ast.FunctionDef) and part.name == "__init__":
            yield from ((one.arg, one.annotation) for one in part.args.kwonlyargs if one.annotation)
        if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name) and defined.decorator_list:
            yield part.target.id, part.annotation


def _lineage(module: str, name: str) -> Iterator[tuple[str, ast.ClassDef]]:
    """Yield a class and its bases with the modules in which they are defined."""
    contents = _read(module)
    if contents is None:
        return
    if name in contents.imported:
        yield from _lineage(*contents.imported[name])
    elif name in contents.classes:
        defined = contents.classes[name]
        yield module, defined
        for base in defined.bases:
            plain = base.value if isinstance(base, ast.Subscript) else base
            if isinstance(plain, ast.Name):
                yield from _lineage(module, plain.id)


def _evaluate(annotation: ast.expr, module: str) -> Any:
    code = compile(ast.Expression(annotation), module, "eval")
    try:
        return eval(code, {"__builtins__": {}}, _Names(module))
    except Exception:  # a type that is not made of the names below; it is described by the comment alone
        return Any


class _Names(dict[str, Any]):
    """Names in an annotation: built-in types, those of typing and collections.abc, and aliases of gffpn."""

    def __init__(self, module: str) -> None:
        super().__init__()
        self.module = module

    def __missing__(self, name: str) -> Any:
        for standard in (builtins, typing, collections.abc):
            if hasattr(standard, name):
                return getattr(standard, name)
        contents = _read(self.module)
        if contents and name in contents.aliases:
            return _evaluate(contents.aliases[name], self.module)
        if contents and name in contents.imported:
            return _Names(contents.imported[name][0])[contents.imported[name][1]]
        return Any


@cache
def _read(module: str) -> _Module | None:
    """Return the definitions of a module; None if its source is not found or is of another package's.

    Only the packages around the module are imported, and those of gffpn import nothing.
    """
    try:
        spec = importlib.util.find_spec(module)
        tree = ast.parse(Path(str(spec.origin)).read_text(encoding="utf-8")) if spec else None
    except (ImportError, ValueError, OSError, SyntaxError):
        return None
    body = tree.body if tree else []
    return _Module(
        {one.name: one for one in body if isinstance(one, ast.ClassDef)},
        {
            one.targets[0].id: one.value
            for one in body
            if isinstance(one, ast.Assign) and isinstance(one.targets[0], ast.Name)
        },
        {
            name.asname or name.name: (one.module, name.name)
            for one in body
            if isinstance(one, ast.ImportFrom) and one.module
            for name in one.names
        },
    )
