"""Does the simulated data match its specification, and can a detector cheat on it?"""

import hashlib
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from tinyindus import camera, shapes
from tinyindus.camera import noise_sigma
from tinyindus.canvas import Canvas
from tinyindus.classes import CLASS_NAMES, CLASSES, PRODUCTS
from tinyindus.dials import Dials
from tinyindus.fields import Fields, Pose, Window
from tinyindus.light import Material, draw_light
from tinyindus.lookalikes import broken
from tinyindus.looks import blend, draw_look
from tinyindus.marks import SHAPE_DRAWS, Mark
from tinyindus.parts import Assembly, Imitation, Part
from tinyindus.primitives import PRIMITIVES
from tinyindus.scene import Picture, planned_labels, render
from tinyindus.truth import Truth, add_and_measure

SIZE = (192, 224)
ALL_DEFECTS = Dials(empty_share=0.0)


def picture(
    i: int, dials: Dials = ALL_DEFECTS, *, split: str = "train", with_defects: bool = True
) -> Picture:
    return render(i, split, dials, SIZE, 3, with_defects=with_defects)


def facts(scene: Picture) -> list[tuple[int, tuple[int, int, int, int]]]:
    return [(t.label, t.box) for t in scene.truths]


def test_coverage_of_a_straight_edge_is_the_covered_share_of_the_pixel() -> None:
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


def test_look_alikes_and_light_leave_the_plan_of_defects_alone() -> None:
    plain, bare = picture(4), picture(4, replace(ALL_DEFECTS, lookalike_density=0.0))
    assert [t.label for t in plain.truths] == [t.label for t in bare.truths]
    assert not np.array_equal(plain.levels, bare.levels)
    steady = [
        picture(i, replace(ALL_DEFECTS, light_variation=0.0), with_defects=False).levels for i in range(6)
    ]
    corner = [float(np.median(s)) for s in steady]
    assert len(set(corner)) == len(corner)


def test_defects_without_contrast_leave_no_trace() -> None:
    none = replace(ALL_DEFECTS, contrast=0.0)
    for i in range(6):
        scene = picture(i, none)
        assert not scene.truths
        assert np.array_equal(scene.pixels, picture(i, none, with_defects=False).pixels)


@pytest.mark.slow
def test_noise_inside_boxes_equals_the_noise_outside() -> None:
    """Compare residuals at contrast 0, in units of the noise model's standard deviation.

    Saturated pixels have no noise and are left out.
    """
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


@pytest.mark.slow
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


def test_classes_can_be_equally_frequent() -> None:
    equal = Dials(class_shares="equal", empty_share=0.0)
    labels = np.concatenate([planned_labels(0, "train", i, equal) for i in range(1500)])
    shares = np.bincount(labels.astype(int), minlength=len(CLASSES)) / len(labels)
    assert np.abs(shares - 1 / 9).max() < 0.015


def mark(primitive: str, side: float, turn: float, strength: float, shape: float) -> Mark:
    return Mark(primitive, 5.0, 6.0, side, turn, strength, np.full(SHAPE_DRAWS, shape))


def test_a_look_alike_blends_into_a_defect() -> None:
    own, defect = mark("pit", 4.0, 0.1, 0.2, 0.0), mark("pit", 16.0, 3.0, 0.6, 1.0)
    assert blend(own, defect, 0.0) == [own]
    (end,) = blend(own, defect, 1.0)
    assert (end.side, end.turn, end.strength) == (16.0, 3.0, 0.6)
    (half,) = blend(own, defect, 0.5)
    assert half.side == pytest.approx(8.0)
    assert half.strength == pytest.approx(0.4)
    assert half.shape.tolist() == [0.5] * SHAPE_DRAWS
    # directions repeat every half turn, so the short way from 0.1 to 3.0 is backwards
    assert half.turn == pytest.approx(0.1 + 0.5 * (3.0 - np.pi - 0.1))


