"""Positions of a diagram's boxes, arrows and labels, in the user units of an SVG file."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate

from gffpn.report.diagram.columns import Grid, grid
from gffpn.report.diagram.graph import Graph, Node, neighbours
from gffpn.report.diagram.text import text_width

TITLE_SIZE, NAME_SIZE, SHAPE_SIZE = 14.0, 12.0, 10.5
LINE, SHAPE_LINE, INSET = 16.0, 15.0, 8.0
RADIUS = 15.0
"""Of the circles."""
TRACK = 14.0
"""Height of a lane in which only arrows run."""
LANE_GAP, ROW_INSET, GUTTER = 8.0, 10.0, 20.0
MARGIN, LABELS, HEADER, FOOTER = 14.0, 62.0, 34.0, 20.0
"""Around everything; width of the rows' labels; heights of the title and of the legend."""
BRACKET = 24.0
"""Height of a line of brackets."""
MOST_BRACKETS = 2
"""Lines of brackets. Parts that need more run side by side, and brackets cannot show which box is whose."""
PORT = 9.0
"""Largest distance of two arrow heads at one box."""


@dataclass(frozen=True)
class Box:
    """Rectangle of a node; of a circle, the square around it."""

    node: Node
    left: float
    top: float
    width: float
    height: float

    @property
    def right(self) -> float:
        """The x of the right edge."""
        return self.left + self.width

    @property
    def middle(self) -> float:
        """The y of the centre."""
        return self.top + self.height / 2


@dataclass(frozen=True)
class Arrow:
    """Line from a box to another.

    Between two points, it is straight if they are at one height, else a curve that is level at both ends.
    """

    stride: int
    """Level from which it comes."""
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Row:
    """Band of a level."""

    stride: int
    top: float
    height: float


@dataclass(frozen=True)
class Bracket:
    """Label of a part of the network above the columns in which it is drawn."""

    text: str
    left: float
    right: float
    y: float


@dataclass(frozen=True)
class Layout:
    """A diagram with all its positions."""

    width: float
    height: float
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]
    rows: tuple[Row, ...]
    brackets: tuple[Bracket, ...]


def size_of(node: Node) -> tuple[float, float]:
    """Return width and height of a node's box."""
    if node.sign:
        return 2 * RADIUS, 2 * RADIUS
    widths = [text_width(line, NAME_SIZE, bold=True) for line in node.lines]
    widths.append(text_width(node.shape, SHAPE_SIZE))
    height = LINE * len(node.lines) + (SHAPE_LINE if node.shape else 0) + INSET
    return max(widths) + 2 * INSET, height


def layout(graph: Graph) -> Layout:
    """Return the positions of a graph's nodes and arrows. Boxes do not overlap, and no arrow crosses one."""
    places = grid(graph)
    lefts, rights = _columns(graph, places)
    brackets, top = _brackets(graph, places, lefts, rights)
    rows, lanes = _rows(graph, places, top)
    boxes = {}
    for node in graph.nodes:
        width, height = size_of(node)
        column = places.column[node.name]
        left = (lefts[column] + rights[column] - width) / 2
        middle = lanes[node.stride, places.lane[node.name]]
        boxes[node.name] = Box(node, left, middle - height / 2, width, height)
    arrows = _arrows(graph, places, boxes, lanes, lefts, rights)
    furthest = max([rights[-1], *(bracket.right for bracket in brackets)])
    furthest = max(furthest, MARGIN + text_width(graph.title, TITLE_SIZE, bold=True))
    furthest = max(furthest, MARGIN + text_width(graph.legend, SHAPE_SIZE))
    height = rows[-1].top + rows[-1].height + (FOOTER if graph.legend else 0) + MARGIN / 2
    return Layout(furthest + MARGIN, height, tuple(boxes.values()), arrows, rows, brackets)


