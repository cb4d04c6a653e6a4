"""Graph of a network as plain values: what `microscope` traces and `svg` draws."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Literal

Kind = Literal["input", "output", "module", "operator"]
SIGNS = frozenset(["+", "−", "×", "÷", "σ", "cat", "up"])
"""Operators that are drawn as a circle without a shape."""
# pattern in a box's lines -> its meaning
LEGEND = {
    r"^cat$": "cat: concatenation of the channels",
    r"^up$": "up: resized to a finer level",
    r"\d s\d": "s2: stride 2",
    r"\d d\d": "d2: dilation 2",
}
MOST_LINES = 5
"""Steps of a chain that one box may show."""


@dataclass(frozen=True)
class Node:
    """A box of the diagram, or one piece of a box that reaches over several levels."""

    name: str
    """Unique in the graph."""
    kind: Kind
    steps: tuple[str, ...]
    """What happens in it, one after the other."""
    shape: str
    """Shape of its result, such as `64 \N{MULTIPLICATION SIGN} 40 \N{MULTIPLICATION SIGN} 40`."""
    stride: int
    """Level at which it is drawn, in input pixels per cell."""
    about: str = ""
    """Text for those who point at it."""
    whole: str = ""
    """Nodes with equal names here are the pieces of one module, each at its own level."""
    part: str = ""
    """Part of the network to which it belongs; empty if it is a part itself."""

    @property
    def sign(self) -> bool:
        """Whether it is drawn as a circle."""
        return self.kind == "operator" and len(self.steps) == 1 and self.steps[0] in SIGNS

    @property
    def lines(self) -> tuple[str, ...]:
        """The steps with repetitions counted: `3 x Residual`."""
        runs = [(step, len(list(same))) for step, same in groupby(self.steps)]
        return tuple(step if n == 1 else f"{n} \N{MULTIPLICATION SIGN} {step}" for step, n in runs)


@dataclass(frozen=True)
class Graph:
    """Nodes in order of execution, inputs first, and the names of the nodes at both ends of each arrow."""

    title: str
    nodes: tuple[Node, ...]
    edges: tuple[tuple[str, str], ...]

    @property
    def legend(self) -> str:
        """The meaning of the abbreviations in the graph; empty if there are none."""
        lines = [line for node in self.nodes for line in node.lines]
        meanings = [LEGEND[form] for form in LEGEND if any(re.search(form, line) for line in lines)]
        if any(node.whole for node in self.nodes):
            meanings.append("boxes joined by a line: one module")
        return "; ".join(meanings)

    def chained(self) -> "Graph":
        """Return the graph with each chain of nodes in one box.

        A node joins the one before it if neither has another neighbour there and both are at one level.
        """
        before = neighbours((target, source) for source, target in self.edges)
        after = neighbours(self.edges)
        heads: dict[str, str] = {}
        chains: dict[str, list[Node]] = {}
        by_name = {node.name: node for node in self.nodes}
        for node in self.nodes:
            sources = before.get(node.name, ())
            last = by_name[sources[0]] if len(sources) == 1 else None
            head = heads[last.name] if last and len(after[last.name]) == 1 and _joins(last, node) else ""
            if not head or len(chains[head]) == MOST_LINES:
                head = node.name
            heads[node.name] = head
            chains.setdefault(head, []).append(node)
        edges = ((heads[source], heads[target]) for source, target in self.edges)
        kept = tuple(dict.fromkeys((source, target) for source, target in edges if source != target))
        return replace(self, nodes=tuple(_joined(chain) for chain in chains.values()), edges=kept)


def neighbours(edges: Iterable[tuple[str, str]]) -> Mapping[str, tuple[str, ...]]:
    """Return, for each first name of a pair, the second names that stand with it, each once and in order."""
    found: dict[str, dict[str, None]] = {}
    for first, second in edges:
        found.setdefault(first, {})[second] = None
    return {name: tuple(others) for name, others in found.items()}


def _joins(last: Node, node: Node) -> bool:
    inner = ("module", "operator")
    pieces = last.whole or node.whole
    return last.kind in inner and node.kind in inner and not pieces and last.stride == node.stride


def _joined(chain: list[Node]) -> Node:
    first, last = chain[0], chain[-1]
    if first is last:
        return first
    kind: Kind = "module" if any(node.kind == "module" for node in chain) else "operator"
    steps = tuple(step for node in chain for step in node.steps)
    about = "\n".join(node.about for node in chain if node.about)
    part = first.part if all(node.part == first.part for node in chain) else ""
    return replace(last, name=first.name, kind=kind, steps=steps, about=about, part=part)