def test_one_primitive_fades_out_while_the_other_fades_in() -> None:
    dot, hole = mark("dot", 4.0, 0.0, 0.4, 0.5), mark("hole", 16.0, 0.0, 0.8, 0.5)
    fading, coming = blend(dot, hole, 0.25)
    assert (fading.primitive, fading.side, fading.strength) == ("dot", 4.0, pytest.approx(0.3))
    assert (coming.primitive, coming.side, coming.strength) == ("hole", 16.0, pytest.approx(0.2))
    assert blend(None, hole, 0.0) == []


def test_a_line_is_broken_around_its_marks() -> None:
    window = Window(0, 0, 40, 40)
    gap = mark("pit", 8.0, 0.0, 1.0, 0.5)
    line = broken(np.ones((40, 40), np.float32), window, [gap], 1.0)
    # the radius is 8: half the side, a quarter of it for the flanks, and 2 pixels; the soft edge adds 2
    assert line[5:7, 4:6].max() == 0.0
    assert line[6, 5 + 5] == 0.0
    assert line[6, 5 + 11] == 1.0
    assert broken(np.ones((40, 40), np.float32), window, [gap], 0.0).min() == 1.0


def test_match_changes_only_the_look_alikes() -> None:
    bare = replace(ALL_DEFECTS, lookalike_density=0.0)
    for i in range(4):
        assert np.array_equal(picture(i, bare).pixels, picture(i, replace(bare, match=1.0)).pixels)
        own, matched = picture(i), picture(i, replace(ALL_DEFECTS, match=1.0))
        assert [(t.label, t.number) for t in own.truths] == [(t.label, t.number) for t in matched.truths]
        assert not np.array_equal(own.levels, matched.levels)


@pytest.mark.parametrize("product", PRODUCTS)
def test_match_leaves_the_picture_outside_the_look_alikes_alone(product: str) -> None:
    scenes = [
        render(
            1, "train", Dials(match=m), SIZE, 3, product=product, with_defects=False, measure_lookalikes=True
        )
        for m in (0.0, 1.0)
    ]
    touched = np.zeros(SIZE, bool)
    for scene in scenes:
        for x1, y1, x2, y2 in (found.box for found in scene.lookalikes):
            touched[y1:y2, x1:x2] = True
    assert np.abs(scenes[0].levels - scenes[1].levels).max(axis=0)[~touched].max() < 4.0


def test_a_range_of_match_is_drawn_once_per_picture() -> None:
    assert Dials(match=(0.25, 0.25)).match_range == Dials(match=0.25).match_range
    ranged = picture(1, replace(ALL_DEFECTS, match=(0.5, 0.5)))
    assert np.array_equal(ranged.pixels, picture(1, replace(ALL_DEFECTS, match=0.5)).pixels)
    assert not np.array_equal(ranged.pixels, picture(1, replace(ALL_DEFECTS, match=(0.0, 1.0))).pixels)


def test_the_side_of_a_twins_defects_leaves_the_scene_alone() -> None:
    """At match 1, look-alikes imitate the training split's defects, whatever the dials of the twin."""
    trained = replace(ALL_DEFECTS, match=1.0, side_range=(4.0, 48.0))
    small, large = (replace(trained, side_range=(side, side)) for side in (4.0, 48.0))
    for i in range(4):
        one, other = (
            render(i, "test", dials, SIZE, 3, with_defects=False, imitated=trained).pixels
            for dials in (small, large)
        )
        assert np.array_equal(one, other)


def marks_of(scenes: Iterable[int], dials: Dials) -> list[tuple[Mark, Imitation | None]]:
    """Return the marks that look-alikes press into parts and grounds."""
    marks: list[tuple[Mark, Imitation | None]] = []
    original = Assembly.press

    def press(self: Assembly, part: object, mark: Mark, imitation: Imitation | None, unit: float) -> None:
        marks.append((mark, imitation))
        original(self, part, mark, imitation, unit)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Assembly, "press", press)
        for i in scenes:
            picture(i, dials, with_defects=False)
    return marks


