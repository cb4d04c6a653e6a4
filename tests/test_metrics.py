"""Does average precision equal COCO's, count each box in one size, and not depend on how it is gathered?"""

import math
import tracemalloc
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch import Tensor
from torchmetrics.utilities import dim_zero_cat

from gffpn.metrics import matching
from gffpn.metrics.average_precision import average_precision, object_counts, paper_average_precision
from gffpn.metrics.detection import DetectionMetric

Batch = tuple[list[dict[str, Tensor]], list[dict[str, Any]]]
CLASSES = ("pit", "scratch", "never")
BINS = ("0_8", "8_16", "16_32", "32_96", "96_up")
EDGES = (0, 8, 16, 32, 96, 1e5)


def image(
    index: int,
    objects: list[list[float]],
    detections: list[list[float]],
    scale: tuple[float, float] = (1.0, 1.0),
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return one image's detections and target.

    Rows of `objects` are x1, y1, x2, y2, label; rows of `detections` also have a score.
    """
    found = torch.tensor(detections).reshape(-1, 6)
    true = torch.tensor(objects).reshape(-1, 5)
    return (
        {"boxes": found[:, :4], "labels": found[:, 4].long(), "scores": found[:, 5]},
        {"boxes": true[:, :4], "labels": true[:, 4].long(), "image_index": index, "scale": scale},
    )


def batch(*images: tuple[dict[str, Tensor], dict[str, Any]]) -> Batch:
    return [detection for detection, _ in images], [target for _, target in images]


def metric_of(scene: Batch, **arguments: Any) -> DetectionMetric:
    metric = DetectionMetric(CLASSES, **arguments)
    metric.update(*scene)
    return metric


def by_hand() -> Batch:
    """Return two images with a hit, a miss, a false alarm, and a hit of IoU 250 / 400 = 0.625."""
    return batch(
        image(
            4,
            [[0, 0, 10, 10, 0], [20, 20, 30, 30, 0]],
            [[0, 0, 10, 10, 0, 0.9], [50, 50, 62, 62, 0, 0.8]],
        ),
        image(2, [[0, 0, 20, 20, 0]], [[0, 0, 20, 12.5, 0, 0.7]], scale=(2.5, 1.6)),
    )


def random_scene(seed: int, *, images: int = 12, size: int = 120, crowd: float = 0.0) -> Batch:
    """Return integer boxes and scores in tenths: many scores and IoUs are equal, many sides a bin edge.

    `crowd` is the share of crowd regions among the objects.
    """
    rng, crowds = np.random.default_rng(seed), np.random.default_rng([seed, 1])

    def boxes(count: int) -> Tensor:
        corner = rng.integers(0, size // 2, (count, 2))
        side = rng.choice([4, 6, 8, 12, 16, 20, 32, 40, 96, 110], (count, 2))
        return torch.from_numpy(np.concatenate([corner, corner + side], axis=1)).float()

    scene = []
    for index in rng.permutation(images):
        true = boxes(int(rng.integers(0, 12)))
        shaken = true.repeat(2, 1) + torch.from_numpy(rng.integers(-2, 3, (2 * len(true), 4))).float()
        shaken[:, 2:] = torch.maximum(shaken[:, 2:], shaken[:, :2] + 1)
        found = torch.cat([shaken, boxes(int(rng.integers(0, 6)))])
        scene.append(
            (
                {
                    "boxes": found,
                    "labels": torch.from_numpy(rng.integers(0, 2, len(found))),
                    "scores": torch.from_numpy(rng.integers(1, 10, len(found)) / 10).float(),
                },
                {
                    "boxes": true,
                    "labels": torch.from_numpy(rng.integers(0, 2, len(true))),
                    "crowd": torch.from_numpy(crowds.random(len(true)) < crowd),
                    "image_index": int(index),
                    "scale": tuple(rng.choice([0.5, 1.0, 2.0], 2).tolist()),
                },
            )
        )
    return batch(*scene)


def coco_precision(scene: Batch, *, max_detections: int = 100, native: bool = False) -> np.ndarray:
    """Return pycocotools' precision of shape (T, R, K, 1 + bins).

    Size ranges end just below an edge, because areas are integers.
    """
    annotations: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    for detection, target in zip(*scene, strict=True):
        shrink = torch.tensor(target["scale"] * 2 if native else [1.0])
        for table, boxes in ((annotations, target), (found, detection)):
            for position, (x1, y1, x2, y2) in enumerate((boxes["boxes"] / shrink).tolist()):
                row = {"image_id": target["image_index"], "category_id": int(boxes["labels"][position])}
                row |= {"bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1)}
                if table is found:
                    row["score"] = float(boxes["scores"][position])
                else:
                    row["iscrowd"] = int(target["crowd"][position])
                table.append(row | {"id": len(table) + 1})
    truth = COCO()
    truth.dataset = {
        "images": [{"id": target["image_index"]} for target in scene[1]],
        "annotations": annotations,
        "categories": [{"id": label} for label in range(len(CLASSES))],
    }
    truth.createIndex()
    evaluation = COCOeval(truth, truth.loadRes(found), "bbox")
    evaluation.params.maxDets = [max_detections]
    ranges = [[low**2, high**2 - 1e-3] for low, high in pairwise(EDGES)]
    evaluation.params.areaRng = [[0, 1e10], *ranges]
    evaluation.params.areaRngLbl = ["all", *BINS]
    evaluation.evaluate()
    evaluation.accumulate()
    precision: np.ndarray = evaluation.eval["precision"][..., 0]
    return precision


def coco_mean(precision: np.ndarray) -> float:
    known = precision[precision > -1]
    return float(known.mean()) if known.size else math.nan


def test_two_images_by_hand() -> None:
    # by descending score: true, false, true (below IoU 0.65); recall of 3 objects: 1/3, 1/3, 2/3
    figures = metric_of(by_hand()).compute()
    assert figures["mAP50"] == pytest.approx((34 + 33 * 2 / 3) / 101)
    assert figures["mAP50_95"] == pytest.approx((3 * 56 + 7 * 34) / 1010)
    assert figures["AP50/pit"] == figures["mAP50"]
    # 34 points at 1, 33 at 2/3, then a line to (1, 0)
    assert figures["AP50_paper"] == pytest.approx(0.01 * (34 + 22 + 11.22 - 0.5))


def test_sizes_by_hand() -> None:
    figures = metric_of(by_hand()).compute()
    # one of two objects is found; the detection of the large one is ignored, or a false alarm after the hit
    assert figures["AP_8_16"] == pytest.approx(51 / 101)
    # found at 3 of 10 thresholds; the small detections are ignored
    assert figures["AP_16_32"] == pytest.approx(0.3)
    assert [figures[f"n_{size}"] for size in BINS] == [0, 2, 1, 0, 0]
    # the second image is enlarged 2.5 times in x and 1.6 in y; its object has 8 x 12.5 native px
    assert [figures[f"n_native_{size}"] for size in BINS] == [0, 3, 0, 0, 0]
    assert figures["AP_native_8_16"] == figures["mAP50_95"]
    assert math.isnan(figures["AP_native_16_32"])
    assert math.isnan(figures["AP_0_8"])
    assert math.isnan(figures["AP50/never"])
    assert math.isnan(figures["AP50_paper/never"])


@pytest.mark.parametrize(("seed", "max_detections"), [(0, 100), (1, 100), (2, 100), (3, 4)])
def test_equals_pycocotools(seed: int, max_detections: int) -> None:
    scene = random_scene(seed)
    figures = metric_of(scene, max_detections=max_detections).compute()
    expected = coco_precision(scene, max_detections=max_detections)
    assert 0.05 < figures["mAP50_95"] < figures["mAP50"] < 0.95
    assert figures["mAP50_95"] == pytest.approx(coco_mean(expected[..., 0]), abs=1e-9)
    assert figures["mAP50"] == pytest.approx(coco_mean(expected[0, ..., 0]), abs=1e-9)
    for label, name in enumerate(CLASSES):
        wanted = coco_mean(expected[0, :, label, 0])
        assert figures[f"AP50/{name}"] == pytest.approx(wanted, abs=1e-9, nan_ok=True)
    for position, size in enumerate(BINS, start=1):
        wanted = coco_mean(expected[..., position])
        assert figures[f"AP_{size}"] == pytest.approx(wanted, abs=1e-9, nan_ok=True)
        assert figures[f"n_{size}"] > 0


def test_native_sizes_equal_pycocotools_on_native_boxes() -> None:
    scene = random_scene(5)
    figures, expected = metric_of(scene).compute(), coco_precision(scene, native=True)
    for position, size in enumerate(BINS, start=1):
        wanted = coco_mean(expected[..., position])
        assert figures[f"AP_native_{size}"] == pytest.approx(wanted, abs=1e-9, nan_ok=True)


def with_crowd(scene: tuple[dict[str, Tensor], dict[str, Any]], *crowd: bool) -> Batch:
    """Return a batch of one image, some of whose objects are crowd regions."""
    detection, target = scene
    return batch((detection, {**target, "crowd": torch.tensor(crowd)}))


def test_crowd_by_hand() -> None:
    # an object of 10 x 10 and a crowd region of 40 x 40; three small detections lie in the region, half of
    # the fourth does; the fifth hits the object. Without the region: four false alarms, then a hit
    objects: list[list[float]] = [[0, 0, 10, 10, 0], [50, 50, 90, 90, 0]]
    inside = [[50, 50, 60, 60, 0, 0.9], [60, 60, 70, 70, 0, 0.8], [80, 80, 90, 90, 0, 0.7]]
    found = [*inside, [85, 50, 95, 60, 0, 0.6], [0, 0, 10, 10, 0, 0.5]]
    metric = metric_of(with_crowd(image(0, objects, found), False, True))
    matches, figures = metric.matches(), metric.compute()
    assert matches.outcome[0, 0].tolist() == [-1, -1, -1, -1, 1]
    assert matches.outcome[0, 1].tolist() == [-1, -1, -1, 0, 1]
    # at IoU 0.5 all false alarms are ignored; above it, the fourth is one before the only hit
    assert figures["mAP50"] == figures["AP50/pit"] == pytest.approx(1.0)
    assert figures["mAP50_95"] == pytest.approx((1 + 9 / 2) / 10)
    assert figures["AP50_paper"] == pytest.approx(0.995)
    assert (figures["n_8_16"], figures["n_32_96"]) == (1, 0)
    assert object_counts(matches).tolist() == [1, 0, 0]


def test_a_detection_prefers_an_object_to_the_crowd_around_it() -> None:
    objects: list[list[float]] = [[0, 0, 100, 100, 0], [0, 0, 10, 10, 0]]
    twice = [[0, 0, 10, 8, 0, 0.9], [0, 0, 10, 10, 0, 0.8]]
    matches = metric_of(with_crowd(image(0, objects, twice), True, False)).matches()
    # IoU 0.8 with the object: a hit up to that threshold, above it part of the crowd; the second of two hits
    # on one object is part of the crowd, too
    assert matches.outcome[0].tolist() == [[1, -1]] * 7 + [[-1, 1]] * 3


def test_a_class_of_crowd_alone_has_no_average_precision() -> None:
    scene = with_crowd(image(0, [[0, 0, 40, 40, 0]], [[0, 0, 9, 9, 0, 0.9]]), True)
    assert all(math.isnan(v) for name, v in metric_of(scene).compute().items() if not name.startswith("n_"))


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_crowds_equal_pycocotools_in_every_class_size_and_threshold(seed: int, native: bool) -> None:
    scene = random_scene(seed, crowd=0.3)
    matches, expected = metric_of(scene).matches(), coco_precision(scene, native=native)
    expected = np.where(expected < 0, np.nan, expected)
    sizes = ["all", *(f"native_{size}" if native else size for size in BINS)]
    ones = np.ones(len(matches.image_index))
    for position, size in enumerate(sizes):
        wanted = expected[..., position].mean(axis=1).T
        np.testing.assert_allclose(average_precision(matches, ones, size=size), wanted, rtol=0, atol=1e-12)
    # the regions matter: neither objects nor dropped
    for other in (random_scene(seed), without_crowd(scene)):
        assert abs(metric_of(other).compute()["mAP50"] - np.nanmean(expected[0, ..., 0])) > 0.001


def without_crowd(scene: Batch) -> Batch:
    """Return the scene with its crowd regions dropped."""
    dropped = [
        {**target, **{key: target[key][~target["crowd"]] for key in ("boxes", "labels", "crowd")}}
        for target in scene[1]
    ]
    return scene[0], dropped


def test_many_objects_in_every_image_are_matched_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shelves and cells: 100 detections and 400 objects of a class in each of 40 images: 1.6 M pairs."""
    draw = np.random.default_rng(0)

    def boxes(count: int) -> list[list[float]]:
        corners = draw.uniform(0, 600, (count, 2))
        return np.concatenate([corners, corners + draw.uniform(5, 40, (count, 2))], 1).tolist()

    scene = batch(
        *(
            image(k, [[*box, 0] for box in boxes(400)], [[*box, 0, draw.random()] for box in boxes(100)])
            for k in range(40)
        )
    )
    metric = metric_of(scene)
    whole = metric.matches()
    monkeypatch.setattr(matching, "_PAIRS", 1 << 16, raising=False)
    tracemalloc.start()
    parts = metric.matches()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (parts.outcome == whole.outcome).all()
    assert (whole.outcome == matching.TRUE).any()
    assert peak < 64 << 20


def test_a_box_of_32_by_32_is_counted_once() -> None:
    figures = metric_of(batch(image(0, [[0, 0, 32, 32, 0]], [[0, 0, 32, 32, 0, 0.5]]))).compute()
    assert (figures["n_16_32"], figures["n_32_96"]) == (0, 1)
    assert math.isnan(figures["AP_16_32"])
    assert figures["AP_32_96"] == pytest.approx(1.0)


def test_rounding_errors_do_not_change_the_bin() -> None:
    # anywhere in the image: 10 px enlarged 3.2 times, and 8 px enlarged and scaled back
    corners = torch.rand(200, 2, generator=torch.Generator().manual_seed(0)) * 190
    for side, size in ((10.0, "32_96"), (8.0, "native_8_16")):
        objects = torch.cat([corners, corners + side], dim=1) * 3.2
        detection, target = image(0, [], [])
        target |= {"boxes": objects, "labels": torch.zeros(200, dtype=torch.int64), "scale": (3.2, 3.2)}
        assert metric_of(batch((detection, target))).compute()[f"n_{size}"] == 200


def test_weights_of_one_change_nothing() -> None:
    matches = metric_of(random_scene(1)).matches()
    for size in matches.ranges:
        ones = np.ones(len(matches.image_index), dtype=np.int64)
        np.testing.assert_array_equal(
            average_precision(matches, ones, size=size), average_precision(matches, size=size)
        )


def test_integer_weights_equal_repeated_images() -> None:
    detections, targets = random_scene(2)
    rng = np.random.default_rng(1)
    for detection in detections:
        # distinct scores, because the order of the copies would matter among equal ones
        detection["scores"] = torch.from_numpy(rng.random(len(detection["scores"])))
    matches = metric_of((detections, targets)).matches()
    counts = rng.poisson(1.0, len(targets))
    assert {0, 1, 2} <= set(counts)
    rows = [
        (detection, {**target, "image_index": 100 * target["image_index"] + copy})
        for detection, target in zip(detections, targets, strict=True)
        for copy in range(counts[matches.image_index == target["image_index"]][0])
    ]
    expected = metric_of(batch(*rows)).matches()
    for size in ("all", "8_16", "native_32_96"):
        weighted = average_precision(matches, counts, size=size)
        np.testing.assert_allclose(weighted, average_precision(expected, size=size), atol=1e-12)


def test_a_class_whose_images_have_no_weight_is_nan() -> None:
    matches = metric_of(
        batch(
            image(0, [[0, 0, 9, 9, 0]], [[0, 0, 9, 9, 0, 0.5]]),
            image(1, [[0, 0, 9, 9, 1]], [[0, 0, 9, 9, 0, 0.9]]),
        )
    ).matches()
    first, second, never = average_precision(matches, np.array([1, 0]))[:, 0]
    assert first == pytest.approx(1.0)
    assert np.isnan([second, never]).all()
    assert average_precision(matches, np.array([1, 3]))[0, 0] == pytest.approx(0.25)
    assert object_counts(matches).tolist() == [1, 1, 0]


def test_merged_metrics_equal_one_metric() -> None:
    detections, targets = random_scene(3)
    whole = metric_of((detections, targets))
    left, right = metric_of((detections[:5], targets[:5])), metric_of((detections[5:], targets[5:]))
    left.merge_state(right)
    assert left.compute() == pytest.approx(whole.compute(), nan_ok=True)


def gathered_from(*metrics: DetectionMetric) -> Callable[..., list[Tensor]]:
    """Return a stand-in for the collective call that returns each state of all metrics in turn."""
    names = metrics[0].metric_state
    states = iter([[dim_zero_cat(getattr(metric, name)) for metric in metrics] for name in names])
    return lambda local, group=None: next(states)


def test_gathered_ranks_equal_one_metric_and_a_padded_image_counts_once() -> None:
    detections, targets = random_scene(3)
    whole = metric_of((detections, targets))
    first = metric_of((detections[0::2], targets[0::2]))
    second = metric_of((detections[1::2] + detections[:1], targets[1::2] + targets[:1]))
    first.dist_sync_fn = gathered_from(first, second)
    first.distributed_available_fn = lambda: True
    assert first.compute() == pytest.approx(whole.compute(), nan_ok=True)
    assert len(first.matches().image_index) == len(targets[0::2])


def test_an_image_seen_twice_counts_once() -> None:
    once, twice = metric_of(by_hand()), metric_of(by_hand())
    twice.update(*by_hand())
    assert twice.compute() == pytest.approx(once.compute(), nan_ok=True)


def test_a_perfect_detector_has_995_in_the_papers_metric() -> None:
    objects = [[10.0 * i, 0, 10.0 * i + 9, 9, i % 2] for i in range(20)]
    metric = metric_of(batch(image(0, objects, [[*row, 0.5 + i / 50] for i, row in enumerate(objects)])))
    assert metric.compute()["AP50_paper"] == pytest.approx(0.995)
    assert metric.compute()["mAP50_95"] == pytest.approx(1.0)
    np.testing.assert_allclose(paper_average_precision(metric.matches()), [0.995, 0.995, np.nan])


def test_without_detections_ap_is_zero_and_without_objects_nan() -> None:
    missed = metric_of(batch(image(0, [[0, 0, 9, 9, 0]], []), image(1, [], []))).compute()
    assert (missed["mAP50"], missed["AP50_paper"], missed["AP_8_16"]) == (0.0, 0.0, 0.0)
    unknown = metric_of(batch(image(0, [], [[0, 0, 9, 9, 0, 0.9]]), image(1, [], []))).compute()
    assert all(math.isnan(value) for name, value in unknown.items() if not name.startswith("n_"))
    assert missed.keys() == unknown.keys()


def test_false_alarms_on_an_empty_image_count() -> None:
    hit = image(0, [[0, 0, 9, 9, 0]], [[0, 0, 9, 9, 0, 0.5]])
    alarm = image(1, [], [[0, 0, 9, 9, 0, 0.9]])
    figures = metric_of(batch(hit, alarm)).compute()
    assert figures["mAP50"] == pytest.approx(0.5)


def test_accepts_tensors_from_a_loader_and_from_autocast() -> None:
    detections, targets = by_hand()
    for detection, target in zip(detections, targets, strict=True):
        detection["scores"] = detection["scores"].bfloat16()
        target["image_index"] = torch.tensor(target["image_index"])
        target["scale"] = torch.tensor(target["scale"])
    metric = metric_of((detections, targets))
    assert metric.compute() == pytest.approx(metric_of(by_hand()).compute(), nan_ok=True)
    metric.reset()
    metric.update(*random_scene(0))
    assert metric.compute() == pytest.approx(metric_of(random_scene(0)).compute(), nan_ok=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size_edges": (16, 8)}, "size_edges: got"),
        ({"size_edges": (0, 8)}, "size_edges: got"),
        ({"size_edges": ()}, "size_edges: got"),
        ({"max_detections": 0}, "max_detections: got 0"),
    ],
)
def test_wrong_arguments_are_reported(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DetectionMetric(CLASSES, **arguments)


def test_an_unknown_size_is_reported() -> None:
    with pytest.raises(ValueError, match=r"size: got 'small', expected one of \['all', '0_8'"):
        average_precision(metric_of(by_hand()).matches(), size="small")
