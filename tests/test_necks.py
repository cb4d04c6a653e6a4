"""Tests of every neck in conf/neck/; a new file there is covered without an edit here."""

import ast
import copy
import inspect
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import torch
import yaml
from hydra.errors import InstantiationException
from hydra.utils import get_class, instantiate
from torch import Tensor, nn

from gffpn.backbones.cspdarknet import CSPDarknet
from gffpn.config.compose import compose_config
from gffpn.machine.devices import precision
from gffpn.optim import decay_groups
from gffpn.pyramid import Level, Levels, Neck, PartlyUndecayed, levels_at, positions_read, size_multiple
from golden import LEVELS, NECKS, RECORD, build, count, count_neck, fingerprint, load

PYRAMIDS = {
    "cspdarknet": (Level(32, 4), Level(64, 8), Level(128, 16), Level(256, 32)),
    "resnet": (Level(64, 4), Level(128, 8), Level(256, 16), Level(512, 32)),
    "uneven": (Level(24, 4), Level(40, 8), Level(112, 16), Level(320, 32)),
    "no_stride_4": (Level(64, 8), Level(128, 16), Level(256, 32)),
}
FITTING = (64, 128)
"""An image size that every neck accepts: multiples of 64."""
SIZES = [FITTING, (64, 96), (90, 122), (33, 47), (32, 32)]


def features_of(levels: Levels, size: tuple[int, int], *, images: int = 2) -> list[Tensor]:
    height, width = size
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(
            images, channels, math.ceil(height / stride), math.ceil(width / stride), generator=generator
        )
        for channels, stride in levels
    ]


def read_by(neck: Neck, levels: Levels, size: tuple[int, int], *, images: int = 2) -> list[Tensor]:
    """Return the maps that a neck reads, selected as by a detector."""
    features = features_of(levels, size, images=images)
    return [features[i] for i in positions_read(levels, neck)]


def outputs_or_refusal(neck: nn.Module, features: list[Tensor]) -> list[Tensor] | str:
    """Return the outputs, or the message with which a neck with a `size_multiple` refuses other sizes.

    Any other error is a bug and is raised.
    """
    try:
        return neck(features)
    except ValueError as refusal:
        return str(refusal)


def neck_or_refusal(name: str, levels: Levels) -> nn.Module | str:
    try:
        return build("neck", name, levels).eval()
    except InstantiationException as error:
        if not isinstance(error.__cause__, ValueError):
            raise
        return str(error.__cause__)


@pytest.fixture(scope="module", params=NECKS)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def neck(name: str) -> nn.Module:
    torch.manual_seed(0)
    return build("neck", name, PYRAMIDS["cspdarknet"]).eval()


@pytest.mark.parametrize("pyramid", PYRAMIDS)
def test_promised_shapes_or_a_clear_error(name: str, pyramid: str) -> None:
    levels = PYRAMIDS[pyramid]
    neck = neck_or_refusal(name, levels)
    if isinstance(neck, str):
        assert pyramid == "no_stride_4"
        assert "[4] missing" in neck
        return
    assert isinstance(neck, Neck)
    assert set(neck.in_strides) <= {level.stride for level in levels}
    strides = [level.stride for level in neck.out_levels]
    assert strides == sorted(strides)
    for size in SIZES:
        outputs = outputs_or_refusal(neck, read_by(neck, levels, size))
        multiple = size_multiple(neck)
        assert isinstance(outputs, str) == bool(size[0] % multiple or size[1] % multiple)
        if isinstance(outputs, str):
            assert "got" in outputs
            continue
        assert [tuple(output.shape) for output in outputs] == [
            (2, channels, math.ceil(size[0] / stride), math.ceil(size[1] / stride))
            for channels, stride in neck.out_levels
        ]


def test_inputs_are_not_changed(neck: nn.Module) -> None:
    features = read_by(neck, PYRAMIDS["cspdarknet"], FITTING)
    given, before = list(features), [feature.clone() for feature in features]
    neck(features)
    assert all(now is then for now, then in zip(features, given, strict=True))
    assert all(torch.equal(now, then) for now, then in zip(features, before, strict=True))


