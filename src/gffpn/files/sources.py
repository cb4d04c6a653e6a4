"""Source files of modules: digests of their syntax trees, and what they import.

Comments, docstrings and formatting do not count. Modules are digested when the process first looks at them,
which is at its start, so that an edit made while a run trains is not taken for code that the run used.
"""

import ast
import hashlib
import importlib.util
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import NamedTuple

from gffpn.files.content import content_digest, stamp
from gffpn.files.writing import write_atomically

Modules = Mapping[str, str]
"""Digest of each module's code, by the module's name."""

MEMO = "code-digests.json"
RULES = 1
"""Version of `syntax_digest`; a memo of another version is ignored."""


class Source(NamedTuple):
    """Facts about a module's source file."""

    digest: str
    imports: tuple[str, ...]
    """Names that its import statements may refer to: modules, or attributes of modules."""


# of this process; a module is not digested again, as Python does not load it again either
_known: dict[str, Source | None] = {}


def modules_reached(start: Iterable[str], counts: Callable[[str], bool], cache_dir: Path) -> dict[str, str]:
    """Return the modules that `start` names and all that they import, if they count, sorted by name.

    Modules are found by their import statements, so one that is imported by a computed name is missed.
    Digests of unchanged files are remembered below `cache_dir`.
    """
    memo = _Memo(cache_dir / MEMO)
    waiting, found = list(start), dict[str, str]()
    visited: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in visited or not counts(name):
            continue
        visited.add(name)
        source = _source(name, memo)
        if source is not None:
            found[name] = source.digest
            waiting += source.imports
        waiting.append(name.rpartition(".")[0] or name)
    memo.keep()
    return dict(sorted(found.items()))


def digested() -> dict[str, str]:
    """Return all modules that this process has digested."""
    return {name: source.digest for name, source in _known.items() if source is not None}


def code_digest(modules: Modules) -> str:
    """Return 12 hex digits of a hash of all modules."""
    return hashlib.sha256(json.dumps(dict(sorted(modules.items()))).encode()).hexdigest()[:12]


def _source(name: str, memo: "_Memo") -> Source | None:
    """Return the facts about a module; None if it does not exist or has no code, as a folder without any."""
    if name not in _known:
        _known[name] = memo.source(name)
    return _known[name]


def spec_of(name: str) -> ModuleSpec | None:
    """Return the specification of a module, imported or not."""
    if name in sys.modules:
        return getattr(sys.modules[name], "__spec__", None)
    # raises if the name is an attribute of a module, or if its package cannot be imported
    with suppress(Exception):
        return importlib.util.find_spec(name)
    return None


def location_of(spec: ModuleSpec | None) -> Path | None:
    """Return a module's file, or the first folder of a namespace package; None for what has neither."""
    if spec is None:
        return None
    if spec.has_location and spec.origin is not None:
        return Path(spec.origin)
    return Path(folders[0]) if (folders := list(spec.submodule_search_locations or ())) else None


class _Memo:
    """File that remembers the facts about sources while their sizes and times stay the same."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._files: dict[str, list[object]] = {}
        self._changed = False
        with suppress(OSError, ValueError, TypeError, KeyError):
            memo = json.loads(path.read_bytes())
            self._files = dict(memo["files"]) if memo["rules"] == RULES else {}

    def source(self, name: str) -> Source | None:
        """Return the facts about module `name`, or None if it has no code."""
        spec = spec_of(name)
        path = location_of(spec)
        if spec is None or path is None or path.is_dir():
            return None
        seen = [*stamp(path), name] if path.is_file() else []  # a module in an archive is no file
        entry = self._files.get(str(path))
        if entry is None or entry[0] != seen or not seen:
            entry = [seen, *_facts(spec, path, name)]
            self._files[str(path)], self._changed = entry, True
        _, digest, imports = entry
        return Source(str(digest), tuple(imports))  # type: ignore[arg-type]

    def keep(self) -> None:
        """Write what has been added; without write permission, the next start digests the files again."""
        if self._changed:
            with suppress(OSError):
                write_atomically(self.path, json.dumps({"rules": RULES, "files": self._files}))
            self._changed = False


def _facts(spec: ModuleSpec, path: Path, name: str) -> tuple[str, list[str]]:
    """Return the digest of a module's code, and its imports; a compiled module has none that can be read."""
    source = None
    with suppress(Exception):
        source = spec.loader.get_source(name)  # type: ignore[union-attr]
    if source is None:
        return content_digest(path)[:12], []
    try:
        tree = ast.parse(source)
    except SyntaxError:  # of a file that was edited after its import
        return content_digest(path)[:12], []
    is_package = spec.submodule_search_locations is not None
    return syntax_digest(tree), list(_imports(tree, name, package=is_package))


def syntax_digest(tree: ast.AST) -> str:
    """Return 12 hex digits of a hash of a syntax tree, equal for all versions of Python.

    Docstrings and other string literals that stand as statements are left out.
    """
    digest = hashlib.blake2b(digest_size=6)
    _feed(digest, tree)
    return digest.hexdigest()


def _feed(digest: "hashlib.blake2b", node: object) -> None:
    if (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    ):
        return
    if isinstance(node, ast.AST):
        digest.update(f"({type(node).__name__}".encode())
        for field in node._fields:
            value = getattr(node, field, None)
            if value is not None and value != []:  # newer versions of Python add empty fields
                digest.update(f" {field}".encode())
                _feed(digest, value)
        digest.update(b")")
    elif isinstance(node, list):
        for item in node:
            _feed(digest, item)
    else:
        digest.update(repr(node).encode(errors="surrogatepass"))


def _imports(tree: ast.AST, name: str, *, package: bool) -> Iterator[str]:
    """Yield the full names that the import statements of module `name` may refer to."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = name.split(".")[: len(name.split(".")) - node.level + package] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = getattr(node.func, "attr", getattr(node.func, "id", None))
            if called in ("import_module", "__import__"):
                yield str(node.args[0].value)
