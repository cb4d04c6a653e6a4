"""Do slices find what the whole image hides, each object once, and change nothing if there is only one?"""

import numpy as np
import pytest

from blobs import Blobs, painted
from gffpn.deploy import slices
from gffpn.deploy.detections import Detections
from gffpn.deploy.detector import ImageDetector
from gffpn.deploy.slices import Slicing, Window, merged, starts


def boxes_of(found: Detections) -> list[tuple[int, ...]]:
    return sorted(tuple(int(x) for x in box) for box in found.boxes.round().tolist())


def found(*rows: tuple[list[float], float, int]) -> Detections:
    boxes, scores, labels = zip(*rows, strict=True) if rows else ([], [], [])
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(scores, np.float32),
        np.array(labels, np.int64),
        ("dent", "scratch"),
    )


@pytest.mark.parametrize(
    ("length", "side", "overlap", "expected"),
    [
        (100, 40, 0.2, [0, 30, 60]),  # steps of at most 32: three slices, the last one ends at 100
        (100, 40, 0.0, [0, 30, 60]),
        (80, 40, 0.0, [0, 40]),
        (40, 40, 0.2, [0]),
        (30, 40, 0.2, [0]),
        (41, 40, 0.9, [0, 1]),
        (3, 1, 0.9, [0, 1, 2]),
    ],
)
def test_slices_cover_the_length_with_the_overlap(
    length: int, side: int, overlap: float, expected: list[int]
) -> None:
    assert starts(length, side, overlap) == expected


def test_windows_are_the_whole_image_and_its_slices() -> None:
    assert Slicing(40, 0.0).windows(40, 80, (32, 32)) == [
        Window(0, 0, 80, 40),
        Window(0, 0, 40, 40),
        Window(40, 0, 80, 40),
    ]
    assert Slicing(None, 0.0).windows(30, 64, (32, 32)) == [
        Window(0, 0, 64, 30),
        Window(0, 0, 32, 30),
        Window(32, 0, 64, 30),
    ]
    assert Slicing(80).windows(40, 80, (32, 32)) == [Window(0, 0, 80, 40)]


@pytest.mark.parametrize("merge", ["nms", "nmm"])
@pytest.mark.parametrize("side", [None, 32, 50])
def test_one_slice_gives_the_detections_of_the_whole_image_to_the_bit(side: int | None, merge: str) -> None:
    pixels = painted(27, 32, (2, 3, 9, 12, 250), (4, 14, 9, 20, 210), (20, 3, 29, 9, 230))
    plain = ImageDetector(Blobs())(pixels)
    sliced = ImageDetector(Blobs(), slicing=Slicing(side, 0.3, merge))(pixels)
    assert len(plain) == 3
    for name in ("boxes", "scores", "labels"):
        assert getattr(plain, name).tobytes() == getattr(sliced, name).tobytes()


def test_small_objects_are_found_once_and_large_ones_in_the_whole_image() -> None:
    """128 x 128 pixels at 32 x 32: two pixels vanish in the whole image, and 100 fit into no slice."""
    small = [(5, 5, 7, 7), (30, 3, 34, 8), (61, 61, 66, 65), (121, 121, 124, 124)]
    large = (8, 80, 108, 100)
    pixels = painted(128, 128, *((*box, 255) for box in small), (*large, 255))
    plain = ImageDetector(Blobs())(pixels)
    sliced = ImageDetector(Blobs(), slicing=Slicing(overlap=0.25))(pixels)
    assert boxes_of(plain) == [large]
    assert set(small) <= set(boxes_of(sliced))
    assert boxes_of(sliced) == sorted([*small, large])


class Skipping(Blobs):
    lowest = 0.0

    def skip_below(self, score: float) -> None:
        self.lowest = score


def test_a_piece_gives_way_to_a_whole_box_below_the_threshold() -> None:
    """Slices of columns 0 to 32 and 20 to 52; the left one sees 8 of the object's 16 columns."""
    network = Skipping()
    detector = ImageDetector(network, threshold=0.4, slicing=Slicing(None, 0.3))
    views = detector.views(painted(32, 52))
    given = [found(), found(([24, 10, 32, 20], 0.5, 0)), found(([4, 10, 20, 20], 0.3, 0))]
    assert len(detector.assembled((32, 52), views, [one[one.scores >= network.lowest] for one in given])) == 0


@pytest.mark.parametrize("merge", ["nms", "nmm"])
@pytest.mark.parametrize("threshold", [0.2, 0.4, 0.6])
def test_a_threshold_selects_among_the_merged_detections(threshold: float, merge: str) -> None:
    """What the network may leave out changes nothing: as `evaluate`, which has them all, and then selects."""
    network, rng, size = Skipping(), np.random.default_rng(0), (96, 160)
    detector = ImageDetector(network, threshold=threshold, slicing=Slicing(None, 0.3, merge))
    views = detector.views(painted(*size))
    everything = []
    for _ in views:
        corners = rng.integers(0, 24, (12, 2)) * (rng.uniform(size=(12, 2)) > 0.3)
        boxes = np.concatenate([corners, np.minimum(corners + rng.integers(6, 24, (12, 2)), 32)], 1)
        scores = np.sort(rng.uniform(0, 1, 12).astype(np.float32))[::-1]
        labels = np.zeros(12, np.int64)
        everything.append(Detections(boxes.astype(np.float32), scores, labels, Blobs.classes))
    given = [one[one.scores >= network.lowest] for one in everything]
    merged_all = detector.native(size, views, everything).within(*size)
    expected = merged_all[merged_all.scores >= np.float32(threshold)]
    reported = detector.assembled(size, views, given)
    assert len(reported) > 10
    assert reported.boxes.tolist() == expected.boxes.tolist()
    assert reported.scores.tolist() == expected.scores.tolist()


