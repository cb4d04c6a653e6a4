"""Does a diagram show what the built network does, without overlaps, for every neck and for a user's own?"""

from itertools import combinations, pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from gffpn.__main__ import main
from gffpn.microscope.diagram import diagram, title_of
from gffpn.microscope.trace import trace
from gffpn.microscope.words import kernel_words
from gffpn.pyramid import Level, levels_at
from gffpn.report.diagram.columns import columns, grid
from gffpn.report.diagram.graph import Graph, Node
from gffpn.report.diagram.layout import Box, Layout, layout
from gffpn.report.diagram.svg import described, svg
from gffpn.report.diagram.text import text_width
from golden import LEVELS, NECKS
from golden import build as built

SIZE = (128, 192)
SVG = "{http://www.w3.org/2000/svg}"


def drawn(neck: nn.Module, levels: tuple[Level, ...] = LEVELS, **options: object) -> Graph:
    return diagram(neck, levels, SIZE, title="t", **options).chained()


def build(name: str) -> nn.Module:
    """Return a neck at size l, without values."""
    with torch.device("meta"):
        return built("neck", name, LEVELS, size="l")


def node(name: str, stride: int = 8, *, kind: str = "module", whole: str = "") -> Node:
    return Node(name, kind, (name,), "1", stride, whole=whole)


def graph(*nodes: Node, edges: str) -> Graph:
    """Return a graph whose edges are words such as `ab`, from a to b."""
    return Graph("t", nodes, tuple((edge[0], edge[1]) for edge in edges.split()))