@pytest.fixture(scope="module")
def pressed() -> dict[str, list[Mark]]:
    """Return the marks of many pictures at match 1, grouped by the class that they imitate."""
    marks: dict[str, list[Mark]] = {kind.name: [] for kind in CLASSES}
    for mark, imitation in marks_of(range(90), Dials(match=1.0, class_shares="equal", lookalike_density=4.0)):
        if imitation is not None:
            marks[imitation.against].append(mark)
    return marks


@pytest.mark.parametrize("match", [0.0, 1.0])
def test_a_higher_density_only_adds_look_alikes(match: float) -> None:
    """A higher density redraws nothing: the existing look-alikes keep their places and looks."""
    for i in range(6):
        few, many = (
            {(m.primitive, m.x, m.y, m.side, m.turn, m.strength) for m, _ in marks_of([i], dials)}
            for dials in (Dials(match=match, lookalike_density=density) for density in (0.8, 2.5))
        )
        assert few < many


@pytest.mark.slow
@pytest.mark.parametrize("label", range(len(CLASSES)), ids=CLASS_NAMES)
def test_matched_look_alikes_are_drawn_like_defects(label: int, pressed: dict[str, list[Mark]]) -> None:
    rng = np.random.default_rng(0)
    looks = [draw_look(label, Dials(), min(SIZE) / 640, rng) for _ in range(400)]
    # the marks of a lattice share one look, which is to count once
    marks = list({mark.shape.tobytes(): mark for mark in pressed[CLASS_NAMES[label]]}.values())
    assert {mark.primitive for mark in marks} == {look.primitive for look in looks}
    assert {look.primitive for look in looks} == {form.primitive for form in CLASSES[label].forms}
    for values in ("side", "strength"):
        found, expected = (np.median([getattr(m, values) for m in those]) for those in (marks, looks))
        assert found == pytest.approx(expected, rel=0.15)


def test_measuring_look_alikes_changes_no_pixel() -> None:
    dials = replace(ALL_DEFECTS, match=0.5)
    for i in range(3):
        plain = picture(i, dials)
        recorded = render(i, "train", dials, SIZE, 3, measure_lookalikes=True)
        assert np.array_equal(plain.pixels, recorded.pixels)
        assert facts(plain) == facts(recorded)
        assert not plain.lookalikes
        assert recorded.lookalikes


def test_the_box_of_a_look_alike_contains_a_visible_change() -> None:
    for i in range(6):
        scene = render(i, "train", Dials(match=1.0), SIZE, 3, measure_lookalikes=True, with_defects=False)
        bare = picture(i, Dials(lookalike_density=0.0), with_defects=False)
        seen = np.abs(scene.levels - bare.levels).max(axis=0) > 2.0
        for found in scene.lookalikes:
            x1, y1, x2, y2 = found.box
            assert found.against in CLASS_NAMES
            assert found.form in {"mark", "line"}
            assert 0 <= x1 < x2 <= SIZE[1]
            assert 0 <= y1 < y2 <= SIZE[0]
            assert min(x2 - x1, y2 - y1) >= 3
            assert seen[y1:y2, x1:x2].any()


def slab(window: Window, cover: float, albedo: float) -> Part:
    """Return a flat, matt, opaque part."""
    fields = Fields.empty(window)
    fields.cover += cover
    fields.albedo += albedo
    return Part(window, Pose(0.0, 0.0, 0.0, 10.0), Material((0.0, 0.0, 0.0), gloss=0.0, clear=0.0), fields)


