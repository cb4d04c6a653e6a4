"""Do heads predict, compute losses and decode as documented, for any batch?"""

import copy
import inspect
import logging
import math
import re
from collections.abc import Callable
from typing import NamedTuple, get_args

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.ops import box_iou

from gffpn.detector import Detector
from gffpn.heads.anchors import COCO_ANCHORS, AnchorRule, best_possible_recall, fitness
from gffpn.heads.tal import OverlapMeasure, TALDecode, TALHead, TALLoss
from gffpn.heads.targets import pad_targets
from gffpn.heads.yolov5 import YOLOv5Decode, YOLOv5Head, YOLOv5Loss
from gffpn.layers.conv import ConvBNAct
from gffpn.losses import BoxLoss
from gffpn.pyramid import FitsToBoxes, Level, Levels, SumsOverImages

SMALL = (Level(64, 8), Level(128, 16), Level(256, 32))
TINY = (Level(16, 8), Level(24, 16), Level(32, 32))
Targets = list[dict[str, Tensor]]


class Family(NamedTuple):
    head: Callable[..., nn.Module]
    loss: Callable[..., Callable[..., dict[str, Tensor]]]
    decode: Callable[..., Callable[..., Targets]]
    parts: tuple[str, str, str]


FAMILIES = [
    pytest.param(Family(YOLOv5Head, YOLOv5Loss, YOLOv5Decode, ("box", "objectness", "class")), id="yolov5"),
    pytest.param(Family(TALHead, TALLoss, TALDecode, ("box", "class", "dfl")), id="tal"),
]
each_family = pytest.mark.parametrize("family", FAMILIES)


def features_for(levels: Levels, images: int, size: tuple[int, int]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = [(images, c, math.ceil(size[0] / s), math.ceil(size[1] / s)) for c, s in levels]
    return [torch.randn(shape, generator=generator) for shape in shapes]


def target(boxes: list[list[float]], labels: list[int]) -> dict[str, Tensor]:
    return {
        "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        "labels": torch.tensor(labels, dtype=torch.int64),
    }


TARGETS = [
    target([[6, 6, 10, 10], [30, 20, 50, 44]], [0, 1]),
    target([[40, 38, 48, 46]], [2]),
    target([[8, 30, 40, 62], [50, 4, 62, 12]], [1, 0]),
    target([], []),
]
NOTHING = [target([], []), target([], [])]
DEGENERATE = [target([[5, 5, 5, 5], [8, 3, 8, 20], [9, 9, 4, 4]], [0, 1, 2]), target([], [])]


# ---------------------------------------------------------------- network


@each_family
@pytest.mark.parametrize(("images", "size"), [(2, (64, 96)), (1, (63, 41))])
def test_one_raw_map_per_level(family: Family, images: int, size: tuple[int, int]) -> None:
    head = family.head(TINY, 4)
    features = features_for(TINY, images, size)
    channels = {"objectness": 3 * (5 + 4), "dfl": 4 * 16 + 4}[(set(family.parts) - {"box", "class"}).pop()]
    raw = head(features)
    assert [tuple(r.shape) for r in raw] == [(images, channels, *f.shape[2:]) for f in features]


def test_yolov5_has_the_parameter_count_implied_by_the_papers_total() -> None:
    head = YOLOv5Head(SMALL, 9)
    assert sum(p.numel() for p in head.parameters()) == sum(42 * level.channels + 42 for level in SMALL)


def test_tal_is_light() -> None:
    head = TALHead(SMALL, 9)
    with FlopCounterMode(display=False) as counter:
        head(features_for(SMALL, 1, (320, 320)))
    assert counter.get_total_flops() < 0.6e9


def test_initial_biases_are_as_documented() -> None:
    yolov5 = YOLOv5Head(SMALL, 9).predictions[1].bias.view(3, 14)
    torch.testing.assert_close(yolov5[:, 4], torch.full((3,), math.log(8 / 40**2)))
    torch.testing.assert_close(yolov5[:, 5:], torch.full((3, 9), math.log(0.6 / (9 - 0.99999))))
    for start in (0.5, 2.0, 12.0):
        tal = TALHead(SMALL, 9, start_distance=start)
        distances = tal.distances(tal.box_towers[0][-1].bias)
        torch.testing.assert_close(distances, torch.full((4,), start), atol=1e-4, rtol=0)
    torch.testing.assert_close(tal.class_towers[0][-1].bias, torch.full((9,), math.log(5 / 9 / 80**2)))


def test_a_detector_runs_its_three_parts_in_sequence() -> None:
    class LastTwo(nn.Module):
        in_strides = (16, 32)
        out_levels = TINY[1:]

        def forward(self, features: list[Tensor]) -> list[Tensor]:
            return features[-2:]

    backbone, neck, head = Backbone(), LastTwo(), TALHead(TINY[1:], 3)
    detector = Detector(backbone, neck, head).eval()
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(detector(images), head(backbone(images)[1:]))
    assert {name.split(".")[0] for name in detector.state_dict()} == {"backbone", "head"}


# ---------------------------------------------------------------- loss


@each_family
@pytest.mark.parametrize("targets", [NOTHING, DEGENERATE])
def test_without_boxes_the_box_loss_is_zero_and_all_gradients_exist(family: Family, targets: Targets) -> None:
    head = family.head(TINY, 3)
    parts = family.loss(head)(head(features_for(TINY, 2, (64, 64))), targets, (64, 64))
    assert tuple(parts) == family.parts
    assert parts["box"].item() == 0
    assert all(part.shape == () for part in parts.values())
    torch.stack(list(parts.values())).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in head.parameters())