class Pair(nn.Module):
    """Two parts that only others call, as a guided stage calls those of LPAM."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 2, 1)
        self.second = nn.Conv2d(2, 2, 1)


class Odd(nn.Module):
    """A neck that writes into slices, works in place, looks at values and computes from weights alone."""

    in_strides = (8, 16)
    out_levels = (Level(4, 8), Level(2, 16))

    def __init__(self) -> None:
        super().__init__()
        self.pair = Pair()
        self.weights = nn.Parameter(torch.ones(2))

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        fine, coarse = features
        assert fine.isfinite().all()
        shares = self.weights / self.weights.sum()
        y = self.pair.second(self.pair.first(coarse)).relu_()
        joined = fine.new_empty(1, 4, *fine.shape[2:])
        joined[:, :2] = fine * shares[0]
        joined[:, 2:] = functional.interpolate(y, size=fine.shape[2:])
        return [joined, y]


ODD = (Level(2, 8), Level(2, 16))


def test_a_trace_follows_slices_in_place_operators_and_values() -> None:
    traced = trace(Odd(), ODD, SIZE)
    names = [operator.name for operator in traced.operators]
    reads = {operator.name: [names[i] for i in operator.reads] for operator in traced.operators}
    first, second = (i for i, name in enumerate(names) if name == "convolution")
    assert traced.operators[second].reads == (first,)
    assert reads["mul"] == ["input"]
    assert reads["relu"] == ["convolution"]
    assert reads["upsample_nearest2d"] == ["relu"]
    assert [sorted(names[i] for i in output.made_by) for output in traced.outputs] == [
        ["mul", "upsample_nearest2d"],
        ["relu"],
    ]
    assert [output.shape for output in traced.outputs] == [(1, 4, 16, 24), (1, 2, 8, 12)]


def test_a_module_whose_parts_are_called_is_one_box_and_checks_are_left_out() -> None:
    found = drawn(Odd(), ODD)
    steps = [node.steps for node in found.nodes]
    # the reduction of the weights and the test for finite values do not lead to an output
    assert steps == [
        ("backbone C3",),
        ("backbone C4",),
        ("Pair", "relu"),
        ("scale",),
        ("up",),
        ("P3",),
        ("P4",),
    ]
    assert [node.shape for node in found.nodes][-2:] == ["4 \xd7 16 \xd7 24", "2 \xd7 8 \xd7 12"]
    by_name = {node.name: node.steps[0] for node in found.nodes}
    assert [(by_name[a], by_name[b]) for a, b in found.edges] == [
        ("backbone C4", "Pair"),
        ("backbone C3", "scale"),
        ("Pair", "up"),
        ("scale", "P3"),
        ("up", "P3"),
        ("Pair", "P4"),
    ]


class Nothing(nn.Module):
    """A neck of levels that are one cell each in small images."""

    in_strides = (64, 128)
    out_levels = (Level(2, 64), Level(2, 128))

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        return features


def test_a_neck_without_operators_is_drawn() -> None:
    found = diagram(Nothing(), Nothing.out_levels, (64, 64), title="t").chained()
    assert [(node.steps[0], node.stride) for node in found.nodes] == [
        ("backbone C6", 64),
        ("backbone C7", 128),
        ("P6", 64),
        ("P7", 128),
    ]
    assert found.edges == (("input 0", "output 0"), ("input 1", "output 1"))
    assert_readable(layout(found))


def test_fpn_by_hand() -> None:
    """F5 = C3(C5); F4 = C3(1x1(cat(up F5, C4))); F3 likewise; at size l on 128 x 192 pixels."""
    found = drawn(build("fpn"))
    assert [(node.steps, node.shape, node.stride) for node in found.nodes if node.kind != "input"] == [
        (("C3",), "1024 \xd7 4 \xd7 6", 32),
        (("up",), "1024 \xd7 8 \xd7 12", 16),
        (("cat", "ConvBNAct 1\xd71", "C3"), "512 \xd7 8 \xd7 12", 16),
        (("up",), "512 \xd7 16 \xd7 24", 8),
        (("cat", "ConvBNAct 1\xd71", "C3"), "256 \xd7 16 \xd7 24", 8),
        (("P3",), "256 \xd7 16 \xd7 24", 8),
        (("P4",), "512 \xd7 8 \xd7 12", 16),
        (("P5",), "1024 \xd7 4 \xd7 6", 32),
    ]


def test_a_guided_stage_by_hand() -> None:
    """P = sigmoid(G) * F + G: the guide goes to the gate and to the sum, F to the product."""
    found = drawn(build("gffpn"), part="guided.8", depth=0)
    names = {node.name: node.steps[0] for node in found.nodes}
    assert [(node.steps, node.stride) for node in found.nodes if node.kind == "input"] == [
        (("in",), 4),
        (("in",), 8),
    ]
    arrows = sorted(f"{names[source]} {names[target]}" for source, target in found.edges)
    assert arrows == sorted(
        ["in LPAM", "LPAM Sigmoid", "Sigmoid \xd7", "in \xd7", "\xd7 +", "LPAM +", "+ out"]
    )
    assert found.title == "t: guided.8, GuidedStage"


def test_the_split_of_lsam_by_hand() -> None:
    found = drawn(build("gffpn"), part="lpam")
    (split,) = (node for node in found.nodes if node.steps == ("split",))
    assert split.shape == "43 + 43 + 42 \xd7 32 \xd7 48"
    branches = [node.steps for node in found.nodes if node.steps[0].startswith("Dilated")]
    assert branches == [
        (f"DilatedDepthwise 3\xd73{rate}", "Conv2d 1\xd71", "ReLU") for rate in ("", " d2", " d3")
    ]
    (matrix,) = (node for node in found.nodes if "softmax" in node.steps)
    assert matrix.shape == "128 \xd7 128"
    assert {node.part for node in found.nodes} == {
        "",
        "guided.8.lpam.context: LSAM",
        "guided.8.lpam.attention: FCCFM",
    }


def test_a_part_that_does_not_run_is_an_error() -> None:
    with pytest.raises(ValueError, match="part: got 'lpan', expected a module that the neck calls: "):
        drawn(build("fpn"), part="lpan")


def test_a_kernel_in_words() -> None:
    assert kernel_words(nn.Conv2d(1, 1, 3, 2)) == "3\xd73 s2"
    assert kernel_words(nn.Conv2d(1, 1, (1, 5), dilation=2)) == "1\xd75 d2"


def test_chains_become_boxes() -> None:
    """a-b and d-e are chains; c has two readers, d two sources, and f is at another level."""
    a, b, c, d, e = (node(name) for name in "abcde")
    found = graph(a, b, c, d, e, node("f", 16), edges="ab bd cd ce de ef").chained()
    assert [one.steps for one in found.nodes] == [("a", "b"), ("c",), ("d",), ("e",), ("f",)]
    assert found.edges == (("a", "d"), ("c", "d"), ("c", "e"), ("d", "e"), ("e", "f"))


def test_repeated_steps_are_counted() -> None:
    assert Node("a", "module", ("x", "x", "y", "x"), "", 8).lines == ("2 \xd7 x", "y", "x")


def test_the_legend_explains_what_is_there() -> None:
    steps = [("cat", "Conv2d 1\xd71"), ("Conv2d 3\xd73 s2",), ("catalogue", "C3")]
    nodes = tuple(Node(str(k), "module", step, "", 8) for k, step in enumerate(steps))
    assert Graph("t", nodes, ()).legend == "cat: concatenation of the channels; s2: stride 2"
    assert Graph("t", nodes[2:], ()).legend == ""


def test_columns_by_hand() -> None:
    """The pieces of a module share the column after the last node that any of them reads."""
    nodes = [node("i", kind="input"), node("a"), node("b"), node("p", 8, whole="w"), node("q", 16, whole="w")]
    found = graph(*nodes, node("o", kind="output"), node("u", kind="output"), edges="ia ab bp iq po iu")
    assert columns(found) == {"i": 0, "a": 1, "b": 2, "p": 3, "q": 3, "o": 4, "u": 4}


def test_lanes_by_hand() -> None:
    """i is read in columns 1 and 3: the next step stays in its lane, and i passes b in another one."""
    found = graph(node("i", kind="input"), node("a"), node("b"), node("c"), edges="ia ab bc ic")
    places = grid(found)
    assert dict(places.lane) == {"i": 0, "a": 0, "b": 0, "c": 0}
    assert dict(places.passing) == {"i": 1}


def overlap(one: Box, other: Box) -> bool:
    beside = one.right <= other.left or other.right <= one.left
    above = one.top + one.height <= other.top or other.top + other.height <= one.top
    return not (beside or above)


def inside(box: Box, left: float, right: float, top: float, bottom: float) -> bool:
    """Return whether a rectangle or line reaches into a box, further than to the rim of its circle."""
    rim = 3.0 if box.node.sign else 0.1
    beside = right <= box.left + rim or box.right - rim <= left
    return not beside and top < box.top + box.height - rim and box.top + rim < bottom


def assert_readable(found: Layout) -> None:
    """Assert that boxes, labels and arrows keep out of each other's way and inside the page."""
    assert not [(a, b) for a, b in combinations(found.boxes, 2) if overlap(a, b)]
    for box in found.boxes:
        widest = max(text_width(line, 12, bold=True) for line in box.node.lines)
        assert widest <= box.width or box.node.sign
        (row,) = (row for row in found.rows if row.stride == box.node.stride)
        assert row.top < box.top
        assert box.top + box.height < row.top + row.height
        assert box.right < found.width
    for arrow in found.arrows:
        for (x, y), (to_x, to_y) in pairwise(arrow.points):
            assert x <= to_x + 1e-6
            low, high = sorted((y, to_y))
            assert not [box for box in found.boxes if inside(box, x, to_x, low, high)], arrow
    for one, other in combinations(found.brackets, 2):
        assert one.y != other.y or one.right < other.left or other.right < one.left


