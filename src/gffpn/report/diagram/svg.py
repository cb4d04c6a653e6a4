"""SVG file of a diagram: text stays text, and the colours follow the reader's light or dark theme."""

from itertools import pairwise
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from gffpn.report.diagram.graph import Graph
from gffpn.report.diagram.layout import (
    INSET,
    LINE,
    MARGIN,
    NAME_SIZE,
    RADIUS,
    SHAPE_SIZE,
    TITLE_SIZE,
    Arrow,
    Box,
    Layout,
    layout,
)
from gffpn.report.diagram.text import FONTS

# Okabe and Ito's colours, darker on white and lighter on black; by level, finest first
LIGHT = ("#0060a0", "#b34700", "#00704f", "#8a3f74", "#6b5d00", "#444444")
DARK = ("#6cc4ff", "#ff9d5c", "#4fd6a8", "#e79cc8", "#e3d25a", "#c8c8c8")
FILLS = {
    "ink": ("#1b1f24", "#e8ecf1"),
    "faint": ("#5b6470", "#a3adb9"),
    "paper": ("#ffffff", "#14181d"),
    "band0": ("#f3f5f8", "#1b2027"),
    "band1": ("#ffffff", "#14181d"),
    "box": ("#ffffff", "#232a33"),
}
"""Light and dark."""
HEAD = 6.0
"""Length of an arrow's head."""


def svg(graph: Graph) -> str:
    """Return a self-contained SVG document of a graph."""
    drawn = layout(graph)
    colour = {row.stride: k % len(LIGHT) for k, row in enumerate(drawn.rows)}
    root = Element("svg", xmlns="http://www.w3.org/2000/svg", role="img")
    root.set("class", "diagram")
    root.set("viewBox", f"0 0 {drawn.width:.1f} {drawn.height:.1f}")
    root.set("width", f"{drawn.width:.0f}")
    root.set("height", f"{drawn.height:.0f}")
    root.set("font-family", FONTS)
    SubElement(root, "title").text = graph.title
    SubElement(root, "desc").text = described(graph)
    SubElement(root, "style").text = _style()
    _rect(root, "paper", 0, 0, drawn.width, drawn.height)
    _text(root, graph.title, MARGIN, MARGIN + NAME_SIZE, "ink", TITLE_SIZE, bold=True)
    _text(root, graph.legend, MARGIN, drawn.height - MARGIN / 2, "faint", SHAPE_SIZE)
    _frame(root, drawn)
    for upper, lower in _ties(drawn):
        x = upper.left + upper.width / 2
        _line(root, f"M{x:.1f} {upper.top + upper.height:.1f}V{lower.top:.1f}", "tie")
    for arrow in drawn.arrows:
        _arrow(root, arrow, colour[arrow.stride])
    for box in drawn.boxes:
        _box(root, box, colour[box.node.stride])
    indent(root)
    return tostring(root).decode() + "\n"


def described(graph: Graph) -> str:
    """Return the diagram in words, a sentence for each node: for those who do not see it."""
    said = {node.name: ", ".join(node.lines) for node in graph.nodes}
    into: dict[str, list[str]] = {node.name: [] for node in graph.nodes}
    for source, target in graph.edges:
        into[target].append(said[source])
    lines = []
    for node in graph.nodes:
        reads = f" reads {'; '.join(into[node.name])}" if into[node.name] else ""
        gives = f", gives {node.shape}" if node.shape else ""
        lines.append(f"Stride {node.stride}: {said[node.name]}{reads}{gives}.")
    return "\n".join(lines)


def _style() -> str:
    light, dark = (_rules(theme) for theme in (0, 1))
    return f"{light} @media (prefers-color-scheme: dark) {{ {dark} }}"


def _rules(theme: int) -> str:
    fills = {name: pair[theme] for name, pair in FILLS.items()}
    strokes = {"tie": fills["faint"], "bracket": fills["faint"]}
    for number, shade in enumerate((LIGHT, DARK)[theme]):
        fills[f"head{number}"] = shade
        strokes[f"edge{number}"] = strokes[f"rim{number}"] = shade
    rules = [f".diagram .{name} {{fill: {shade}}}" for name, shade in fills.items()]
    return " ".join([*rules, *(f".diagram .{name} {{stroke: {shade}}}" for name, shade in strokes.items())])


