"""Do crops and pasted objects have the boxes of what they show, and does nothing change without them?"""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from gffpn.build.detector import build_data, rehearse, train_size
from gffpn.build.index import build_index
from gffpn.config.compose import compose_config
from gffpn.config.overrides import CONF
from gffpn.data import copy_paste
from gffpn.data.canvas import Place, Sample, Source, Span, blank, drawn, span
from gffpn.data.copy_paste import CopyPaste, Patch
from gffpn.data.placing import _somewhere, cropped, four_around
from gffpn.data.transforms import Augment
from gffpn.suite.forecast import _minutes

CHOICES = sorted(path.stem for path in (CONF / "augment").glob("*.yaml"))


def boxes_of(*rows: tuple[float, ...]) -> NDArray[np.float32]:
    return np.array(rows, np.float32).reshape(-1, 4)


def noise(number: int) -> Source:
    """Return a noisy image of another size for each number, with five objects."""
    draw = np.random.default_rng(number)
    corners, sides = draw.uniform(0, 25, (5, 2)), draw.uniform(3, 14, (5, 2))
    boxes = np.concatenate([corners, corners + sides], 1).astype(np.float32)
    pixels = draw.integers(0, 256, (3, 40 + number * 3, 60 - number * 2), dtype=np.uint8)
    return Source(pixels, boxes, draw.integers(0, 3, 5))


def squares_on_black(*rows: tuple[float, ...], size: tuple[int, int] = (64, 64)) -> Source:
    """Return a black image with white objects."""
    pixels = np.zeros((3, *size), np.uint8)
    for x1, y1, x2, y2 in rows:
        pixels[:, int(y1) : int(y2), int(x1) : int(x2)] = 255
    return Source(pixels, boxes_of(*rows), np.arange(len(rows)))


def whole(source: Source, size: tuple[int, int]) -> tuple[Sample, list[Place]]:
    height, width = source.pixels.shape[1:]
    places = [Place(source, span(height, 1.0, 0, (0, size[0])), span(width, 1.0, 0, (0, size[1])))]
    return drawn(places, size, Augment().rule, by="crop"), places


@pytest.mark.parametrize("choice", CHOICES)
def test_crops_and_copies_are_off_by_default(choice: str) -> None:
    config = compose_config([f"augment={choice}"]).augment
    assert (config.crop, config.copy_paste) == (None, 0.0)


@pytest.mark.parametrize(
    ("choice", "recorded"),
    [
        ("light", [(4, 253.510, 0.9350724237877682), (4, 772.954, 0.027559113243068367)]),
        ("mosaic", [(8, 1447.171, 0.6471895115742501), (17, 2390.614, 0.9807371998012386)]),
    ],
)
def test_whole_images_draw_the_numbers_that_they_drew_before_there_were_crops(
    choice: str, recorded: list[tuple[int, float, float]]
) -> None:
    settings = dict(compose_config([f"augment={choice}"]).augment.items())
    settings.pop("_target_")
    for number, (count, total, following) in enumerate(recorded):
        rng = np.random.default_rng(number)
        sample = Augment(**cast(Any, settings))(
            noise, number, count=8, image_size=(64, 64), epochs_left=9, rng=rng
        )
        assert len(sample.boxes) == count
        assert sample.boxes.sum() == pytest.approx(total, abs=0.01)
        assert rng.random() == following


@pytest.mark.parametrize(
    ("point", "position", "start"),
    [
        (None, 0.0, 0),
        (None, 1.0, 68),
        (50.0, 0.0, 20),  # the window ends two pixels after the point
        (50.0, 1.0, 48),  # and starts two pixels before it
        (50.0, 0.5, 34),
        (1.0, 0.0, 0),  # the image ends there
        (1.0, 1.0, 0),
        (99.0, 0.5, 68),
    ],
)
def test_the_places_of_a_window_by_hand(point: float | None, position: float, start: int) -> None:
    assert _somewhere(100, 1.0, (0, 32), point, position) == Span(start, start + 32, 0, 32)


def test_an_image_that_is_smaller_than_the_window_is_wholly_in_view() -> None:
    assert _somewhere(20, 1.0, (10, 42), 3.0, 0.25) == Span(0, 20, 13, 33)


def test_a_crop_shows_a_window_of_the_image_at_its_own_scale() -> None:
    ramp = np.arange(96, dtype=np.uint8)
    pixels = np.stack(np.broadcast_arrays(ramp[:, None], ramp[None], np.uint8(0)))
    source = Source(pixels, boxes_of((10, 20, 30.5, 29)), np.array([4]))
    augment, seen = Augment(crop=32), 0
    for seed in range(40):
        sample = augment(
            lambda _: source, 0, count=1, image_size=(96, 96), epochs_left=1, rng=np.random.default_rng(seed)
        )
        top, left = (int(value) for value in sample.image[:2, 0, 0])
        assert sample.image.numpy().tobytes() == pixels[:, top : top + 32, left : left + 32].tobytes()
        if left <= 10 and top <= 20 and left + 32 >= 31 and top + 32 >= 29:
            assert sample.boxes.tolist() == [[10 - left, 20 - top, 30.5 - left, 29 - top]]
            seen += 1
        assert len(sample.boxes) + sample.lost_boxes.sum() == 1
    assert seen