def test_gradients_reach_every_parameter_and_every_level_it_reads(name: str) -> None:
    torch.manual_seed(0)
    levels = PYRAMIDS["cspdarknet"]
    neck = build("neck", name, levels).train()
    features = [feature.requires_grad_() for feature in read_by(neck, levels, FITTING)]
    sum((output * torch.randn_like(output)).sum() for output in neck(features)).backward()
    dead = [key for key, p in neck.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not dead
    for feature, stride in zip(features, neck.in_strides, strict=True):
        assert feature.grad is not None, stride
        assert feature.grad.abs().sum() > 0, stride


@pytest.mark.slow
@pytest.mark.skipif(
    precision("auto", "cpu") != "bf16-mixed", reason="runs on this CPU do not use bf16 by default"
)
def test_gradients_in_bf16_are_close_to_those_in_fp32(name: str) -> None:
    """A kernel that read uninitialised memory once gave GF-FPN random gradients, on maps of 40 cells."""
    torch.manual_seed(0)
    levels = PYRAMIDS["cspdarknet"]
    plain = build("neck", name, levels).to(memory_format=torch.channels_last)
    features = [
        x.contiguous(memory_format=torch.channels_last) for x in read_by(plain, levels, (192, 320), images=4)
    ]

    def gradients(dtype: torch.dtype) -> dict[str, Tensor]:
        neck = copy.deepcopy(plain)
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            outputs = neck([x.to(dtype) for x in features])
        generator = torch.Generator().manual_seed(1)
        sum((y.float() * torch.randn(y.shape, generator=generator)).mean() for y in outputs).backward()
        return {key: p.grad for key, p in neck.named_parameters()}

    exact, first, second = (gradients(d) for d in (torch.float32, torch.bfloat16, torch.bfloat16))
    largest = max(float(grad.norm()) for grad in exact.values())
    for key, grad in exact.items():
        assert torch.equal(first[key], second[key]), f"{key} differs between two calls"
        # a scalar's gradient is a sum over whole maps, which may cancel and leave only rounding errors
        if grad.ndim > 1 and grad.norm() > 1e-3 * largest:
            assert (first[key] - grad).norm() < 0.3 * grad.norm(), key


def test_in_eval_mode_the_rest_of_the_batch_does_not_matter(neck: nn.Module) -> None:
    features = read_by(neck, PYRAMIDS["cspdarknet"], FITTING, images=3)
    alone = neck([feature[1:2] for feature in features])
    for together, own in zip(neck(features), alone, strict=True):
        torch.testing.assert_close(together[1:2], own, atol=1e-5, rtol=1e-5)


def test_state_dict_round_trip(name: str, neck: nn.Module) -> None:
    other = build("neck", name, PYRAMIDS["cspdarknet"]).eval()
    other.load_state_dict(neck.state_dict(), strict=True)
    features = read_by(neck, PYRAMIDS["cspdarknet"], (64, 64))
    for a, b in zip(neck(features), other(features), strict=True):
        assert torch.equal(a, b)


def test_channels_last_survives(neck: nn.Module) -> None:
    features = read_by(neck, PYRAMIDS["cspdarknet"], FITTING)
    expected = neck(features)
    in_format = [feature.contiguous(memory_format=torch.channels_last) for feature in features]
    for output, plain in zip(neck(in_format), expected, strict=True):
        assert output.is_contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(output, plain, atol=1e-4, rtol=1e-4)


def test_counts_and_outputs_equal_the_record(name: str) -> None:
    record = json.loads(RECORD.read_text())
    assert name in record, f"{name} is not in {RECORD.name}: run `make golden` and review the diff"
    recorded = record[name]
    output = recorded.pop("output")
    assert count_neck(name) == recorded
    now = fingerprint(name)
    assert now.keys() == output.keys()
    for stride, figures in now.items():
        deviation = output[stride][1]
        assert figures == pytest.approx(output[stride], rel=1e-3, abs=1e-3 * deviation), f"stride {stride}"


def test_the_record_holds_only_existing_necks() -> None:
    assert set(json.loads(RECORD.read_text())) <= set(NECKS)


def test_which_parameters_do_not_decay(name: str, neck: nn.Module) -> None:
    """Norms, biases, fusion scalars and tables of biases do not decay; weights of convolutions do."""
    decaying, kept = ({id(p) for p in group["params"]} for group in decay_groups(neck, 0.1))
    assert len(decaying) + len(kept) == len(list(neck.parameters()))
    for part in neck.modules():
        named = part.undecayed if isinstance(part, PartlyUndecayed) else ()
        assert all(id(part.get_parameter(key)) in kept for key in named)
        if isinstance(part, nn.Conv2d | nn.Linear):
            assert id(part.weight) in decaying
        if isinstance(part, nn.BatchNorm2d | nn.GroupNorm | nn.LayerNorm):
            assert {id(part.weight), id(part.bias)} <= kept


def test_yaml_lists_every_argument_with_its_default(name: str) -> None:
    config = load("neck", name, size="n")
    target = get_class(config["_target_"])
    arguments = inspect.signature(target).parameters.values()
    keyword_only = {argument.name: argument.default for argument in arguments if argument.kind == 3}
    assert {key for key in config if not key.startswith("_")} == set(keyword_only)
    given = {key: default for key, default in keyword_only.items() if default is not inspect.Parameter.empty}
    if target.__module__.endswith(f".{name}"):  # other YAML files of the same class change its defaults
        assert {key: config[key] for key in given} == {
            key: list(value) if isinstance(value, tuple) else value for key, value in given.items()
        }


def settings(name: str) -> Iterator[tuple[str, object]]:
    """Yield the names and values of the arguments of a neck and of its LPAM, the latter as in `lpam.dim`."""
    node = load("neck", name, size="n")
    for prefix, arguments in (("", node), ("lpam.", node.get("lpam", {}))):
        yield from ((f"{prefix}{key}", value) for key, value in arguments.items() if not key.startswith("_"))


def changed(key: str, value: object) -> dict[str, Any]:
    """Return the keyword argument of `build` that changes one of the `settings`."""
    *parents, name = key.split(".")
    return {parents[0]: {name: value}} if parents else {name: value}


CHOICES = [(name, key) for name in NECKS for key, value in settings(name) if isinstance(value, str | bool)]


def annotated(name: str, key: str) -> Any:
    """Return the type of one of the `settings`, as annotated in the constructor that takes it."""
    node = load("neck", name, size="n")
    *parents, argument = key.split(".")
    constructor = get_class(node[parents[0]]["_target_"] if parents else node["_target_"])
    return get_type_hints(constructor.__init__)[argument]


@pytest.mark.parametrize(("name", "key"), CHOICES)
def test_the_error_for_a_wrong_choice_lists_the_choices_of_its_type(name: str, key: str) -> None:
    with pytest.raises(InstantiationException) as caught:
        build("neck", name, PYRAMIDS["cspdarknet"], **changed(key, "nonsense"))
    assert isinstance(caught.value.__cause__, ValueError)
    listed = re.search(r"got 'nonsense', expected one of (\[.*\])", str(caught.value.__cause__))
    hint = annotated(name, key)
    assert ast.literal_eval(listed[1]) == ([True, False] if hint is bool else list(get_args(hint)))


NUMBERS = [
    (name, key)
    for name in NECKS
    for key, value in settings(name)
    if isinstance(value, int | float) and not isinstance(value, bool)
]


@pytest.mark.parametrize(("name", "key"), NUMBERS)
def test_an_impossible_number_is_a_value_error(name: str, key: str) -> None:
    with pytest.raises(InstantiationException, match=f"{key.split('.')[-1]}: got -1, expected") as caught:
        build("neck", name, PYRAMIDS["cspdarknet"], **changed(key, -1))
    assert isinstance(caught.value.__cause__, ValueError)


# Counts measured on the necks' reference implementations

PUBLISHED = yaml.safe_load((Path(__file__).parent / "published_counts.yaml").read_text())


@pytest.mark.slow
@pytest.mark.parametrize("row", PUBLISHED, ids=lambda row: row["name"])
def test_counts_equal_those_of_the_reference_implementation(row: dict[str, Any]) -> None:
    levels = tuple(Level(channels, stride) for stride, channels in row["levels"].items())
    side = row.get("image", 640)
    counted = count(
        lambda: build("neck", row["neck"], levels, size="l", **row["with"]),
        lambda neck: [
            torch.empty(1, channels, side // stride, side // stride)
            for channels, stride in levels_at(levels, neck.in_strides, reader=row["neck"])
        ],
    )
    ours = row.get("ours", {})
    assert counted["params"] == row["params"] + ours.get("params", 0)
    assert counted["flops"] == row["flops"] + ours.get("flops", 0)
    assert build("neck", row["neck"], levels, size="l", **row["with"]).out_levels == tuple(
        Level(channels, stride) for stride, channels in row["out"].items()
    )


# GF-FPN's own arguments

VARIANTS = [
    {"fusion": "add"},
    {"residual": False},
    {"residual": "concat"},
    {"gate": "none"},
    {"guide": "pyramid"},
    {"guided": [8, 32]},
    {"short": "lsam"},
    {"lpam": {"context": "strided_conv"}},
    {"lpam": {"attention": "se"}},
    {"lpam": {"attention": "cbam"}},
    {"lpam": {"attention": "none"}},
    {"lpam": {"downsample": "avg"}},
    {"lpam": {"downsample": "stride"}},
    {"lpam": {"norm": "batch"}},
    {"lpam": {"mix": "attend_plus_input"}},
    {"lpam": {"mix": "identity"}},
    {"lpam": {"projection": "per_channel"}},
    {"base": {"width": "uniform"}},
    {"base": {"widen": 1.25}},
    {"base": {"c2": "unused"}},
]


@pytest.mark.parametrize("changes", VARIANTS, ids=str)
def test_every_variant_of_gffpn_runs_learns_and_differs(changes: dict[str, Any]) -> None:
    levels = PYRAMIDS["cspdarknet"]
    torch.manual_seed(0)
    plain = build("neck", "gffpn", levels)
    torch.manual_seed(0)
    variant = build("neck", "gffpn", levels, **changes)
    weights = plain.state_dict()
    shared = {k: v for k, v in variant.state_dict().items() if k in weights and weights[k].shape == v.shape}
    variant.load_state_dict({**variant.state_dict(), **{k: weights[k] for k in shared}})
    outputs = variant(read_by(variant, levels, (74, 90)))
    before = plain(read_by(plain, levels, (74, 90)))
    sizes = [output.shape[2:] for output in before]
    assert [output.shape[2:] for output in outputs] == sizes
    assert not all(a.shape == b.shape and torch.equal(a, b) for a, b in zip(outputs, before, strict=True))
    sum((output * torch.randn_like(output)).sum() for output in outputs).backward()
    assert not [k for k, p in variant.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]


@pytest.mark.parametrize(
    ("changes", "strides"),
    [({}, (8, 16, 32)), ({"guide": "pyramid"}, (8, 16, 32)), ({"guided": [8, 32]}, (8, 32))],
)
def test_guides_and_guided_levels(changes: dict[str, Any], strides: tuple[int, ...]) -> None:
    levels = PYRAMIDS["cspdarknet"]
    neck = build("neck", "gffpn", levels, **changes).eval()
    assert tuple(int(stride) for stride in neck.guided) == strides
    guides: dict[int, Tensor] = {}
    for stride, stage in neck.guided.items():
        stage.register_forward_pre_hook(
            lambda module, inputs, stride=int(stride): guides.update({stride: inputs[0]})
        )
    fused: list[Tensor] = []
    neck.base.register_forward_hook(lambda module, inputs, output: fused.extend(output))
    outputs = neck(read_by(neck, levels, (64, 64)))
    cascades = changes.get("guide") != "pyramid"
    for i, stride in enumerate((8, 16, 32)):
        if stride in strides:
            assert guides[stride] is (outputs[i - 1] if i and cascades else fused[i])
        else:
            assert outputs[i] is fused[i + 1]


@pytest.mark.slow
@pytest.mark.parametrize("base", [name for name in NECKS if not name.startswith("gf")])
def test_guided_stages_work_on_any_neck(base: str) -> None:
    """The coarser levels of the base neck change, and every parameter has a gradient."""
    levels = PYRAMIDS["cspdarknet"]
    strides = [level.stride for level in build("neck", base, levels).out_levels]
    plain = compose_config(["neck=gffpn", f"neck@neck.base={base}"]).neck
    if strides != [strides[0] * 2**i for i in range(max(2, len(strides)))]:
        with pytest.raises(InstantiationException, match="base: got a neck with output strides"):
            instantiate(plain, levels, _convert_="all")
        return
    torch.manual_seed(0)
    neck = instantiate(plain, levels, _convert_="all")
    features = read_by(neck, levels, FITTING)
    below, outputs = neck.base(features), neck(features)
    below = below[len(below) - len(outputs) :]
    assert [x.shape for x in outputs] == [x.shape for x in below]
    assert neck.out_levels == neck.base.out_levels[-len(outputs) :]
    assert all(not torch.equal(one, other) for one, other in zip(outputs[1:], below[1:], strict=True))
    sum((output * torch.randn_like(output)).sum() for output in outputs).backward()
    assert not [k for k, p in neck.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"guided": []}, r"guided: got \[\], expected some of \[8, 16, 32\]"),
        ({"guided": [16, 32]}, r"expected 8 too: the map of stride 4 only guides"),
        ({"base": {"c2": "unused"}, "guided": [8]}, r"expected some of \[16, 32\]"),
        ({"guided": [4, 8]}, r"guided: got \[4, 8\], expected some of"),
    ],
)
def test_levels_that_cannot_be_guided_are_reported(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InstantiationException, match=words):
        build("neck", "gffpn", PYRAMIDS["cspdarknet"], **changes)


