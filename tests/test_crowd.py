"""Are crowd regions read, left out of training and of every count of objects, and ignored in evaluation?"""

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch import Tensor, nn

from gffpn.callbacks.pictures import drawn, overlay
from gffpn.data.card.card import card
from gffpn.data.datamodule import DetectionData
from gffpn.data.index import DataError, DataIndex, ImageRecord
from gffpn.data.readers.splits import draw
from gffpn.data.transforms import Augment
from gffpn.metrics.detection import DetectionMetric
from gffpn.metrics.matching import SIZE_EDGES, size_ranges
from gffpn.optim import Recipe
from gffpn.task import DetectionTask
from tiny_sets import coco, coco_content, write_sets


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_sets(tmp_path / "set")


def write_crowds(root: Path, *positions: int, objects: int = 0) -> None:
    """Mark annotations as crowd, and add `objects` small ones to image a."""
    content = coco_content()
    for position in positions:
        content["annotations"][position]["iscrowd"] = 1
    for number in range(objects):
        box = {"id": 500 + number, "image_id": 10, "category_id": 3, "bbox": [number, 30, 1, 1]}
        content["annotations"].append(box)
    (root / "all.json").write_text(json.dumps(content))


def crowds_of(index: DataIndex) -> dict[str, list[bool]]:
    return {split: record.crowd.tolist() for split, (record,) in index.splits.items()}