@each_family
@pytest.mark.parametrize("box_loss", ["ciou", "alpha_iou", "nwd"])
@pytest.mark.parametrize("images", [1, 4])
def test_every_parameter_gets_a_gradient(family: Family, box_loss: str, images: int) -> None:
    torch.manual_seed(0)
    head = family.head(TINY, 3)
    targets = [
        {
            "boxes": torch.cat((t["boxes"], torch.tensor([[0.0, 0, 64, 60]]))),
            "labels": torch.cat((t["labels"], torch.tensor([1]))),
        }
        for t in TARGETS[:images]
    ]
    parts = family.loss(head, box_loss=box_loss)(
        head(features_for(TINY, images, (64, 64))), targets, (64, 64)
    )
    assert all(part.item() > 0 for part in parts.values())
    torch.stack(list(parts.values())).sum().backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


@each_family
def test_a_loss_that_sums_over_images_says_so(family: Family) -> None:
    torch.manual_seed(0)
    head = family.head(TINY, 3)
    loss = family.loss(head)
    raw = [r.detach() for r in head(features_for(TINY, 4, (64, 64)))]
    once, twice = (
        loss(raw, TARGETS, (64, 64)),
        loss([r.repeat(2, 1, 1, 1) for r in raw], 2 * TARGETS, (64, 64)),
    )
    images = 2 if isinstance(loss, SumsOverImages) else 1
    torch.testing.assert_close(twice, {name: images * part for name, part in once.items()})


@each_family
def test_the_loss_depends_only_on_the_boxes(family: Family) -> None:
    """Box order, boxes without area, memory format and autocast's half precision do not change the loss."""
    torch.manual_seed(0)
    head = family.head(TINY, 3)
    loss = family.loss(head)
    raw = [r.detach() for r in head(features_for(TINY, 4, (64, 64)))]
    expected = loss(raw, TARGETS, (64, 64))
    turned = [{name: value.flip(0) for name, value in one.items()} for one in TARGETS]
    padded = [
        {
            "boxes": torch.cat((one["boxes"], torch.tensor([[7.0, 7, 7, 9]]))),
            "labels": torch.cat((one["labels"], torch.tensor([0]))),
        }
        for one in TARGETS
    ]
    channels_last = [r.to(memory_format=torch.channels_last) for r in raw]
    for got in (
        loss(raw, turned, (64, 64)),
        loss(raw, padded, (64, 64)),
        loss(channels_last, TARGETS, (64, 64)),
    ):
        torch.testing.assert_close(got, expected)
    with torch.autocast("cpu", torch.bfloat16):
        half = loss([r.bfloat16() for r in raw], TARGETS, (64, 64))
    assert all(part.dtype == torch.float32 for part in half.values())
    torch.testing.assert_close(half, expected, rtol=0.05, atol=0.01)