def test_c2_changes_the_input_and_output_levels() -> None:
    levels = PYRAMIDS["cspdarknet"]
    for kind in ("fpn", "panet", "bifpn"):
        for c2, reads, gives in (
            ("unused", (8, 16, 32), (8, 16, 32)),
            ("merged", (4, 8, 16, 32), (8, 16, 32)),
            ("given", (4, 8, 16, 32), (4, 8, 16, 32)),
        ):
            neck = build("neck", kind, levels, c2=c2)
            assert neck.in_strides == reads
            assert neck.out_levels == tuple(level for level in levels if level.stride in gives)


@pytest.mark.parametrize("kind", ["fpn", "panet", "bifpn", "afpn", "none"])
def test_output_widths(kind: str) -> None:
    def widths(**changes: object) -> list[int]:
        neck = build("neck", kind, PYRAMIDS["uneven"], **changes).eval()
        return [output.shape[1] for output in neck(read_by(neck, PYRAMIDS["uneven"], FITTING))]

    assert widths() == [40, 112, 320]
    assert widths(width="uniform", out_channels=48) == [48, 48, 48]
    # 46, 128.8 and 368, rounded to even numbers
    assert widths(widen=1.15) == [46, 128, 368]


# The paper's table 5: backbone, neck and one 1x1 convolution per level to 3 x (5 + 9) channels, at size l and
# 640 pixels. The paper reports 40.7, 46.2, 46.8 and 41.7 M parameters.