def test_a_crowd_annotation_is_a_region_an_object_or_dropped(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plain = coco(root).index()
    write_crowds(root, 0)
    caplog.set_level(logging.INFO)
    region = coco(root, crowd="ignore").index()
    assert crowds_of(region) == {"train": [True, False], "val": [False], "test": [False]}
    assert region.splits["train"][0].boxes.tolist() == [[0, 0, 10, 20], [30, 10, 60, 40]]
    assert region.splits["train"][0].objects.boxes.tolist() == [[30, 10, 60, 40]]
    assert region.mended == {}
    assert "train has 1 images, 1 boxes, 1 crowd regions" in caplog.text
    assert "train has no box of scratch" in caplog.text

    thing = coco(root, crowd="object").index()
    assert crowds_of(thing) == crowds_of(plain)
    assert thing.mended == {"crowd annotations read as objects": 1}

    dropped = coco(root, crowd="drop").index()
    assert dropped.splits["train"][0].labels.tolist() == [0]
    assert dropped.mended == {"crowd annotations dropped": 1}

    # the fingerprint of a set without crowd regions is the one that it had before there were any
    assert thing.fingerprint == plain.fingerprint
    assert len({region.fingerprint, thing.fingerprint, dropped.fingerprint}) == 3


def test_few_crowds_are_ignored_by_default(root: Path) -> None:
    write_crowds(root, 0, objects=16)  # 1 of 20 boxes, and the other box of its class is an object
    assert crowds_of(coco(root).index())["train"] == [True] + [False] * 17


@pytest.mark.parametrize("on_error", ["raise", "skip"])
@pytest.mark.parametrize(
    ("positions", "objects", "what"),
    [
        ((0,), 15, r"1 of 19 annotations \(5\.3%\) have iscrowd = 1, expected at most 5%"),
        ((0, 3), 40, "scratch: all 2 annotations have iscrowd = 1"),
    ],
)
def test_many_crowds_are_refused_with_both_remedies_unless_they_are_chosen(
    root: Path, positions: tuple[int, ...], objects: int, what: str, on_error: str
) -> None:
    write_crowds(root, *positions, objects=objects)
    with pytest.raises(DataError, match=what) as refusal:
        coco(root, on_error=on_error).index()
    assert "1 fault in" in str(refusal.value)
    assert refusal.match("data.crowd=object if .* brush masks .* data.crowd=ignore if")
    for choice in ("ignore", "object", "drop"):
        coco(root, crowd=choice).index()


def test_an_unknown_treatment_is_refused(root: Path) -> None:
    with pytest.raises(
        ValueError, match=r"crowd: got 'keep', expected one of \['ignore', 'object', 'drop'\]"
    ):
        coco(root, crowd="keep")


def test_a_val_split_of_crowds_alone_is_refused(root: Path) -> None:
    write_crowds(root, 2)
    with pytest.raises(DataError, match="val: images, but no box"):
        coco(root, crowd="ignore").index()


def test_a_split_is_drawn_by_the_classes_of_the_objects() -> None:
    def record(number: int, crowd: bool) -> ImageRecord:
        box = np.array([[0, 0, 8, 8]], np.float32)
        flags = np.array([crowd])
        return ImageRecord(Path(f"{number}"), f"{number}", 8, 8, box, np.zeros(1, np.int64), crowd=flags)

    records = [record(number, crowd=number >= 10) for number in range(100)]
    drawn_now = draw(records, {"train": 0.8, "val": 0.1, "test": 0.1}, 0)
    assert [sum(len(r.objects.labels) for r in part) for part in drawn_now.values()] == [8, 1, 1]


@pytest.fixture
def data(root: Path, tmp_path: Path) -> DetectionData:
    """Return data whose train and test image each have a crowd region around their first box."""
    write_crowds(root, 0, 3)
    content = json.loads((root / "all.json").read_text())
    content["annotations"].append({"id": 900, "image_id": 12, "category_id": 7, "bbox": [0, 0, 8, 8]})
    (root / "all.json").write_text(json.dumps(content))
    made = DetectionData(
        coco(root, crowd="ignore").index(),
        image_size=(64, 64),
        batch_size=1,
        workers=0,
        seed=0,
        augment=Augment(mosaic=1.0),
        max_epochs=1,
        cache="ram",
        cache_dir=tmp_path / "cache",
    )
    made.setup()
    return made


def test_training_leaves_crowds_out_and_evaluation_flags_them(data: DetectionData) -> None:
    # the mosaic shows image a four times; its object is a dent
    (batch,) = data.train_dataloader()
    (target,) = batch["targets"]
    assert set(target["labels"].tolist()) <= {0}
    assert len(target["labels"]) + target["lost_boxes"].sum() == 4
    assert target["crowd"].tolist() == [False] * len(target["labels"])
    (batch,) = data.test_dataloader()
    assert batch["targets"][0]["crowd"].tolist() == [True, False]
    assert batch["targets"][0]["boxes"].tolist() == [[16, 8, 48, 24], [0, 0, 8, 8]]
    # anchors and thin boxes: image a, 60 x 40, is enlarged to 64 x 43 (W x H)
    torch.testing.assert_close(data.boxes_wh("train"), torch.tensor([[32.0, 30 * 43 / 40]]))
    assert data.count_thinner(9.0) == {"train": 0, "val": 0, "test": 1}


def test_the_loss_of_val_has_no_crowds(data: DetectionData) -> None:
    seen: list[dict[str, Tensor]] = []

    def loss(raw: list[Tensor], targets: list[dict[str, Tensor]], size: tuple[int, int]) -> dict[str, Tensor]:
        seen.extend(targets)
        return {"box": torch.zeros(())}

    def decode(raw: list[Tensor], size: tuple[int, int]) -> list[dict[str, Tensor]]:
        return [{"boxes": torch.zeros(0, 4), "scores": torch.zeros(0), "labels": torch.zeros(0).long()}]

    recipe = Recipe.__new__(Recipe)  # unused without an optimiser
    detector: Any = nn.Identity()
    detector.backbone = None
    task = DetectionTask(detector, loss, decode, recipe, classes=("dent", "scratch"), channels_last=False)
    (batch,) = data.test_dataloader()
    task.validation_step(batch, 0)
    assert seen[0]["boxes"].tolist() == [[0, 0, 8, 8]]
    assert seen[0]["labels"].tolist() == [1]


def test_a_read_set_has_the_figures_of_pycocotools(data: DetectionData, root: Path) -> None:
    # two detections in the crowd region, then a hit: 1.0, and 0.333 if the region were dropped
    found = [[16, 8, 24, 16, 0.9], [30, 8, 40, 20, 0.8], [0, 0, 8, 8, 0.7]]
    (batch,) = data.test_dataloader()
    rows = torch.tensor(found)
    detection = {"boxes": rows[:, :4], "scores": rows[:, 4], "labels": torch.ones(3, dtype=torch.int64)}
    metric = DetectionMetric(("dent", "scratch"))
    metric.update([detection], batch["targets"])

    truth = COCO(str(root / "all.json"))
    for number, entry in truth.anns.items():
        entry["area"], entry["iscrowd"] = entry["bbox"][2] * entry["bbox"][3], entry.get("iscrowd", 0)
        assert number == entry["id"]
    results = [
        {"image_id": 12, "category_id": 7, "bbox": [x1, y1, x2 - x1, y2 - y1], "score": score}
        for x1, y1, x2, y2, score in found
    ]
    evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
    evaluation.params.imgIds = [12]
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    assert evaluation.stats[0] == pytest.approx(1.0)
    assert metric.compute()["mAP50_95"] == pytest.approx(evaluation.stats[0], abs=1e-12)


def test_a_card_counts_crowds_apart(data: DetectionData) -> None:
    contents = card(data.index, (64, 64), size_ranges(SIZE_EDGES))
    assert contents["crowd"]["scratch"] == {"train": 1, "val": 0, "test": 1}
    assert contents["classes"]["scratch"] == {"train": 0, "val": 0, "test": 1}
    assert contents["splits"]["train"] == {"images": 1, "empty": 0, "boxes": 1}
    assert contents["bins"]["native_16_32"] == {"train": 1, "val": 1, "test": 0}
    assert contents["fingerprint"] == data.index.fingerprint


def test_a_picture_shows_crowds_in_another_colour() -> None:
    target = {
        "boxes": torch.tensor([[10.0, 10, 20, 20], [30, 30, 40, 40]]),
        "labels": torch.tensor([0, 1]),
        "crowd": torch.tensor([True, False]),
    }
    found = {"boxes": torch.zeros(0, 4), "scores": torch.zeros(0), "labels": torch.zeros(0).long()}
    black = torch.zeros(3, 448, 448, dtype=torch.uint8)
    picture = drawn(black, target, found, ("dent", "scratch"))
    assert picture[:, 9, 15].tolist() == [192, 192, 192]
    assert picture[:, 29, 35].tolist() == [0, 255, 0]
    groups = overlay(black, target, found, ("dent", "scratch"))
    assert [(group, len(groups[group]["box_data"])) for group in groups] == [
        ("truth", 1),
        ("crowd", 1),
        ("detections", 0),
    ]
    assert "crowd" not in overlay(
        black, {**target, "crowd": torch.zeros(2).bool()}, found, ("dent", "scratch")
    )