def test_yolov5_loss_by_hand() -> None:
    """On one level of 2 x 2 cells with all logits 0, each prediction is its anchor, centred in its cell."""
    head = YOLOv5Head((Level(4, 8),), 2)
    head.anchors.copy_(torch.tensor([[[8.0, 8], [100, 100], [200, 200]]]))
    raw, targets = [torch.zeros(1, 21, 2, 2)], [target([[0, 0, 8, 8]], [1])]
    # three cells are matched: one predicts the box, two are 8 pixels off, with CIoU -64 / (16^2 + 8^2)
    box = (0 + 1.2 + 1.2) / 3
    found = YOLOv5Loss(head, objectness_size_scaling=False)(raw, targets, (16, 16))
    assert found["box"].item() == pytest.approx(3 * 0.05 * box, rel=1e-5)
    assert found["objectness"].item() == pytest.approx(3 * 4 * math.log(2), rel=1e-5)
    assert found["class"].item() == pytest.approx(3 * 0.5 * 2 / 80 * math.log(2), rel=1e-5)
    scaled = YOLOv5Loss(head)(raw, targets, (16, 16))
    assert scaled["objectness"].item() == pytest.approx(3 * 4 * math.log(2) * (16 / 640) ** 2, rel=1e-5)
    # the objectness target is the CIoU: 1 in one of 12 predictions, 0 elsewhere
    raw[0][:, [4, 11, 18]] = 2.0
    softplus = math.log1p(math.exp(2))
    expected = 3 * 4 * (12 * softplus - 2 * 1) / 12
    found = YOLOv5Loss(head, objectness_size_scaling=False)(raw, targets, (16, 16))
    assert found["objectness"].item() == pytest.approx(expected, rel=1e-5)


def test_tal_loss_by_hand() -> None:
    """On one level of 2 x 2 cells, class scores are 1/2; only the first cell's point lies in the box."""
    head = TALHead((Level(4, 8),), 1, reg_max=3)
    raw = torch.zeros(1, 13, 2, 2)
    raw[0, [1, 4, 7, 10]] = 30.0  # middle bins: distance 0
    raw[0, [1, 4, 7, 10], 0, 0] = 0.0
    raw[0, [2, 5, 8, 11], 0, 0] = 30.0  # distance 1 cell: a box with sides of 16 around (4, 4)
    loss = TALLoss(head, overlap="iou", min_side=1.0)
    found = loss([raw], [target([[-4, -4, 11.5, 12]], [0])], (16, 16))
    overlap = 15.5 / 16
    # the sum of target scores is below 1, so the losses are not divided by it
    assert found["class"].item() == pytest.approx(0.5 * 4 * math.log(2), rel=1e-4)
    # three sides lie on a bin; the right one 7.5 / 8 of the way from bin 1, of probability exp(-30), to bin 2
    assert found["dfl"].item() == pytest.approx(1.5 * overlap * (0.5 / 8 * 30) / 4, rel=1e-4)
    aspect = 4 / math.pi**2 * (math.atan(15.5 / 16) - math.atan(1)) ** 2
    ciou = overlap - 0.25**2 / (16**2 + 16**2) - aspect**2 / (1 - overlap + aspect)
    assert found["box"].item() == pytest.approx(7.5 * overlap * (1 - ciou), rel=1e-4)