def _frame(root: Element, drawn: Layout) -> None:
    for k, row in enumerate(drawn.rows):
        _rect(root, f"band{k % 2}", 0, row.top, drawn.width, row.height)
        _text(root, f"stride {row.stride}", MARGIN, row.top + row.height / 2 + 4, "faint", SHAPE_SIZE)
    for bracket in drawn.brackets:
        _text(root, bracket.text, bracket.left, bracket.y - 4, "faint", SHAPE_SIZE)
        _line(root, f"M{bracket.left:.1f} {bracket.y + 4:.1f}v-4H{bracket.right:.1f}v4", "bracket")


def _ties(drawn: Layout) -> list[tuple[Box, Box]]:
    """Return the neighbouring pieces of modules that have several, each pair from top to bottom."""
    pieces: dict[str, list[Box]] = {}
    for box in drawn.boxes:
        if box.node.whole:
            pieces.setdefault(box.node.whole, []).append(box)
    ordered = [sorted(one, key=lambda box: box.top) for one in pieces.values()]
    return [pair for one in ordered for pair in pairwise(one)]


def _arrow(root: Element, arrow: Arrow, colour: int) -> None:
    (x, y), *rest = arrow.points
    path = f"M{x:.1f} {y:.1f}"
    for position, (to_x, to_y) in enumerate(rest, start=1):
        end = to_x - (HEAD - 1 if position == len(rest) else 0)
        if to_y == y:
            path += f"H{end:.1f}"
        else:
            half = (x + end) / 2
            path += f"C{half:.1f} {y:.1f} {half:.1f} {to_y:.1f} {end:.1f} {to_y:.1f}"
        x, y = to_x, to_y
    _line(root, path, f"edge{colour}")
    head = f"M{x:.1f} {y:.1f}l{-HEAD} {-HEAD / 2}v{HEAD}z"
    SubElement(root, "path", {"d": head, "class": f"head{colour}"})


def _box(root: Element, box: Box, colour: int) -> None:
    node = box.node
    group = SubElement(root, "g")
    if node.about:
        SubElement(group, "title").text = node.about
    middle = box.left + box.width / 2
    if node.sign:
        rim = {"cx": f"{middle:.1f}", "cy": f"{box.middle:.1f}", "r": str(RADIUS)}
        SubElement(group, "circle", {**rim, "class": f"box rim{colour}", "stroke-width": "1.5"})
    else:
        _rect(group, f"box rim{colour}", box.left, box.top, box.width, box.height, round_by=_round(node.kind))
    single = node.sign and len(node.steps[0]) == 1
    size = NAME_SIZE + 4 if single else SHAPE_SIZE if node.sign else NAME_SIZE
    y = box.middle + size / 3 - LINE / 2 if node.sign else box.top + INSET / 2
    for line in node.lines:
        y += LINE / 2 if node.sign else LINE
        at = y if node.sign else y - 4
        _text(group, line, middle, at, "ink", size, bold=True, centred=True)
    if node.shape and not node.sign:
        _text(group, node.shape, middle, y + 11, "faint", SHAPE_SIZE, centred=True)


def _round(kind: str) -> float:
    return 12.0 if kind in ("input", "output") else 4.0


def _rect(
    root: Element, shade: str, x: float, y: float, width: float, height: float, *, round_by: float = 0
) -> None:
    sides = {"x": f"{x:.1f}", "y": f"{y:.1f}", "width": f"{width:.1f}", "height": f"{height:.1f}"}
    rim = {"rx": str(round_by), "stroke-width": "1.5"} if round_by else {}
    SubElement(root, "rect", {**sides, **rim, "class": shade})


def _line(root: Element, path: str, shade: str) -> None:
    SubElement(root, "path", {"d": path, "class": shade, "fill": "none", "stroke-width": "1.5"})


def _text(
    root: Element,
    text: str,
    x: float,
    y: float,
    shade: str,
    size: float,
    *,
    bold: bool = False,
    centred: bool = False,
) -> None:
    place = {"x": f"{x:.1f}", "y": f"{y:.1f}", "font-size": f"{size:g}", "class": shade}
    if not text:
        return
    weight = {"font-weight": "600"} if bold else {}
    anchor = {"text-anchor": "middle"} if centred else {}
    SubElement(root, "text", {**place, **weight, **anchor}).text = text
