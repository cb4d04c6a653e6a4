"""Do the counts by size say what training does with objects, without changing it?"""

import logging
import math
from types import SimpleNamespace
from typing import Any, cast

import lightning as L
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gffpn.callbacks.size_counts import SizeCounts, assignment_counts
from gffpn.data.canvas import LOST_BY, NONE_LOST, BoxRule, Source, Span, blank, lost, paste
from gffpn.heads.tal import TALHead, TALLoss
from gffpn.heads.yolov5 import YOLOv5Head, YOLOv5Loss
from gffpn.metrics.matching import SIZE_EDGES, network_bins, size_bin
from gffpn.pyramid import Assignments, Level, ShowsAssignments

BINS = [size.name for size in network_bins()]
TWO = (Level(4, 8), Level(4, 16))
SIZE = (16, 16)


def target(*boxes: tuple[float, ...]) -> dict[str, Tensor]:
    return {
        "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        "labels": torch.zeros(len(boxes), dtype=torch.int64),
    }


def raw_of(channels: int, images: int) -> list[Tensor]:
    return [torch.zeros(images, channels, 16 // level.stride, 16 // level.stride) for level in TWO]


def yolov5() -> YOLOv5Loss:
    """Return a loss with one useful anchor, of 8 x 8 pixels on stride 8."""
    head = YOLOv5Head(TWO, 1)
    head.anchors.fill_(900.0)
    head.anchors[0, 0] = 8.0
    return YOLOv5Loss(head)


def test_boxes_belong_to_half_open_bins() -> None:
    assert BINS == ["0_8", "8_16", "16_32", "32_96", "96_up"]
    boxes = np.array([[0, 0, 8, 7.9], [0, 0, 8, 8], [1, 1, 33, 33], [0, 0, 4, 16], [0, 0, 96, 96]])
    assert size_bin(boxes).tolist() == [0, 1, 3, 1, 4]


def test_lost_boxes_are_counted_by_cause_and_size() -> None:
    boxes = np.array([[0, 0, 4, 4], [0, 2, 20, 22], [8, 0, 16, 4], [14, 0, 40, 40]], np.float32)
    source = Source(np.zeros((3, 40, 40), np.uint8), boxes, np.zeros(4, np.int64))
    # columns 15 to 40 are shown at twice their size: the first box is out of view; a quarter of the second
    # one is left, and an eighth of the third, 2 of 16 px
    spans = Span(0, 40, 0, 80), Span(15, 40, 0, 50)
    for cause in ("mosaic", "crop"):
        found = paste(blank((80, 50)), source, *spans, BoxRule(2.0, 0.2), by=cause)
        counts = {
            name: dict(zip(BINS, row, strict=True))
            for name, row in zip(LOST_BY, found.lost_boxes.tolist(), strict=True)
        }
        assert {(name, size): n for name in counts for size, n in counts[name].items() if n} == {
            (cause, "8_16"): 1,  # 8 x 8 px on the canvas
            ("filter", "8_16"): 1,  # 16 x 8 px
        }
        assert len(found.boxes) == 2
    hidden = paste(blank((80, 50)), source, None, spans[1], BoxRule(2.0, 0.2), by="crop")
    assert hidden.lost_boxes.sum(0).tolist() == [2, 0, 1, 1, 0]


def test_a_loss_shows_the_matches_of_anchors() -> None:
    loss, seen = yolov5(), cast(list[Assignments], [])
    assert isinstance(loss, ShowsAssignments)
    loss.watch = seen.append
    # a box in the first cell, which has two neighbours; one that is too small; none
    loss(raw_of(18, 2), [target((0, 0, 8, 8), (3, 3, 5, 5)), target()], SIZE)
    assert seen[0].positives.tolist() == [[[3, 0], [0, 0]], [[0, 0], [0, 0]]]
    assert seen[0].valid.tolist() == [[True, True], [False, False]]


def test_a_loss_shows_the_points_of_each_object() -> None:
    loss, seen = TALLoss(TALHead(TWO, 1), min_side=1.0), cast(list[Assignments], [])
    assert isinstance(loss, ShowsAssignments)
    loss.watch = seen.append
    # centres (4, 4) and (8, 8), one per level; then all five; then none, in the corner
    boxes = target((-4, -4, 11.5, 12)), target((0, 0, 16, 16)), target((0, 0, 3, 3))
    loss(raw_of(65, 3), list(boxes), SIZE)
    assert seen[0].positives.tolist() == [[[1, 1]], [[4, 1]], [[0, 0]]]


@pytest.mark.parametrize(("build", "channels"), [(yolov5, 18), (lambda: TALLoss(TALHead(TWO, 1)), 65)])
def test_watching_changes_neither_losses_nor_gradients(build: Any, channels: int) -> None:
    loss = build()
    targets = [target((0, 0, 8, 8), (3, 3, 5, 5)), target((2, 1, 14, 12))]
    generator = torch.Generator().manual_seed(0)
    maps = [torch.randn(one.shape, generator=generator) for one in raw_of(channels, 2)]
    results = []
    for watch in (None, lambda found: assignment_counts(found, torch.tensor(SIZE_EDGES).float())):
        loss.watch = watch
        raw = [one.clone().requires_grad_() for one in maps]
        state = torch.get_rng_state()
        parts = loss(raw, targets, SIZE)
        torch.stack(list(parts.values())).sum().backward()
        assert torch.equal(torch.get_rng_state(), state)
        results.append([*(part.detach() for part in parts.values()), *(cast(Tensor, x.grad) for x in raw)])
    assert all(torch.equal(one, other) for one, other in zip(*results, strict=True))


def test_counts_of_a_batch_by_hand() -> None:
    found = Assignments(
        boxes=torch.tensor([[[0.0, 0, 4, 4], [0, 0, 8, 8]], [[1, 1, 33, 33], [0, 0, 0, 0]]]),
        valid=torch.tensor([[True, True], [True, False]]),
        positives=torch.tensor([[[0, 0], [3, 1]], [[0, 2], [0, 0]]]),
    )
    # objects, unassigned, and positives of two levels
    assert assignment_counts(found, torch.tensor(SIZE_EDGES, dtype=torch.float32)).tolist() == [
        [1, 1, 0, 0],
        [1, 0, 3, 1],
        [0, 0, 0, 0],
        [1, 0, 0, 2],
        [0, 0, 0, 0],
    ]


def test_both_ways_to_find_a_bin_agree() -> None:
    corners = torch.rand(500, 4, generator=torch.Generator().manual_seed(0)) * 60
    boxes = torch.cat((corners[:, :2], corners[:, :2] + corners[:, 2:]), 1)
    # exact edges at places where float32 rounds
    exact = torch.tensor([[0.1, 0.3, 0.1 + side, 0.3 + side] for side in SIZE_EDGES])
    boxes = torch.cat((boxes, exact))
    valid = torch.ones(1, len(boxes), dtype=torch.bool)
    positives = torch.zeros(1, len(boxes), 1, dtype=torch.int64)
    found = assignment_counts(Assignments(boxes[None], valid, positives), torch.tensor(SIZE_EDGES).float())
    assert found[:, 0].tolist() == np.bincount(size_bin(boxes.double().numpy()), minlength=5).tolist()


class Module(L.LightningModule):
    """A module with a loss and a head, which keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.loss = yolov5()
        self.detector = nn.Module()
        self.detector.head = self.loss.head
        self.logged: list[dict[str, float]] = []

    def log_dict(self, dictionary: Any, *_: Any, **__: Any) -> None:
        self.logged.append({name.removeprefix("train/"): value for name, value in dictionary.items()})


def test_an_epoch_logs_its_own_counts_and_warns_once(caplog: pytest.LogCaptureFixture) -> None:
    module, callback = Module(), SizeCounts()
    trainer = cast(L.Trainer, SimpleNamespace(is_global_zero=True))
    tiny, whole = (3, 3, 5, 5), (0, 0, 8, 8)
    gone = lost(np.array([[0, 0, 10, 10]], np.float32), by="mosaic")
    with caplog.at_level(logging.WARNING):
        callback.on_train_start(trainer, module)
        for boxes in ([tiny, whole], [tiny]):
            for _ in range(2):
                module.loss(raw_of(18, 1), [target(*boxes)], SIZE)
                callback.on_train_batch_end(trainer, module, None, {"lost_boxes": gone}, 0)
            callback.on_validation_start(trainer, module)
            module.loss(raw_of(18, 1), [target(*boxes)], SIZE)  # validation does not count
            callback.on_validation_epoch_end(trainer, module)
            callback.on_validation_end(trainer, module)
        callback.on_train_end(trainer, module)
    assert module.loss.watch is None
    first, second = ({name: value for name, value in one.items() if value} for one in module.logged)
    assert first == {
        "objects_0_8": 2,
        "unassigned_0_8": 2,
        "objects_8_16": 2,
        "positives_s8_8_16": 6,
        "lost_mosaic_8_16": 2,
    }
    assert second == {"objects_0_8": 2, "unassigned_0_8": 2, "lost_mosaic_8_16": 2}
    assert len(module.logged[0]) == 5 * (2 + 2 + 3)
    (message,) = caplog.messages
    assert message.startswith(
        "objects of 0 to 8 px cannot be learnt: the loss assigned no prediction to any of the 2"
    )


def test_a_loss_that_shows_nothing_leaves_the_lost_boxes() -> None:
    module, callback = Module(), SizeCounts()
    module.loss = cast(Any, lambda raw, targets, size: {})
    trainer = cast(L.Trainer, SimpleNamespace(is_global_zero=True))
    callback.on_train_start(trainer, module)
    callback.on_train_batch_end(trainer, module, None, {"lost_boxes": NONE_LOST}, 0)
    callback.on_validation_start(trainer, module)
    callback.on_validation_epoch_end(trainer, module)
    assert set(module.logged[0]) == {f"lost_{cause}_{size}" for cause in LOST_BY for size in BINS}
    assert not any(math.isnan(value) or value for value in module.logged[0].values())