def canvas(*parts: Part) -> tuple[Canvas, NDArray[np.float32]]:
    """Paint parts on a bare ground of 64 x 64; also return the picture behind a lens of 0.8 pixels."""
    bounds = Window(0, 0, 64, 64)
    light = draw_light(np.random.default_rng(0), Dials(light_variation=0.0))
    assembly = Assembly(Fields.empty(bounds), bounds, parts=list(parts))
    painted = Canvas.paint(assembly, light, np.random.default_rng(0))
    return painted, camera.blur(painted.radiance, 0.8)


@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_no_mark_removes_more_glass_than_there_is(primitive: str) -> None:
    """Amber glass absorbs blue best, so in grey light no part of it looks blue, however deep the mark."""
    fields = Fields.empty(Window(0, 0, 64, 64))
    fields.cover += 1.0
    fields.thickness += 0.02
    amber = Material((0.30, 0.75, 2.2), gloss=0.0)
    painted, _ = canvas(Part(Window(0, 0, 64, 64), Pose(0.0, 0.0, 0.0, 40.0), amber, fields))
    gross = Mark(primitive, 32.0, 32.0, 30.0, 0.3, 3.0, np.full(SHAPE_DRAWS, 0.5))
    window, change = painted.mark(0, gross)
    assert fields.thickness.min() >= 0
    assert (fields.thickness.min() == 0) == (primitive in ("crack", "scratch", "bubble", "pit", "notch"))
    red, _, blue = painted.radiance[(slice(None), *window.slices())] + change
    assert (blue <= red + 1e-6).all()


def spot(x: float, y: float) -> Mark:
    return Mark("hole", x, y, 16.0, 0.0, 0.65, np.full(SHAPE_DRAWS, 0.5))


def measured(painted: Canvas, lens: NDArray[np.float32], x: float, y: float, number: int = 0) -> Truth | None:
    changed, change = painted.mark(0, spot(x, y))
    return add_and_measure(lens, changed, change, 0.8, 1.0, 0, number)


def test_the_box_of_a_defect_at_the_border_stays_within_the_picture() -> None:
    whole = measured(*canvas(slab(Window(0, 0, 64, 64), 1.0, 0.4)), 32.0, 32.0)
    cut = measured(*canvas(slab(Window(0, 0, 64, 64), 1.0, 0.4)), 0.0, 32.0)
    assert whole
    assert cut
    assert cut.box[0] == 0
    assert cut.box[2] == whole.box[2] - 32
    assert cut.mask.shape == (cut.box[3] - cut.box[1], cut.box[2] - cut.box[0])


def test_the_box_excludes_what_another_part_hides() -> None:
    below, above = Window(0, 0, 64, 64), Window(0, 0, 64, 32)
    painted, lens = canvas(slab(below, 1.0, 0.4), slab(above, 1.0, 0.6))
    half = measured(painted, lens, 32.0, 32.0)
    assert half
    assert 30 <= half.box[0] <= 32  # the lens blurs the upper part's edge by a pixel or two
    assert measured(painted, lens, 16.0, 32.0) is None


def test_an_overlapping_defect_is_measured_on_top_of_the_earlier_one() -> None:
    painted, lens = canvas(slab(Window(0, 0, 64, 64), 1.0, 0.4))
    alone = measured(*canvas(slab(Window(0, 0, 64, 64), 1.0, 0.4)), 36.0, 32.0)
    first, second = measured(painted, lens, 26.0, 32.0), measured(painted, lens, 36.0, 32.0, 1)
    assert alone
    assert first
    assert second
    assert (first.number, second.number) == (0, 1)
    # the second hole overlaps the first, so it has less to take away
    assert second.box[2] == alone.box[2]
    assert second.area < alone.area
    bare = camera.grey(canvas(slab(Window(0, 0, 64, 64), 1.0, 0.4))[1])
    seen = np.abs(camera.grey(lens) - bare).max(axis=0) > 2.0
    columns = np.flatnonzero(seen.any(axis=0))
    assert (first.box[0], second.box[2]) == (columns[0], columns[-1] + 1)