@pytest.mark.parametrize("scale", [(1.0, 1.0), (0.7, 1.6)])
def test_windows_on_objects_contain_the_centre_of_one(scale: tuple[float, float]) -> None:
    source = squares_on_black((0, 0, 3, 3), (90, 40, 94, 44), size=(70, 100))
    seen = []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        places = [
            cropped(source, (32, 32), scale, 1.0, rng),
            *four_around([source] * 4, (64, 64), scale, 1.0, rng),
        ]
        for _, rows, columns in places:
            assert rows
            assert columns
            inside = [
                columns.start <= x <= columns.stop and rows.start <= y <= rows.stop
                for x, y in ((1.5, 1.5), (92, 42))
            ]
            assert any(inside)
            seen.append(inside)
    assert all(any(column) for column in zip(*seen, strict=True))
    by_chance = [
        drawn(
            [cropped(source, (32, 32), scale, 0.0, np.random.default_rng(k))],
            (32, 32),
            Augment().rule,
            by="crop",
        )
        for k in range(100)
    ]
    assert sum(len(sample.boxes) == 0 for sample in by_chance) > 40


def test_a_mosaic_of_crops_has_the_size_of_a_crop() -> None:
    sample = Augment(crop=32, mosaic=1.0)(
        noise, 0, count=8, image_size=(64, 96), epochs_left=1, rng=np.random.default_rng(0)
    )
    assert sample.image.shape == (3, 32, 32)
    assert len(sample.boxes) + sample.lost_boxes.sum() == 20


@pytest.mark.parametrize("crop", [0, -32, 16, 100])
def test_a_crop_is_a_multiple_of_the_largest_stride(crop: int) -> None:
    with pytest.raises(ValueError, match=rf"augment.crop: got {crop}, expected null or .* multiple of 32"):
        Augment(crop=crop)


def test_a_crop_that_does_not_fit_is_refused_before_data_is_read() -> None:
    fits = compose_config(["image_size=[96, 64]", "augment.crop=64"])
    assert train_size(fits) == (64, 64)
    rehearse(fits)
    with pytest.raises(ValueError, match=r"augment.crop: got 96, expected at most .* 96 x 64 \(H x W\)"):
        rehearse(compose_config(["image_size=[96, 64]", "augment.crop=96"]))


def test_training_batches_hold_crops_and_the_others_whole_images(tiny: list[str]) -> None:
    words = [*tiny, "augment=light", "augment.crop=32", "augment.copy_paste=2"]
    config = compose_config(words)
    data = build_data(config, build_index(config))
    data.setup("fit")
    assert next(iter(data.train_dataloader()))["images"].shape[2:] == (32, 32)
    assert next(iter(data.val_dataloader()))["images"].shape[2:] == (64, 64)


def test_the_time_of_a_run_is_guessed_from_runs_on_crops_of_the_same_size() -> None:
    record = SimpleNamespace(
        size="n",
        data=SimpleNamespace(images={"train": 5}),
        image_size=(64, 64),
        choice=SimpleNamespace(neck="fpn", shares_machine=False),
        training=SimpleNamespace(minutes=4.0, trained_epochs=2),
    )
    config = {
        "size": {"name": "n"},
        "image_size": 64,
        "trainer": {"max_epochs": 10, "minutes": None},
        "choice": {"neck": "fpn"},
        "augment": {"crop": 32},
    }
    plan = SimpleNamespace(config=config, index=SimpleNamespace(splits={"train": [None] * 5}))
    assert _minutes(cast(Any, plan), [(cast(Any, record), None)]) is None
    assert _minutes(cast(Any, plan), [(cast(Any, record), 32)]) == 20.0
    # what had the machine for itself gets slower beside others
    assert _minutes(cast(Any, plan), [(cast(Any, record), 32)], at_a_time=2) == 20.0
    record.choice.shares_machine = True
    assert _minutes(cast(Any, plan), [(cast(Any, record), 32)], at_a_time=2) == 10.0
    config["trainer"] = {"max_epochs": 10, "minutes": 7.0}
    assert _minutes(cast(Any, plan), [(cast(Any, record), 32)], at_a_time=2) == 7.0


def test_a_patch_fades_out_in_its_margin() -> None:
    canvas = np.full((3, 6, 6), 100, np.uint8)
    patch = Patch(np.full((3, 5, 6), 190, np.uint8), (2, 2, 4, 3), 0, 2)
    copy_paste._blend(canvas, patch, 0, 1)
    # a third of the patch at its edge, two thirds next to it, all of it in the box
    assert canvas[0].tolist() == [
        [100] * 6,
        [130] * 6,
        [130, 160, 160, 160, 160, 130],
        [130, 160, 190, 190, 160, 130],
        [130, 160, 160, 160, 160, 130],
        [130] * 6,
    ]


