"""Is the simulated data what it says it is, and can a detector cheat on it?"""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from gffpn.data.simulator import shapes
from gffpn.data.simulator.camera import noise_sigma
from gffpn.data.simulator.classes import CLASSES, PRODUCTS
from gffpn.data.simulator.dials import Dials
from gffpn.data.simulator.scene import Picture, planned_labels, render

SIZE = (192, 224)
ALL_DEFECTS = Dials(empty_share=0.0)


def picture(
    i: int, dials: Dials = ALL_DEFECTS, *, split: str = "train", with_defects: bool = True
) -> Picture:
    return render(i, split, dials, SIZE, 3, with_defects=with_defects)


def facts(scene: Picture) -> list[tuple[int, tuple[int, int, int, int]]]:
    return [(t.label, t.box) for t in scene.truths]


def test_coverage_of_a_straight_edge_is_the_share_of_the_pixel() -> None:
    sdf = np.array([-1.0, -0.5, -0.25, 0.0, 0.25, 0.5], np.float32)
    assert shapes.coverage(sdf, 1.0).tolist() == [1.0, 1.0, 0.75, 0.5, 0.25, 0.0]
    x, y = np.array([[3.0, 0.0]], np.float32), np.array([[4.0, 1.0]], np.float32)
    distance, _ = shapes.segment(x, y, (0.0, 0.0), (0.0, 0.5))
    assert np.allclose(distance, [[np.hypot(3.0, 3.5), 0.5]])
    assert np.allclose(shapes.box(x, y, 1.0, 2.0), [[np.hypot(2.0, 2.0), -1.0]])


@pytest.mark.parametrize("i", range(3))
def test_the_same_seed_gives_the_same_picture(i: int) -> None:
    first, second = picture(i), picture(i)
    assert facts(first) == facts(second)
    assert np.array_equal(first.pixels, second.pixels)
    assert first.pixels.shape == (*SIZE, 3)


@pytest.mark.parametrize("product", PRODUCTS)
def test_the_twin_without_defects_differs_only_where_the_defects_are(product: str) -> None:
    scene = render(0, "train", ALL_DEFECTS, SIZE, 3, product=product)
    twin = render(0, "train", ALL_DEFECTS, SIZE, 3, product=product, with_defects=False)
    difference = np.abs(scene.levels - twin.levels).max(axis=0)
    union = np.zeros(SIZE, bool)
    for truth in scene.truths:
        x1, y1, x2, y2 = truth.box
        union[y1:y2, x1:x2] = True
    assert scene.truths
    assert not twin.truths
    assert difference[~union].max() <= 2.0 + 1e-3
    assert difference[union].max() > 2.0


def test_boxes_bound_the_visible_difference() -> None:
    one = replace(ALL_DEFECTS, defects_per_image=(1, 1))
    for i in range(8):
        scene, twin = picture(i, one), picture(i, one, with_defects=False)
        for truth in scene.truths:
            seen = np.abs(scene.levels - twin.levels).max(axis=0) > 2.0
            rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
            tight = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
            wide = min(truth.box[2] - truth.box[0], truth.box[3] - truth.box[1])
            assert wide >= 3
            assert np.abs(np.array(tight) - truth.box).max() <= (1 if wide > 3 else 2)
            assert abs(truth.area - seen.sum()) <= 2
            assert truth.mask.sum() == truth.area


def test_noise_moves_no_box_and_no_level() -> None:
    quiet, loud = picture(1), picture(1, replace(ALL_DEFECTS, noise=2.0))
    assert facts(quiet) == facts(loud)
    assert np.array_equal(quiet.levels, loud.levels)
    assert not np.array_equal(quiet.pixels, loud.pixels)
    assert quiet.truths[0].visibility == pytest.approx(2 * loud.truths[0].visibility, rel=1e-4)