@pytest.mark.parametrize("name", NECKS)
def test_every_neck_is_drawn(name: str) -> None:
    neck = build(name)
    found = drawn(neck)
    promised = {
        (
            level.stride,
            f"{level.channels} \xd7 {-(-SIZE[0] // level.stride)} \xd7 {-(-SIZE[1] // level.stride)}",
        )
        for level in neck.out_levels
    }
    outputs = [one for one in found.nodes if one.kind == "output"]
    assert {(one.stride, one.shape) for one in outputs} == promised
    inputs = [one.stride for one in found.nodes if one.kind == "input"]
    assert inputs == [level.stride for level in levels_at(LEVELS, neck.in_strides, reader=name)]
    # every box has an arrow to it and one from it
    sources, targets = ({edge[k] for edge in found.edges} for k in (0, 1))
    assert {one.name for one in found.nodes if one.kind != "input"} == targets
    assert {one.name for one in found.nodes if one.kind != "output"} == sources
    assert_readable(layout(found))


@pytest.mark.parametrize("part", ["guided.8.lpam", "guided.16", "base"])
def test_parts_are_drawn(part: str) -> None:
    assert_readable(layout(drawn(build("gffpn"), part=part)))


def test_the_file_is_svg_with_text_and_words_for_those_who_do_not_see_it() -> None:
    found = graph(node("i", kind="input"), node("a < b"), edges="")
    root = ElementTree.fromstring(svg(found))
    assert [text.text for text in root.iter(f"{SVG}text")] == ["t", "stride 8", "i", "1", "a < b", "1"]
    assert (
        root.find(f"{SVG}desc").text == described(found) == "Stride 8: i, gives 1.\nStride 8: a < b, gives 1."
    )
    assert "prefers-color-scheme: dark" in root.find(f"{SVG}style").text


@pytest.mark.parametrize(("name", "part"), [("gffpn", None), ("lpam", "lpam")])
def test_the_diagrams_in_the_documentation_are_up_to_date(name: str, part: str | None) -> None:
    neck = build("gffpn")
    title = title_of(neck, "gffpn", "l", (640, 640))
    fresh = svg(diagram(neck, LEVELS, (640, 640), title=title, part=part).chained())
    kept = (Path(__file__).parents[1] / "docs" / f"{name}.svg").read_text()
    # positions depend on the version of matplotlib's font
    texts = [[text.text for text in ElementTree.fromstring(one).iter(f"{SVG}text")] for one in (kept, fresh)]
    assert texts[0] == texts[1], f"docs/necks.md has the command that draws docs/{name}.svg again"


def test_the_verb_draws_a_neck_from_outside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = (Path(__file__).parent / "test_outside_neck.py").read_text().split('"""')[3]
    (tmp_path / "drawn_neck.py").write_text(code)
    (tmp_path / "conf" / "neck").mkdir(parents=True)
    (tmp_path / "conf" / "neck" / "drawn.yaml").write_text("_target_: drawn_neck.Mine\nout_channels: 96\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    main(["draw", "--config-dir", "conf", "neck=drawn", "image_size=64"])
    path = Path(capsys.readouterr().out.strip())
    assert path == Path("runs/diagrams/drawn.svg")
    texts = [text.text for text in ElementTree.parse(path).iter(f"{SVG}text")]
    assert texts[0] == "drawn (Mine), size n, 64 \xd7 64 pixels"
    assert texts.count("Conv2d 1\xd71") == 3
    assert texts.count("96 \xd7 8 \xd7 8") == 2