def test_an_object_is_cut_out_with_a_margin_that_holds_nothing_else() -> None:
    def margin(*others: tuple[float, ...], crowd: NDArray[np.float32] | None = None) -> int | None:
        source = squares_on_black((20, 20, 29.5, 26), *others)
        source = source._replace(crowd=boxes_of() if crowd is None else crowd)
        patch = copy_paste._cut(source, 0)
        if patch is None:
            return None
        height, width = 6 + 2 * patch.margin, 10 + 2 * patch.margin
        assert patch.pixels.shape == (3, height, width)
        assert patch.box == (patch.margin, patch.margin, patch.margin + 9.5, patch.margin + 6)
        return patch.margin

    assert margin() == 4
    assert margin((33, 20, 40, 26)) == 3
    assert margin((33, 28, 40, 30)) == 3
    assert margin((10, 28, 40, 30)) == 2
    assert margin((10, 26.5, 40, 30)) is None
    assert margin(crowd=boxes_of((12, 10, 18.5, 40))) == 1
    for border in ((0, 20, 9, 26), (20, 0, 29, 9), (60, 20, 64, 26), (20, 60, 29, 64)):
        assert copy_paste._cut(squares_on_black(border), 0) is None


def test_pasted_boxes_are_exact_and_cover_nothing() -> None:
    source = squares_on_black((5, 6, 13, 11), (30, 8, 36, 20), (20, 40, 60, 50), size=(60, 64))
    crowd = boxes_of((0, 20, 30, 36))
    paste = CopyPaste(4.0, 20.0, ((0.5, 2), (0.5, 1)))
    pasted = 0
    for seed in range(30):
        sample, places = whole(source._replace(crowd=crowd), (96, 64))
        before = sample.image.clone()
        found = paste(sample, places, [source], np.random.default_rng(seed))
        again, places = whole(source._replace(crowd=crowd), (96, 64))
        repeated = paste(again, places, [source], np.random.default_rng(seed))
        assert torch.equal(found.image, repeated.image)
        expected = np.zeros((96, 64), np.bool_)
        for x1, y1, x2, y2 in found.boxes.astype(int).tolist():
            assert not expected[y1:y2, x1:x2].any()  # the boxes do not overlap
            expected[y1:y2, x1:x2] = True
        assert np.array_equal(found.image[0].numpy() == 255, expected)
        changed = (found.image != before).any(0)
        assert not changed[60:].any()  # padding
        assert not changed[20:36, :30].any()  # crowd
        assert set(found.labels.tolist()) <= {0, 1, 2}
        assert found.labels.tolist().count(2) == 1  # it is too large to be copied
        pasted += len(found.boxes) - 3
    assert 60 < pasted < 150


def test_an_object_goes_where_its_surroundings_fit() -> None:
    source = squares_on_black((20, 20, 28, 26))
    paste = CopyPaste(5.0, 32.0, ())
    bright = Source(np.full((3, 64, 64), 200, np.uint8), boxes_of(), np.zeros(0, np.int64))
    assert len(paste(*whole(bright, (64, 64)), [source], np.random.default_rng(0)).boxes) == 0
    half = bright.pixels.copy()
    half[:, :, 32:] = 0
    found = paste(*whole(bright._replace(pixels=half), (64, 64)), [source], np.random.default_rng(0))
    assert len(found.boxes) > 0
    assert (found.boxes[:, 0] > 32).all()


def test_objects_come_from_the_image_and_from_another_one() -> None:
    sources = {
        0: squares_on_black((20, 20, 28, 26)),
        1: squares_on_black((20, 20, 26, 29))._replace(labels=np.array([7])),
    }
    read: list[int] = []
    labels: set[int] = set()

    def source(number: int) -> Source:
        read.append(number)
        return sources[number]

    augment = Augment(copy_paste=3.0)
    for seed in range(20):
        found = augment(
            source, 0, count=2, image_size=(64, 64), epochs_left=1, rng=np.random.default_rng(seed)
        )
        labels |= set(found.labels.tolist())
    assert labels == {0, 7}
    assert len(read) == 40


def test_an_image_without_small_objects_stays_as_it_is() -> None:
    source = squares_on_black((10, 10, 50, 50))
    sample, places = whole(source, (64, 64))
    assert CopyPaste(9.0, 32.0, ())(sample, places, [source], np.random.default_rng(0)) is sample
    empty = Sample(blank((8, 8)), boxes_of(), np.zeros(0, np.int64), sample.lost_boxes)
    hidden = [Place(source, None, None)]
    found = CopyPaste(9.0, 99.0, ())(empty, hidden, [source], np.random.default_rng(0))
    assert len(found.boxes) == 0


@pytest.mark.parametrize(
    "wrong", [{"copy_paste": -1.0}, {"copy_paste_side": float("inf")}, {"crop_on_object": 2}]
)
def test_wrong_values_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"augment.*got .*expected"):
        Augment(**cast(Any, wrong))
