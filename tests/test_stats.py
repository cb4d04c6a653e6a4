"""Are the re-weighted figures those of COCO, whatever the weights, and are the draws fair?"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fake_runs import record
from gffpn.metrics.average_precision import average_precision
from gffpn.metrics.evaluated import Evaluated
from gffpn.metrics.matching import Boxes, Ints, size_ranges
from gffpn.runs.folder import RunFolder
from gffpn.runs.predictions import Predictions, write_predictions
from gffpn.runs.record import write_record
from gffpn.stats import replicates as module
from gffpn.stats.draws import draws
from gffpn.stats.replicates import kept_replicates, replicates, truth_digest
from gffpn.stats.reweighted import mean_precision, reweighted_precision
from test_metrics import BINS, CLASSES, coco_mean, coco_precision, metric_of, random_scene

EDGES = (8, 16, 32, 96)


def split(evaluated: Evaluated, groups: tuple[str, ...] | None = None) -> Predictions:
    """Return predictions on images without files."""
    names = tuple(f"{index}.png" for index in evaluated.image_index)
    sizes = np.full((len(names), 2), 120)
    return Predictions(CLASSES, names, groups or names, sizes, evaluated)


def scene_split(seed: int, *, crowd: float = 0.0) -> Predictions:
    return split(metric_of(random_scene(seed, crowd=crowd)).evaluated())


def repeated(evaluated: Evaluated, counts: Ints) -> Evaluated:
    """Return the images as often as `counts` (N,) says, each copy an image of its own."""
    source = np.repeat(np.arange(len(counts)), counts)

    def rows(image: Ints) -> tuple[Ints, Ints]:
        found = [np.flatnonzero(image == one) for one in source]
        return np.concatenate(found), np.repeat(np.arange(len(source)), [len(one) for one in found])

    def boxes(old: Boxes) -> Boxes:
        at, image = rows(old.image)
        return Boxes(image, old.label[at], old.xyxy[at])

    return Evaluated(
        np.arange(len(source)),
        evaluated.scales[source],
        boxes(evaluated.detections),
        evaluated.scores[rows(evaluated.detections.image)[0]],
        boxes(evaluated.objects),
        evaluated.crowd[rows(evaluated.objects.image)[0]],
    )


@pytest.mark.parametrize("crowd", [0.0, 0.3])
@pytest.mark.parametrize("seed", range(4))
def test_weights_of_one_give_the_figures_of_pycocotools(seed: int, crowd: float) -> None:
    scene = random_scene(seed, crowd=crowd)
    found = replicates(split(metric_of(scene).evaluated()), count=3)
    expected = coco_precision(scene)
    wanted = {"mAP50": coco_mean(expected[0, ..., 0]), "mAP50_95": coco_mean(expected[..., 0])}
    wanted |= {f"AP_{size}": coco_mean(expected[..., at]) for at, size in enumerate(BINS, start=1)}
    wanted |= {f"AP50/{name}": coco_mean(expected[0, :, at, 0]) for at, name in enumerate(CLASSES)}
    assert found.endpoints == tuple(wanted)
    np.testing.assert_allclose(found.points, list(wanted.values()), rtol=0, atol=1e-9)


@pytest.mark.parametrize("crowd", [0.0, 0.3])
@pytest.mark.parametrize("images", [12, 300])
def test_every_replicate_is_the_weighted_average_precision(images: int, crowd: float) -> None:
    evaluated = metric_of(random_scene(images, images=images, crowd=crowd)).evaluated()
    ranges = size_ranges(EDGES)
    matches = evaluated.matches(len(CLASSES), ranges)
    weights = draws([str(number) for number in range(images)], 300).astype(np.int64)
    for size in matches.ranges:
        found = reweighted_precision(matches, weights, size=size)
        for at in (0, 7, 255, 256, 299):
            wanted = average_precision(matches, weights[:, at], size=size)
            np.testing.assert_allclose(found[..., at], wanted, rtol=0, atol=1e-12)
    part = reweighted_precision(matches, weights, size="0_8", ious=slice(3, 5))
    np.testing.assert_array_equal(part, reweighted_precision(matches, weights, size="0_8")[:, 3:5])


def test_weights_equal_repeated_images() -> None:
    evaluated = metric_of(random_scene(3, crowd=0.2)).evaluated()
    # without equal scores, whose order would depend on the order of the images
    jitter = np.random.default_rng(0).random(len(evaluated.scores)) / 1000
    evaluated = evaluated._replace(scores=evaluated.scores + jitter)
    weights = draws([str(number) for number in range(12)], 4)
    found = replicates(split(evaluated), count=2).endpoints
    for counts in weights.T:
        matches = evaluated.matches(len(CLASSES), size_ranges(EDGES))
        copies = replicates(split(repeated(evaluated, counts)), count=1)
        ones = reweighted_precision(matches, counts[:, None])
        assert copies["mAP50"][0] == pytest.approx(float(mean_precision(ones[:, :1])[0]), abs=1e-12)
        assert copies["mAP50_95"][0] == pytest.approx(float(mean_precision(ones)[0]), abs=1e-12)
        for size in BINS:
            value = mean_precision(reweighted_precision(matches, counts[:, None], size=size))
            assert copies[f"AP_{size}"][0] == pytest.approx(float(value[0]), abs=1e-12, nan_ok=True)
    assert "AP50/pit" in found


def test_one_replicate_by_hand() -> None:
    # scores fall from left to right: a hit in image 0, a false alarm in image 1, a hit in image 1, and one
    # object of image 2 without a detection
    box, far = [0.0, 0.0, 10.0, 10.0], [50.0, 50.0, 60.0, 60.0]
    evaluated = Evaluated(
        np.arange(3),
        np.ones((3, 2)),
        Boxes(np.array([0, 1, 1]), np.zeros(3, np.int64), np.array([box, far, box])),
        np.array([0.9, 0.8, 0.7]),
        Boxes(np.arange(3), np.zeros(3, np.int64), np.array([box] * 3)),
        np.zeros(3, np.bool_),
    )
    matches = evaluated.matches(1, size_ranges(EDGES))
    weights = np.array([[1, 1, 1], [2, 1, 0], [0, 3, 0], [0, 0, 3]]).T
    found = reweighted_precision(matches, weights, ious=slice(0, 1))[0, 0]
    # recalls 1/3 and 2/3: 34 points at precision 1, 33 at 2/3; two of the first image: 67 at 1, 34 at 3/4;
    # the second image alone: 1/2 everywhere; the third alone: nothing is found
    wanted = [(34 + 33 * 2 / 3) / 101, (67 + 34 * 3 / 4) / 101, 0.5, 0.0]
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-12)


def test_a_class_without_an_object_leaves_the_mean_of_a_replicate() -> None:
    box = np.array([[0.0, 0.0, 10.0, 10.0]] * 2)
    boxes, labels = np.arange(2), np.arange(2)
    evaluated = Evaluated(
        np.arange(2),
        np.ones((2, 2)),
        Boxes(boxes[:1], labels[:1], box[:1]),
        np.ones(1),
        Boxes(boxes, labels, box),
        np.zeros(2, np.bool_),
    )
    matches = evaluated.matches(3, size_ranges(EDGES))
    precision = reweighted_precision(matches, np.array([[1, 1], [2, 0], [0, 2]]).T)
    np.testing.assert_allclose(precision[:, 0], [[1, 1, np.nan], [0, np.nan, 0], [np.nan] * 3], atol=1e-12)
    np.testing.assert_allclose(mean_precision(precision), [0.5, 1.0, 0.0], atol=1e-12)


def test_draws_are_fair_and_depend_on_the_groups_alone() -> None:
    groups = ["b", "a", "b", "c"]
    found = draws(groups, 20_000)
    assert found.shape == (4, 20_000)
    np.testing.assert_array_equal(found[0], found[2])
    np.testing.assert_array_equal(found[[0, 1, 3]].sum(axis=0), 3)
    # a binomial of 3 draws with probability 1/3
    np.testing.assert_allclose(found.mean(axis=1), 1, atol=0.02)
    np.testing.assert_allclose(found.var(axis=1), 2 / 3, atol=0.02)
    np.testing.assert_array_equal(draws(["a", "b", "c"], 20_000), found[[1, 0, 3]])
    assert (draws(["a", "b", "d"], 20_000) != found[[1, 0, 3]]).any()


def test_groups_are_drawn_as_one() -> None:
    predictions = scene_split(0)
    pairs = tuple(f"part {at // 2}" for at in range(12))
    assert replicates(predictions, count=2).groups == 12
    found = replicates(split(predictions.evaluated, pairs), count=2)
    assert found.groups == 6
    np.testing.assert_array_equal(found.points, replicates(predictions, count=2).points)


def test_chosen_endpoints_equal_those_of_all() -> None:
    predictions = scene_split(1)
    whole = replicates(predictions, count=9)
    for only in (["mAP50"], ["AP_8_16"], ["AP50/scratch", "mAP50_95"]):
        found = replicates(predictions, count=9, only=only)
        assert sorted(found.endpoints) == sorted(only)
        for name in only:
            np.testing.assert_array_equal(found[name][1], whole[name][1])
    with pytest.raises(ValueError, match=r"only: got \['mAP'\], expected some of .*mAP50_95"):
        replicates(predictions, only=["mAP", "mAP50"])
    with pytest.raises(KeyError):
        whole["mAP"]


def test_truth_is_the_same_at_another_image_size_and_not_with_other_objects() -> None:
    predictions = scene_split(2)
    one = predictions.evaluated

    def scaled(by: float) -> Evaluated:
        boxes = (one.objects.xyxy * by).astype(np.float32).astype(np.float64)
        return one._replace(objects=one.objects._replace(xyxy=boxes), scales=one.scales * by)

    assert truth_digest(split(scaled(1.7))) == truth_digest(predictions)
    larger = one.objects._replace(xyxy=one.objects.xyxy * np.array([1, 1, 1.2, 1.2]))
    fewer = one.objects._replace(label=1 - one.objects.label)
    for other in (one._replace(objects=larger), one._replace(objects=fewer), one._replace(crowd=~one.crowd)):
        assert truth_digest(split(other)) != truth_digest(predictions)
    assert truth_digest(replace(predictions, names=predictions.names[::-1])) != truth_digest(predictions)


def test_replicates_are_computed_once_and_again_for_other_predictions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RunFolder(tmp_path)
    with pytest.raises(ValueError, match=r"predictions.npz: missing; the run has no intervals without it"):
        kept_replicates(folder)
    write_record(folder.metrics, record())
    write_predictions(folder.predictions, {"val": scene_split(0), "test": scene_split(0)})
    first = kept_replicates(folder)
    calls = []

    def counted(*arguments: object, **settings: object) -> None:
        calls.append(arguments)
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr(module, "replicates", counted)
        again = kept_replicates(folder)
    assert (again.endpoints, again.groups, again.truth) == (first.endpoints, first.groups, first.truth)
    np.testing.assert_array_equal(again.points, first.points)
    np.testing.assert_array_equal(again.values, first.values)

    write_predictions(folder.predictions, {"val": scene_split(0), "test": scene_split(1)})
    assert kept_replicates(folder).truth != first.truth
    for damage in (b"", b"PK", (tmp_path / "replicates.npz").read_bytes()[:-200]):
        (tmp_path / "replicates.npz").write_bytes(damage)
        assert kept_replicates(folder).values.shape == first.values.shape
    assert not calls