@pytest.mark.parametrize(
    "change", [{"side_scale": 1.7}, {"contrast": 2.0}, {"size_mode": "energy"}, {"side_range": (30.0, 30.0)}]
)
def test_a_defect_dial_leaves_the_scene_alone(change: dict[str, object]) -> None:
    turned = replace(ALL_DEFECTS, **change)
    plain, other = picture(2, with_defects=False), picture(2, turned, with_defects=False)
    assert np.array_equal(plain.pixels, other.pixels)
    before, after = picture(2), picture(2, turned)
    assert [t.label for t in before.truths] == [t.label for t in after.truths]
    for a, b in zip(before.truths, after.truths, strict=True):
        assert np.abs(np.add(a.box[:2], a.box[2:]) - np.add(b.box[:2], b.box[2:])).max() / 2 < 0.6 * max(
            a.side, b.side
        )


def test_lookalikes_and_light_leave_the_defects_plan_alone() -> None:
    plain, bare = picture(4), picture(4, replace(ALL_DEFECTS, lookalike_density=0.0))
    assert [t.label for t in plain.truths] == [t.label for t in bare.truths]
    assert not np.array_equal(plain.levels, bare.levels)
    steady = [
        picture(i, replace(ALL_DEFECTS, light_variation=0.0), with_defects=False).levels for i in range(6)
    ]
    corner = [float(np.median(s)) for s in steady]
    assert len(set(corner)) == len(corner)


def test_no_contrast_means_nothing_to_see() -> None:
    none = replace(ALL_DEFECTS, contrast=0.0)
    for i in range(6):
        scene = picture(i, none)
        assert not scene.truths
        assert np.array_equal(scene.pixels, picture(i, none, with_defects=False).pixels)


def test_noise_inside_boxes_is_the_noise_outside() -> None:
    """At contrast 0, in units of the noise's model; saturated pixels have none."""
    inside: list[NDArray[np.float64]] = []
    outside: list[NDArray[np.float64]] = []
    for i in range(40):
        boxes = [t.box for t in picture(i, replace(ALL_DEFECTS, side_scale=2.0)).truths]
        blank = picture(i, replace(ALL_DEFECTS, contrast=0.0))
        residual = (blank.pixels.transpose(2, 0, 1) - blank.levels) / noise_sigma(blank.levels, 1.0)
        open_ = (blank.levels > 10) & (blank.levels < 245)
        within = np.zeros(SIZE, bool)
        for x1, y1, x2, y2 in boxes:
            within[y1:y2, x1:x2] = True
        inside.append(residual[open_ & within])
        outside.append(residual[open_ & ~within])
    ratio = np.concatenate(inside).var() / np.concatenate(outside).var()
    assert abs(ratio - 1.0) < 0.02
    assert np.concatenate(outside).var() == pytest.approx(1.0, abs=0.08)


def test_every_class_appears_in_its_share() -> None:
    plans = [planned_labels(0, "train", i, Dials()) for i in range(2000)]
    labels = np.concatenate([p for p in plans if p]).astype(int)
    shares = np.bincount(labels, minlength=len(CLASSES)) / len(labels)
    table = np.array([c.instances for c in CLASSES]) / sum(c.instances for c in CLASSES)
    assert np.abs(shares - table).max() < 0.02
    assert abs(np.mean([not p for p in plans]) - 0.3) < 0.03
    assert {len(p) for p in plans} == {0, 1, 2, 3, 4}
    small = {label for i in range(40) for label in planned_labels(0, "val", i, Dials())}
    assert small == set(range(len(CLASSES)))


def test_sides_follow_the_table() -> None:
    sides: dict[int, list[float]] = {k: [] for k in range(len(CLASSES))}
    for i in range(100):
        for truth in render(i, "train", ALL_DEFECTS, (320, 320), 0).truths:
            sides[truth.label].append(truth.side * 640 / 320)
    for k, kind in enumerate(CLASSES):
        assert np.median(sides[k]) == pytest.approx(kind.side, rel=0.35), kind.name


def test_no_two_splits_share_a_picture() -> None:
    hashes = [
        hashlib.sha256(picture(i, split=split).pixels.tobytes()).hexdigest()
        for split in ("train", "val", "test")
        for i in range(8)
    ]
    groups = [picture(0, split=split).group for split in ("train", "val", "test")]
    assert len(set(hashes)) == len(hashes)
    assert len(set(groups)) == len(groups)