def _columns(graph: Graph, places: Grid) -> tuple[list[float], list[float]]:
    """Return the x of the left and the right edge of each column."""
    count = 1 + max(places.column.values())
    widths, turns = [0.0] * count, [0] * count
    for node in graph.nodes:
        column = places.column[node.name]
        widths[column] = max(widths[column], size_of(node)[0])
    stride = {node.name: node.stride for node in graph.nodes}
    for source, target in graph.edges:
        turns[places.column[target]] += stride[source] != stride[target]
    # arrows between rows need room to turn
    gutters = [GUTTER + min(4.0 * turning, 36.0) for turning in turns]
    rights = [
        MARGIN + LABELS - gutters[0] + end
        for end in accumulate(gutter + width for gutter, width in zip(gutters, widths, strict=True))
    ]
    return [right - width for right, width in zip(rights, widths, strict=True)], rights


def _brackets(
    graph: Graph, places: Grid, lefts: list[float], rights: list[float]
) -> tuple[tuple[Bracket, ...], float]:
    """Return the brackets, in lines of those that do not overlap, and the y at which the rows start."""
    spans: dict[str, tuple[int, int]] = {}
    for node in graph.nodes:
        if node.part:
            column = places.column[node.name]
            first, last = spans.get(node.part, (column, column))
            spans[node.part] = (min(first, column), max(last, column))
    ends: list[float] = []
    found = []
    for text, (first, last) in sorted(spans.items(), key=lambda item: item[1]):
        left = lefts[first]
        right = max(rights[last], left + text_width(text, SHAPE_SIZE) + INSET)
        line = next((i for i, end in enumerate(ends) if end + LANE_GAP <= left), len(ends))
        ends[line : line + 1] = [right]
        found.append(Bracket(text, left, right, MARGIN + HEADER + BRACKET * (line + 0.75)))
    if len(ends) > MOST_BRACKETS:
        return (), MARGIN + HEADER
    return tuple(found), MARGIN + HEADER + BRACKET * len(ends)


def _rows(graph: Graph, places: Grid, top: float) -> tuple[tuple[Row, ...], dict[tuple[int, int], float]]:
    """Return the bands of the levels, finest first, and the y of the middle of each lane."""
    heights: dict[int, dict[int, float]] = {}
    for node in graph.nodes:
        row = heights.setdefault(node.stride, {})
        lane = places.lane[node.name]
        row[lane] = max(row.get(lane, 0.0), size_of(node)[1])
        if node.name in places.passing:
            row.setdefault(places.passing[node.name], TRACK)
    rows, middles = [], {}
    for stride, row in sorted(heights.items()):
        high = [row.get(lane, TRACK) for lane in range(1 + max(row))]
        ends = list(accumulate(high, lambda end, height: end + LANE_GAP + height))
        for lane, (end, height) in enumerate(zip(ends, high, strict=True)):
            middles[stride, lane] = top + ROW_INSET + end - height / 2
        rows.append(Row(stride, top, ends[-1] + 2 * ROW_INSET))
        top += rows[-1].height
    return tuple(rows), middles


def _arrows(
    graph: Graph,
    places: Grid,
    boxes: Mapping[str, Box],
    lanes: Mapping[tuple[int, int], float],
    lefts: list[float],
    rights: list[float],
) -> tuple[Arrow, ...]:
    arrows = []
    sources = neighbours((target, source) for source, target in graph.edges)
    for target, names in sources.items():
        to, column = boxes[target], places.column[target]
        ways = []
        for name in names:
            box, start = boxes[name], places.column[name]
            way = [(box.right, box.middle), (rights[start], box.middle)]
            if column > start + 1:
                y = lanes[box.node.stride, places.passing[name]]
                way += [(lefts[start + 1], y), (rights[column - 1], y)]
            ways.append((way[-1][1], box.node.stride, way))
        gap = min(PORT, (to.height - INSET) / len(ways))
        for position, (_, stride, way) in enumerate(sorted(ways)):
            y = to.middle + gap * (position - (len(ways) - 1) / 2)
            arrows.append(Arrow(stride, (*way, (lefts[column], y), (_edge(to, y), y))))
    return tuple(arrows)


def _edge(box: Box, y: float) -> float:
    """Return the x at which an arrow at height y meets the left side of a box."""
    if not box.node.sign:
        return box.left
    return float(box.left + RADIUS - (RADIUS**2 - (y - box.middle) ** 2) ** 0.5)
