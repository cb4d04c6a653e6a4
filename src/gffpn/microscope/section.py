"""Boxes and arrows of a diagram, from the operators of a trace.

A module is one box if it maps one level to one level. A module that joins several levels is opened as long
as its own operators only move, add, multiply or resize maps; if they do more, it is one box with a piece for
each level. `depth` opens boxes further. Containers (Sequential, ModuleList) are never boxes.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from torch import nn

from gffpn.cost import count_parameters
from gffpn.microscope.trace import INPUT, Frame, Shape, Trace
from gffpn.microscope.words import SPLIT, level_words, module_words, operator_words, shape_words
from gffpn.report.diagram.graph import Graph, Node

# operators of a module that is more than a junction of levels
COMPUTING = {
    *("addmm", "baddbmm", "bmm", "mm", "convolution", "softmax", "im2col", "col2im"),
    *("native_batch_norm", "native_group_norm", "native_layer_norm"),
    *("scaled_dot_product_flash_attention", "scaled_dot_product_flash_attention_for_cpu"),
}


@dataclass(frozen=True)
class Unit:
    """A box: the operators of one module, or a single one."""

    members: tuple[int, ...]
    frame: Frame | None


class Section:
    """What ran in one frame of a trace.

    strides: levels of the operators' results. given: levels of the network's outputs.
    """

    def __init__(self, traced: Trace, root: Frame, strides: Sequence[int], given: Sequence[int]) -> None:
        self.operators, self.left = traced.operators, traced.left
        self.root, self.strides = root, strides
        self.inside = [i for i, operator in enumerate(self.operators) if root in operator.frames]
        self.outputs = [] if root is not traced.root else list(zip(given, traced.outputs, strict=True))
        self.readers: dict[int, set[int | None]] = {i: set() for i in range(len(self.operators))}
        for i, operator in enumerate(self.operators):
            for source in operator.reads:
                self.readers[source].add(i)
        for output in traced.outputs:
            for source in output.made_by:
                self.readers[source].add(None)  # None stands for whoever called the network

    def graph(self, title: str, depth: int) -> Graph:
        """Return the graph with a node for each unit and piece, before chains are joined."""
        units = self._useful(list(self.units(self.inside, self.root, depth)))
        nodes, edges = self._inputs(), list[tuple[str, str]]()
        # operator -> name of the node that shows its result
        holder = {i: nodes[i].name for i in nodes}
        placed = list(nodes.values())
        for number, unit in enumerate(units):
            pieces = self._pieces(unit, str(number))
            for i in unit.members:
                for source in self.operators[i].reads:
                    if source not in unit.members:
                        target = min(pieces, key=lambda stride: _distance(stride, self.strides[source]))
                        edges.append((holder[source], pieces[target].name))
            for i in unit.members:
                if self.strides[i] in pieces:
                    holder[i] = pieces[self.strides[i]].name
            placed += pieces.values()
        for node, sources in self._results():
            placed.append(node)
            edges += [(holder[source], node.name) for source in sources]
        return Graph(title, tuple(placed), tuple(dict.fromkeys(edges)))

    def units(self, members: Iterable[int], outer: Frame, depth: int) -> Iterator[Unit]:
        """Yield the units of the operators of a frame that is open, in order of execution."""
        level = len(outer.outer) + 1

        def inner(i: int) -> Frame | None:
            frames = self.operators[i].frames
            return frames[level] if len(frames) > level else None

        runs = [(frame, tuple(group)) for frame, group in groupby(members, key=inner)]
        # parts of a module that is not called itself may run at different times
        calls = Counter(frame for frame, _ in runs)
        for frame, group in runs:
            if frame is None:
                yield from (Unit((i,), None) for i in group)
            elif isinstance(frame.module, nn.Sequential) or calls[frame] > 1 or self._junction(frame, group):
                yield from self.units(group, frame, depth)
            elif depth and _opens(frame.module):
                yield from self.units(group, frame, depth - 1)
            else:
                yield Unit(group, frame)

    def _junction(self, frame: Frame, members: tuple[int, ...]) -> bool:
        read = {self.strides[s] for i in members for s in self.operators[i].reads if s not in members}
        given = {self.strides[i] for i in self._given(members)}
        own = {self.operators[i].name for i in members if self.operators[i].frames[-1] is frame}
        return max(len(read), len(given)) > 1 and not own & COMPUTING

    def _given(self, members: tuple[int, ...]) -> list[int]:
        """Return the operators of a unit that others read, or its last one."""
        return [i for i in members if self.readers[i] - {*members}] or [members[-1]]

    def _useful(self, units: list[Unit]) -> list[Unit]:
        """Return the units without single operators that lead nowhere, such as checks of values."""
        kept: list[Unit] = []
        needed = {i for unit in units if unit.frame for i in unit.members} | {None}
        outside = {*range(len(self.operators))} - {*self.inside}
        for unit in reversed(units):
            if unit.frame or self.readers[unit.members[0]] & (needed | outside):
                needed |= {*unit.members}
                kept.insert(0, unit)
        return kept

    def _inputs(self) -> dict[int, Node]:
        inside = {*self.inside}
        read = {source for i in self.inside for source in self.operators[i].reads if source not in inside}
        if self.outputs:
            read |= {i for i, operator in enumerate(self.operators) if operator.name == INPUT}
        nodes = {}
        for i in sorted(read, key=lambda i: (self.strides[i], i)):
            given = self.operators[i].name == INPUT
            name = f"backbone {level_words('C', self.strides[i])}" if given else "in"
            shape = shape_words(self._shapes(i))
            nodes[i] = Node(f"input {i}", "input", (name,), shape, self.strides[i])
        return nodes

    def _results(self) -> Iterator[tuple[Node, tuple[int, ...]]]:
        """Yield the nodes of the outputs, each with the operators that made it."""
        for k, (stride, output) in enumerate(self.outputs):
            shape = shape_words((output.shape,))
            yield Node(f"output {k}", "output", (level_words("P", stride),), shape, stride), output.made_by
        if not self.outputs:
            for i in self._given(tuple(self.inside)):
                shape = shape_words(self._shapes(i))
                yield Node(f"output {i}", "output", ("out",), shape, self.strides[i]), (i,)

    def _pieces(self, unit: Unit, name: str) -> dict[int, Node]:
        """Return the nodes of a unit by stride: one, unless it gives maps of several levels."""
        given: dict[int, list[int]] = {}
        for i in self._given(unit.members):
            given.setdefault(self.strides[i], []).append(i)
        first = self.operators[unit.members[0]]
        if unit.frame:
            parameters = f"{count_parameters(unit.frame.module):,} parameters"
            step = module_words(unit.frame.module)
            about = f"{unit.frame.path}: {type(unit.frame.module).__name__}, {parameters}"
        else:
            step = operator_words(first, [self.operators[i].shapes[0] for i in first.reads])
            about = f"{first.name} in {first.frames[-1].path or 'the neck itself'}"
        pieces = {}
        for stride, made in sorted(given.items()):
            shapes = tuple(shape for i in made for shape in self._shapes(i, unit.frame))
            pieces[stride] = Node(
                name=f"{name} at {stride}",
                kind="module" if unit.frame else "operator",
                steps=(step,),
                shape=shape_words(shapes),
                stride=stride,
                about=about,
                whole=name if len(given) > 1 else "",
                part=self._part(unit),
            )
        return pieces

    def _shapes(self, i: int, frame: Frame | None = None) -> tuple[Shape, ...]:
        """Return the shapes of an operator's results as `frame` returned them.

        Statistics and indices beside the first result are left out.
        """
        operator = self.operators[i]
        if frame and (frame, i) in self.left:
            return (self.left[frame, i],)
        return operator.shapes if operator.name in SPLIT else operator.shapes[:1]

    def _part(self, unit: Unit) -> str:
        """Return path and class of the part of the root to which a unit belongs."""
        frames = self.operators[unit.members[0]].frames[len(self.root.outer) + 1 :]
        part = next((frame for frame in frames if not isinstance(frame.module, nn.Sequential)), None)
        if part is None or part is unit.frame:
            return ""
        return f"{part.path}: {type(part.module).__name__}"


def _opens(module: nn.Module) -> bool:
    """Return whether a module has parts to show; those of PyTorch itself are known."""
    return any(True for _ in module.children()) and not type(module).__module__.startswith("torch.")


def _distance(stride: int, other: int) -> float:
    return max(stride, other) / min(stride, other)