TABLE_5 = {
    "fpn": (40_735_230, 98.54),
    "panet": (46_181_374, 107.77),
    "bifpn": (46_773_511, 110.29),
    "gffpn": (41_670_784, 107.71),
}


class Whole(nn.Module):
    def __init__(self, neck: str, **changes: object) -> None:
        super().__init__()
        self.backbone = CSPDarknet(depth=1.0, width=1.0)
        self.neck = build("neck", neck, self.backbone.out_levels, size="l", **changes)
        self.head = nn.ModuleList(nn.Conv2d(channels, 42, 1) for channels, _ in self.neck.out_levels)

    def forward(self, images: Tensor) -> list[Tensor]:
        maps = self.backbone(images)
        read = [maps[i] for i in positions_read(self.backbone.out_levels, self.neck)]
        return [conv(p) for conv, p in zip(self.head, self.neck(read), strict=True)]


def count_whole(neck: str, **changes: object) -> dict[str, int]:
    return count(lambda: Whole(neck, **changes), lambda _: torch.empty(1, 3, 640, 640))


@pytest.mark.parametrize("neck", TABLE_5)
def test_counts_of_the_papers_detectors(neck: str) -> None:
    params, gflops = TABLE_5[neck]
    counted = count_whole(neck)
    assert counted["params"] == params
    assert round(counted["flops"] / 1e9, 2) == gflops


def test_cost_of_the_guided_pass() -> None:
    fpn, printed = count_whole("fpn")["flops"], count_whole("gffpn")["flops"]
    assert round((printed - fpn) / 1e9, 2) == 9.17
    assert round((count_whole("gffpn", lpam={"product": "cheapest"})["flops"] - fpn) / 1e9, 2) == 8.82
    without_attention = count_whole("gffpn", lpam={"mix": "identity"})["flops"]
    assert round((without_attention - fpn) / 1e9, 2) == 8.49
    concatenated = count_whole("gffpn", residual="concat")["flops"]
    assert round((concatenated - printed) / 1e9, 1) == 5.0
    assert round(count_whole("gffpn", short="lsam")["params"] / 1e6, 2) == 42.36


def test_levels_of_the_record_are_those_of_the_backbone() -> None:
    with torch.device("meta"):
        assert CSPDarknet(depth=1.0, width=1.0).out_levels == LEVELS