def test_tal_assigns_images_one_by_one_as_it_does_all_at_once() -> None:
    head = TALHead(TINY, 3)
    loss = TALLoss(head)
    draw = torch.Generator().manual_seed(0)
    points = torch.rand(40, 2, generator=draw) * 64
    corners = torch.rand(3, 40, 2, generator=draw) * 60
    predicted = torch.cat((corners, corners + 1 + torch.rand(3, 40, 2, generator=draw) * 8), -1)
    logits = torch.randn(3, 40, 3, generator=draw)
    counts = (12, 0, 5)
    targets = [
        target(predicted[at, :count].tolist(), [k % 3 for k in range(count)])
        for at, count in enumerate(counts)
    ]
    padded = pad_targets(targets, torch.device("cpu"))
    one_by_one = loss._assign(predicted, logits, points, padded, [max(1, count) for count in counts])
    at_once = loss._assign_padded(predicted, logits, points, padded)
    assert at_once.positive.sum() > 10
    assert all(torch.equal(one, other) for one, other in zip(one_by_one, at_once, strict=True))


def choices(literal: object) -> str:
    """Return a pattern for the end of a message, which lists the choices of a Literal type."""
    return re.escape(f"expected one of {list(get_args(literal))}")


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: TALLoss(TALHead(TINY, 3), box_loss="giou"),
            f"box_loss: got 'giou', {choices(BoxLoss)}",
        ),
        (
            lambda: YOLOv5Loss(YOLOv5Head(TINY, 3), box_loss="giou"),
            f"box_loss: got 'giou', {choices(BoxLoss)}",
        ),
        (
            lambda: TALLoss(TALHead(TINY, 3), overlap="ciou"),
            f"overlap: got 'ciou', {choices(OverlapMeasure)}",
        ),
        (lambda: TALLoss(TALHead(TINY, 3), topk=0), "topk: got 0"),
        (lambda: TALLoss(TALHead(TINY, 3), beta=-1), "beta: got -1"),
        (lambda: TALHead(TINY, 3, objects_per_image=0), "objects_per_image: got 0"),
        (lambda: YOLOv5Head(TINY, 3, objects_per_image=0), "objects_per_image: got 0"),
        (lambda: YOLOv5Head(TINY, 3, class_prior=0), "class_prior: got 0"),
        (lambda: YOLOv5Loss(YOLOv5Head(TINY, 3), max_ratio=1), "max_ratio: got 1"),
        (lambda: TALHead(TINY, 3, reg_max=1), "reg_max: got 1"),
        (lambda: TALHead(TINY, 3, start_distance=-1), "start_distance: got -1"),
        (lambda: YOLOv5Loss(YOLOv5Head(TINY, 3), objectness_balance={8: 1.0}), r"\[16, 32\]"),
        (lambda: YOLOv5Head(TINY, 3, anchors="none"), f"anchors: got 'none', {choices(AnchorRule)}"),
        (lambda: TALDecode(TALHead(TINY, 3), iou_threshold=1.5), "iou_threshold: got 1.5"),
        (lambda: TALDecode(TALHead(TINY, 3), max_detections=0), "max_detections: got 0"),
    ],
)
def test_wrong_values_are_refused(build: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


@each_family
def test_loss_and_decode_have_no_parameters_and_use_the_head_of_a_copy(family: Family) -> None:
    class Task(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = family.head(TINY, 3)
            self.loss = family.loss(self.head)
            self.decode = family.decode(self.head)

    task = Task()
    assert all(name.startswith("head.") for name in task.state_dict())
    twin = copy.deepcopy(task)
    assert twin.loss.head is twin.head
    assert twin.decode.head is twin.head


# ---------------------------------------------------------------- decoding


def yolov5_raw(head: YOLOv5Head, box: list[float], label: int) -> list[Tensor]:
    """Return maps of a 64 x 64 image in which one prediction (second anchor of stride 16) encodes the box."""
    raw = [torch.full((1, 3, 5 + 3, 64 // s, 64 // s), -20.0) for s in (8, 16, 32)]
    x, y = (box[0] + box[2]) / 32, (box[1] + box[3]) / 32
    shift = torch.tensor([(x % 1 + 0.5) / 2, (y % 1 + 0.5) / 2])
    scale = (torch.tensor([box[2] - box[0], box[3] - box[1]]) / head.anchors[1, 1]).sqrt() / 2
    raw[1][0, 1, :4, int(y), int(x)] = torch.cat((shift, scale)).logit()
    raw[1][0, 1, 4, int(y), int(x)] = 20.0
    raw[1][0, 1, 5 + label, int(y), int(x)] = torch.tensor(0.8).logit()
    return [r.flatten(1, 2) for r in raw]


def tal_raw(
    box: list[float], label: int, *, score: float = 0.8, cell: tuple[int, int] = (0, 0)
) -> list[Tensor]:
    """Return raw maps of a 64 x 64 image in which one cell (row, column) of stride 8 encodes the box.

    The first bin is a distance of -1 cell.
    """
    raw = [torch.full((1, 64 + 3, 64 // s, 64 // s), -20.0) for s in (8, 16, 32)]
    row, column = cell
    x, y = 8 * column + 4, 8 * row + 4
    for side, distance in enumerate((x - box[0], y - box[1], box[2] - x, box[3] - y)):
        position = distance / 8 + 1
        left = int(position)
        raw[0][0, 16 * side + left, row, column] = math.log(max(1 - (position - left), 1e-9))
        raw[0][0, 16 * side + left + 1, row, column] = math.log(max(position - left, 1e-9))
    raw[0][0, 64 + label, row, column] = math.log(score / (1 - score))
    return raw


def overlay(one: list[Tensor], other: list[Tensor]) -> list[Tensor]:
    return [torch.maximum(a, b) for a, b in zip(one, other, strict=True)]


def test_yolov5_decodes_what_was_encoded() -> None:
    head, box = YOLOv5Head(TINY, 3), [20.0, 21, 50, 40]
    (found,) = YOLOv5Decode(head, score_threshold=0.1)(yolov5_raw(head, box, 2), (64, 64))
    torch.testing.assert_close(found["boxes"], torch.tensor([box]), rtol=0, atol=1e-3)
    assert found["labels"].tolist() == [2]
    torch.testing.assert_close(found["scores"], torch.tensor([0.8]))


@pytest.mark.parametrize("box", [[20.0, 21, 50, 40], [6.0, 6, 10, 10], [8.0, 14, 11, 17]])
def test_tal_decodes_what_was_encoded_even_between_cell_centres(box: list[float]) -> None:
    """The points of stride 8 are 4, 12, 20: none lies in the two tiny boxes, so distances may be negative."""
    cell = (int(box[1] // 8), int(box[0] // 8))
    (found,) = TALDecode(TALHead(TINY, 3), score_threshold=0.1)(tal_raw(box, 1, cell=cell), (64, 64))
    torch.testing.assert_close(found["boxes"], torch.tensor([box]), rtol=0, atol=1e-3)
    assert found["labels"].tolist() == [1]


def test_detections_are_clipped_ranked_and_limited() -> None:
    decode = TALDecode(TALHead(TINY, 3), score_threshold=0.1)
    both = overlay(
        tal_raw([-5, -5, 20, 20], 0, score=0.6), tal_raw([30, 30, 80, 50], 2, score=0.9, cell=(4, 5))
    )
    (found,) = decode(both, (64, 64))
    torch.testing.assert_close(
        found["boxes"], torch.tensor([[30.0, 30, 64, 50], [0, 0, 20, 20]]), atol=1e-3, rtol=0
    )
    assert found["labels"].tolist() == [2, 0]
    for limit in ({"max_detections": 1}, {"max_candidates": 1}, {"score_threshold": 0.7}):
        (best,) = TALDecode(TALHead(TINY, 3), **({"score_threshold": 0.1} | limit))(both, (64, 64))
        assert best["labels"].tolist() == [2]


def test_suppression_is_class_wise() -> None:
    def detect(label: int) -> list[int]:
        raw = overlay(tal_raw([2, 2, 22, 22], 0, cell=(1, 1)), tal_raw([2, 2, 22, 23], label, score=0.6))
        (found,) = TALDecode(TALHead(TINY, 3), score_threshold=0.1)(raw, (64, 64))
        return found["labels"].tolist()

    assert detect(0) == [0]
    assert detect(1) == [0, 1]


def test_a_box_has_several_classes_only_if_asked_for() -> None:
    raw = overlay(tal_raw([2, 2, 9, 9], 0), tal_raw([2, 2, 9, 9], 2, score=0.5))
    head = TALHead(TINY, 3)
    for multi_label, labels in ((True, [0, 2]), (False, [0])):
        (found,) = TALDecode(head, score_threshold=0.1, multi_label=multi_label)(raw, (64, 64))
        assert found["labels"].tolist() == labels


@each_family
def test_decoding_nothing_returns_empty_detections(family: Family) -> None:
    head = family.head(TINY, 3)
    found = family.decode(head, score_threshold=1.0)(head(features_for(TINY, 2, (64, 64))), (64, 64))
    assert [tuple(one["boxes"].shape) for one in found] == [(0, 4), (0, 4)]
    assert all(one["labels"].dtype == torch.int64 for one in found)


# ---------------------------------------------------------------- anchors


def test_default_anchors_follow_the_stride() -> None:
    anchors = YOLOv5Head((Level(8, 4), *TINY), 3).anchors
    torch.testing.assert_close(anchors[1:], torch.tensor(COCO_ANCHORS, dtype=torch.float32))
    torch.testing.assert_close(anchors[0], anchors[1] / 2)


def boxes_with_tiny_ones(count: int) -> Tensor:
    """Return 100 boxes, of which `count` are too small for COCO's anchors."""
    return torch.tensor([[20.0, 20.0]] * (100 - count) + [[2.0, 2.0]] * count)


@pytest.mark.parametrize(
    ("rule", "tiny", "fitted"),
    [
        ("auto", 2, False),
        ("auto", 3, True),
        ("fit", 0, True),
        ("keep", 100, False),
    ],
)
def test_anchors_are_fitted_by_rule(rule: AnchorRule, tiny: int, fitted: bool) -> None:
    """YOLOv5's rule, the default: if COCO's anchors can match less than 98 % of the boxes."""
    head = YOLOv5Head(TINY, 3, anchors=rule)
    head.fit_to(boxes_with_tiny_ones(tiny))
    assert (not torch.equal(head.anchors, torch.tensor(COCO_ANCHORS, dtype=torch.float32))) is fitted
    assert inspect.signature(YOLOv5Head).parameters["anchors"].default == "auto"


def test_recall_by_hand() -> None:
    anchors = torch.tensor([[10.0, 13], [16, 30]])
    # a quarter of the first anchor is a factor of 4, which is too much; boxes without extent do not count
    boxes = torch.tensor([[2.5, 3.25], [2.6, 3.3], [63.9, 119.9], [64, 119.9], [0, 5]])
    assert best_possible_recall(anchors, boxes) == 0.5
    assert best_possible_recall(anchors, boxes[-1:]) == 0


def test_anchors_fit_the_boxes_that_they_are_fitted_to() -> None:
    generator = torch.Generator().manual_seed(0)
    boxes = 6 * torch.exp(0.6 * torch.randn(400, 2, generator=generator))
    head = YOLOv5Head(TINY, 3, anchors="fit")
    before = fitness(head.anchors.view(-1, 2), boxes)
    head.fit_to(boxes)
    fitted = head.anchors.view(-1, 2)
    assert fitness(fitted, boxes) > before + 0.2
    assert (fitted.prod(1).diff() >= 0).all()
    twin = YOLOv5Head(TINY, 3, anchors="fit")
    twin.fit_to(boxes)
    assert torch.equal(twin.anchors, head.anchors)


@pytest.mark.parametrize("sizes", [[[20.0, 10.0]], [[20.0, 10.0], [4.0, 4.0]]])
def test_anchors_fit_boxes_of_few_sizes(sizes: list[list[float]]) -> None:
    head = YOLOv5Head(TINY, 3, anchors="fit")
    head.fit_to(torch.tensor(sizes * 12))
    anchors = head.anchors.view(-1, 2)
    assert len(anchors.unique(dim=0)) == 9
    assert fitness(anchors, torch.tensor(sizes)) > 0.7


@pytest.mark.parametrize("boxes", [torch.zeros(0, 2), torch.full((8, 2), 20.0), torch.zeros(30, 2)])
def test_too_few_boxes_leave_the_anchors_unchanged(boxes: Tensor, caplog: pytest.LogCaptureFixture) -> None:
    head = YOLOv5Head(TINY, 3, anchors="fit")
    with caplog.at_level(logging.WARNING):
        head.fit_to(boxes)
    assert "anchors left unchanged" in caplog.text
    torch.testing.assert_close(head.anchors, torch.tensor(COCO_ANCHORS, dtype=torch.float32))


def test_the_loss_uses_fitted_anchors() -> None:
    head = YOLOv5Head(TINY, 3, anchors="fit")
    loss = YOLOv5Loss(head)
    raw = [torch.zeros(4, 24, 64 // s, 64 // s) for s in (8, 16, 32)]
    before = loss(raw, TARGETS, (64, 64))["box"]
    head.fit_to(torch.full((20, 2), 9.0))
    assert loss(raw, TARGETS, (64, 64))["box"] != before


# ---------------------------------------------------------------- learning


class Backbone(nn.Module):
    out_levels = TINY

    def __init__(self) -> None:
        super().__init__()
        stem = [ConvBNAct(3, 16, 3, 2), ConvBNAct(16, 16, 3, 2), ConvBNAct(16, 16, 3, 2)]
        self.stages = nn.ModuleList([nn.Sequential(*stem), ConvBNAct(16, 24, 3, 2), ConvBNAct(24, 32, 3, 2)])

    def forward(self, images: Tensor) -> list[Tensor]:
        features = []
        for stage in self.stages:
            images = stage(images)
            features.append(images)
        return features


def coloured_boxes() -> Tensor:
    images = 0.1 * torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    for image, one in zip(images, TARGETS, strict=True):
        for (x1, y1, x2, y2), label in zip(one["boxes"].int().tolist(), one["labels"].tolist(), strict=True):
            image[label, y1:y2, x1:x2] = 1
    return images


@pytest.mark.slow
@each_family
def test_a_head_learns_one_batch(family: Family) -> None:
    """The batch has boxes of 4 to 32 pixels, one of them between cell centres, and an image without boxes."""
    torch.manual_seed(0)
    backbone, head = Backbone(), family.head(TINY, 3)
    if isinstance(head, FitsToBoxes):
        sizes = torch.cat([one["boxes"][:, 2:] - one["boxes"][:, :2] for one in TARGETS])
        head.fit_to(sizes.repeat(3, 1))
    loss, images = family.loss(head), coloured_boxes()
    if isinstance(loss, YOLOv5Loss):
        loss.objectness_size_scaling = False
    optimizer = torch.optim.Adam([*backbone.parameters(), *head.parameters()], lr=5e-3)
    for _ in range(100):
        optimizer.zero_grad()
        torch.stack(list(loss(head(backbone(images)), TARGETS, (64, 64)).values())).sum().backward()
        optimizer.step()

    decode = family.decode(head, score_threshold=0.1, max_detections=5)
    for found, truth in zip(decode(head(backbone(images)), (64, 64)), TARGETS, strict=True):
        for box, label in zip(truth["boxes"], truth["labels"], strict=True):
            assert box_iou(box[None], found["boxes"][found["labels"] == label]).max() > 0.5
    assert not len(found["boxes"])
