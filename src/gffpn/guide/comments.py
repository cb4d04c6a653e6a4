"""Reader of a configuration file that keeps what YAML parsers drop: its comments and its line numbers."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import yaml
from yaml import MappingNode, Node, ScalarNode, SequenceNode

try:  # libyaml, ten times faster
    from yaml import CSafeLoader as Loader
except ImportError:  # pragma: no cover
    from yaml import SafeLoader as Loader  # type: ignore[assignment]

GLOBAL = "# @package _global_"


class Entry(NamedTuple):
    """Key of a file with its value and its comment."""

    key: str
    """Dotted path in the file."""
    value: str | None
    """As it is written; None for a mapping in several lines, whose keys are entries of their own."""
    comment: str
    line: int
    """Counted from 1."""


class Default(NamedTuple):
    """Item of a defaults list."""

    group: str
    """As it is written, such as `neck`, `/neck@base` or `override /head`; empty for `fpn` alone."""
    option: str
    comment: str
    line: int


class Commented(NamedTuple):
    """Contents of one configuration file."""

    header: Sequence[str]
    """Lines of the comment at the top of the file, without `#` and without the package directive."""
    is_global: bool
    """Whether the keys stand at the top of the configuration, not below the file's group."""
    defaults: Sequence[Default]
    entries: Sequence[Entry]


def read_commented(path: Path) -> Commented:
    """Return the keys and the comments of a YAML file of configuration.

    A comment belongs to the key beside it or, if it has the same indentation, to the key directly below it.
    The comment at the top of a file describes the file. A mapping in braces is a value.

    Raises ValueError, with the file's name, if it is not valid YAML or its defaults are not a list.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        root = yaml.compose("\n".join(lines), Loader=Loader)
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise ValueError(f"{shown(path)}: not readable as YAML: {' '.join(str(error).split())}") from error
    top = [*_leading(lines)]
    items = list(root.value) if isinstance(root, MappingNode) else []
    reader = _Reader(lines, len(top))
    listed = [node for key, node in items if key.value == "defaults"]
    if not all(isinstance(node, SequenceNode) for node in listed):
        raise ValueError(f"{shown(path)}: defaults: expected a list, such as [_self_, fpn]")
    defaults = [reader.default(item) for node in listed for item in node.value]
    entries = [entry for pair in items if pair[0].value != "defaults" for entry in reader.entries(pair, "")]
    header = [line.removeprefix("#").removeprefix(" ") for line in top if line != GLOBAL]
    return Commented(header, GLOBAL in top, defaults, entries)


def shown(path: Path) -> str:
    """Return a path as it is typed: relative to the working directory if it is below it."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _leading(lines: Sequence[str]) -> Iterator[str]:
    for line in lines:
        if not line.startswith("#"):
            return
        yield line.rstrip()


class _Reader:
    """Finder of the comments of one file, whose first `start` lines are its header."""

    def __init__(self, lines: Sequence[str], start: int) -> None:
        self.lines = lines
        self.start = start

    def entries(self, pair: tuple[Node, Node], where: str) -> Iterator[Entry]:
        """Yield a key and, if its value is a mapping in several lines, all keys in it."""
        key, node = pair
        name = f"{where}.{key.value}" if where else str(key.value)
        nested = isinstance(node, MappingNode) and not node.flow_style
        value = None if nested else self._written(node)
        # a comment beside the key of a nested mapping or of a list in several lines, else beside its value
        end = key.end_mark if nested or node.start_mark.line > key.start_mark.line else node.end_mark
        yield Entry(name, value, self._comment(key, end.line, end.column), key.start_mark.line + 1)
        for below in node.value if nested else ():
            yield from self.entries(below, name)

    def default(self, item: Node) -> Default:
        """Return an item of the defaults list: `- neck: gffpn`, `- fpn` or `- _self_`."""
        pair = item.value[0] if isinstance(item, MappingNode) else (ScalarNode("", ""), item)
        group, option = pair
        comment = self._comment(item, option.end_mark.line, option.end_mark.column)
        return Default(str(group.value), str(option.value), comment, item.start_mark.line + 1)

    def _written(self, node: Node) -> str:
        start, end = node.start_mark, node.end_mark
        if isinstance(node, SequenceNode) and not node.flow_style:  # a list with an item per line
            return f"[{', '.join(self._written(item) for item in node.value)}]"
        if start.line != end.line:  # a value in several lines, as one
            return " ".join(str(node.value).split()) if isinstance(node, ScalarNode) else str(node.tag)
        return self.lines[start.line][start.column : end.column].strip()

    def _comment(self, key: Node, line: int, column: int) -> str:
        above: list[str] = []
        indent = " " * key.start_mark.column
        for number in range(key.start_mark.line - 1, self.start - 1, -1):
            if not self.lines[number].startswith(f"{indent}#"):
                break
            above.insert(0, self.lines[number])
        beside = re.match(r":?\s+(#.*)", self.lines[line][column:])
        words = [*above, *([beside[1]] if beside else [])]
        return " ".join(word.strip().removeprefix("#").strip() for word in words)