def test_a_weak_piece_does_not_extend_a_sure_one() -> None:
    windows = [Window(0, 0, 40, 40), Window(30, 0, 70, 40)]
    for weak, expected in ((0.45, [(10, 8, 60, 14)]), (0.4, [(10, 8, 40, 14), (30, 8, 60, 14)])):
        parts = [found(([10, 8, 40, 14], 0.9, 0)), found(([30, 8, 60, 14], weak, 0))]
        views = [(Window(0, 0, 70, 40), found()), *zip(windows, parts, strict=True)]
        assert boxes_of(merged(views, (40, 70), "nmm")) == expected


def test_slices_are_batched() -> None:
    network = Blobs()
    ImageDetector(network, slicing=Slicing(overlap=0.0))(painted(128, 128))
    assert network.batches == [16, 1]  # 4 x 4 slices and the whole image


def test_a_cut_box_gives_way_to_the_whole_one_but_not_to_a_weak_one() -> None:
    """The left slice sees 8 of the object's 20 columns, an IoU of 0.4, and is more certain."""
    left, right = Window(0, 0, 40, 40), Window(24, 0, 64, 40)
    views = [
        (Window(0, 0, 64, 40), found()),
        (left, found(([32, 10, 40, 20], 0.9, 0))),
        (right, found(([32, 10, 52, 20], 0.6, 0))),
    ]
    assert boxes_of(merged(views, (40, 64), "nms")) == [(32, 10, 52, 20)]
    views[2] = (right, found(([32, 10, 52, 20], 0.4, 0)))
    assert boxes_of(merged(views, (40, 64), "nms")) == [(32, 10, 40, 20), (32, 10, 52, 20)]
    views[2] = (right, found(([32, 10, 52, 20], 0.9, 1)))
    assert len(merged(views, (40, 64), "nms")) == 2  # another class


def test_a_box_at_the_edge_of_the_image_is_not_cut() -> None:
    views = [(Window(0, 0, 64, 40), found()), (Window(0, 0, 40, 40), found(([0, 0, 8, 8], 0.5, 0)))]
    inside = (Window(24, 0, 64, 40), found(([0, 0, 16, 16], 0.5, 0)))
    assert len(merged([*views, inside], (40, 64), "nms")) == 2


def test_pieces_of_an_object_that_no_view_shows_whole() -> None:
    """Three slices in a row cut a bar; nms keeps the pieces, nmm joins them. Another bar stays apart."""
    windows = [Window(0, 0, 40, 40), Window(30, 0, 70, 40), Window(60, 0, 100, 40)]
    bars = [([10, 8, 40, 14], 0.5, 0), ([30, 8, 70, 14], 0.7, 0), ([60, 8.5, 90, 14], 0.6, 0)]
    other = ([60, 20, 95, 26], 0.4, 0)
    views = [(Window(0, 0, 100, 40), found())]
    views += [(window, found(bar)) for window, bar in zip(windows[:2], bars[:2], strict=True)]
    views += [(windows[2], found(bars[2], other))]
    assert len(merged(views, (40, 100), "nms")) == 4
    both = merged(views, (40, 100), "nmm")
    assert both.boxes.tolist() == [[10, 8, 90, 14], [60, 20, 95, 26]]
    assert both.scores.tolist() == pytest.approx([0.7, 0.4])


def test_many_boxes_are_merged_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many pieces as an untrained network finds in many slices: the blocks change nothing."""
    rng = np.random.default_rng(0)
    windows = Slicing(64, 0.2).windows(256, 256, (64, 64))
    views = []
    for window in windows:
        corners = rng.uniform((window.x1, window.y1), (window.x2 - 8, window.y2 - 8), (40, 2))
        ends = np.minimum(corners + rng.uniform(4, 40, (40, 2)), (window.x2, window.y2))
        boxes = np.concatenate([corners, ends], 1).astype(np.float32)
        scores = np.sort(rng.uniform(0, 1, 40).astype(np.float32))[::-1]
        views.append((window, Detections(boxes, scores, rng.integers(0, 2, 40), ("dent", "scratch"))))
    whole = merged(views, (256, 256), "nmm")
    monkeypatch.setattr(slices, "BLOCK", 7)
    in_blocks = merged(views, (256, 256), "nmm")
    assert len(whole) < len(merged(views, (256, 256), "nms"))
    assert whole.boxes.tobytes() == in_blocks.boxes.tobytes()


def test_wrong_values_are_refused() -> None:
    for wrong in ({"side": 0}, {"overlap": 1.0}, {"merge": "sum"}):
        with pytest.raises(ValueError, match=r"--(slice|overlap|merge): got"):
            Slicing(**wrong)
