"""Places of a diagram's nodes on a grid: a column for each step, a row for each level, lanes within a row.

A map that is read several columns further to the right keeps a lane of its row free on the way there, so that
no arrow crosses a box.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gffpn.report.diagram.graph import Graph, Node, neighbours


@dataclass(frozen=True)
class Grid:
    """Columns, and lanes within the row of a node's stride, both counted from 0."""

    column: Mapping[str, int]
    lane: Mapping[str, int]
    """Lane of each node in its column."""
    passing: Mapping[str, int]
    """For each node whose result is read further to the right, its lane in the columns between."""
    last: Mapping[str, int]
    """Last column in which a node's result is read."""


def grid(graph: Graph) -> Grid:
    """Return the places of the nodes of a graph without cycles."""
    column = columns(graph)
    after = neighbours(graph.edges)
    before = neighbours((target, source) for source, target in graph.edges)
    stride = {node.name: node.stride for node in graph.nodes}
    last = {name: max((column[other] for other in after.get(name, ())), default=0) for name in column}
    lane: dict[str, int] = {}
    passing: dict[str, int] = {}
    rows: dict[int, _Row] = {node.stride: _Row() for node in graph.nodes}
    by_column: dict[int, list[Node]] = {}
    for node in graph.nodes:
        by_column.setdefault(column[node.name], []).append(node)
    for here, nodes in sorted(by_column.items()):
        wishes = {}
        for node in nodes:
            # the lane in which an arrow to it is straight
            level = [name for name in before.get(node.name, ()) if stride[name] == node.stride]
            wishes[node.name] = min((passing.get(name, lane[name]) for name in level), default=0)
        for node in sorted(nodes, key=lambda node: wishes[node.name]):
            lane[node.name] = rows[node.stride].take(wishes[node.name], here, here)
        for name in (node.name for node in nodes if last[node.name] > here + 1):
            # a next step at the same level has the right of way
            next_one = any(
                column[other] == here + 1 and stride[other] == stride[name] for other in after[name]
            )
            passing[name] = rows[stride[name]].take(lane[name] + next_one, here + 1, last[name] - 1)
    return Grid(column, lane, passing, last)


def columns(graph: Graph) -> dict[str, int]:
    """Return the column of each node: one further than the last node that it reads.

    The pieces of a module share a column; inputs are in the first one, outputs in the last.
    """
    whole = {node.name: node.whole or node.name for node in graph.nodes}
    before = neighbours((whole[target], whole[source]) for source, target in graph.edges)
    depth: dict[str, int] = {}

    def depth_of(name: str) -> int:
        if name not in depth:
            depth[name] = 1 + max((depth_of(source) for source in before.get(name, ())), default=-1)
        return depth[name]

    found = {node.name: depth_of(whole[node.name]) for node in graph.nodes}
    end = 1 + max((found[node.name] for node in graph.nodes if node.kind != "output"), default=0)
    return {node.name: end if node.kind == "output" else found[node.name] for node in graph.nodes}


@dataclass
class _Row:
    busy: set[tuple[int, int]] = field(default_factory=set)
    """Pairs of lane and column."""

    def take(self, wish: int, first: int, last: int) -> int:
        """Return the lane nearest to `wish` that is free from column `first` to `last`, and occupy it."""
        span = range(first, last + 1)
        free = (
            lane
            for lane in sorted(range(wish + len(self.busy) + 1), key=lambda lane: (abs(lane - wish), lane))
            if not any((lane, column) in self.busy for column in span)
        )
        chosen = next(free)
        self.busy.update((chosen, column) for column in span)
        return chosen
