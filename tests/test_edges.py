"""Do boxes meet the edges of what they enclose, from the file through the network's input to the figures?"""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from gffpn.data.canvas import BoxRule, Source, blank, paste, span
from gffpn.data.dataset import DetectionDataset, Target
from gffpn.data.index import ImageRecord
from gffpn.data.letterbox import Letterbox, letterboxed
from gffpn.metrics.detection import DetectionMetric

Size = tuple[int, int]
Floats = NDArray[np.float64]


def covered(length: int, low: float, high: float) -> Floats:
    """Return the share of each of `length` pixels that lies between two coordinates."""
    start = np.arange(length)
    return np.clip(np.minimum(start + 1, high) - np.maximum(start, low), 0, 1)


def rendered(size: Size, boxes: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Draw white rectangles on black, (H, W, 3), each pixel by the share of it that they cover."""
    across = np.stack([covered(size[1], x1, x2) for x1, _, x2, _ in boxes])
    down = np.stack([covered(size[0], y1, y2) for _, y1, _, y2 in boxes])
    grey = np.rint(255 * down.T @ across).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def seen(pixels: NDArray[np.uint8], box: Floats, blur: float = 1.0) -> Floats:
    """Read the edges of a white rectangle near `box`, which is blurred by `blur` pixels; return xyxy.

    The sum of the grey values on the left of a column inside is the distance from there to the left edge.
    """
    low = np.maximum(np.floor(box[:2] - 3 * blur).astype(int), 0)
    high = np.ceil(box[2:] + 3 * blur).astype(int)
    around = pixels[low[1] : high[1], low[0] : high[0]] / 255
    x, y = np.rint((box[:2] + box[2:]) / 2).astype(int) - low
    across, down = around.max(axis=0), around.max(axis=1)
    edges = [x - across[:x].sum(), y - down[:y].sum(), x + across[x:].sum(), y + down[y:].sum()]
    return np.array(edges) + np.tile(low, 2)


def one_box(rng: np.random.Generator, size: Size, unit: Floats) -> NDArray[np.float32]:
    """Draw a box (1, 4) of 12 to 30 units a side, with a margin of 4 units in an image of `size`."""
    whole = np.array(size[::-1])
    sides = rng.uniform(12, 30, 2) * unit
    corner = rng.uniform(4 * unit, whole - sides - 4 * unit)
    return np.concatenate([corner, corner + sides]).astype(np.float32)[None]


@pytest.mark.parametrize(
    ("native", "network"),
    [((320, 900), (96, 320)), ((60, 100), (256, 416))],
    ids=["shrunk", "enlarged"],
)
def test_boxes_meet_the_edges_that_the_network_sees(native: Size, network: Size) -> None:
    rng = np.random.default_rng(0)
    for _ in range(25):
        size, image_size = (tuple(rng.integers(*sides, 2).tolist()) for sides in (native, network))
        fit = Letterbox.fit(size, image_size)
        box = one_box(rng, size, np.maximum(1 / np.array(fit.scale), 1))
        pixels = fit.covered(letterboxed(rendered(size, box), image_size))
        expected = fit.to_network(box)[0].astype(np.float64)
        apart = np.abs(seen(pixels[0], expected, max(1.0, *fit.scale)) - expected)
        assert apart.max() < 0.05, (size, image_size, box)


def test_boxes_meet_the_edges_of_a_zoomed_part() -> None:
    rng, size, window, checked = np.random.default_rng(0), (180, 220), (0, 200), 0
    for _ in range(40):
        zoom, box = rng.uniform(0.5, 1.6), one_box(rng, size, np.full(2, 2.0))
        source = Source(rendered(size, box).transpose(2, 0, 1), box, np.array([0]))
        rows, columns = (
            span(length, zoom, rng.uniform() * (window[1] - length * zoom), window) for length in size
        )
        found = paste(blank((200, 200)), source, rows, columns, BoxRule(2.0, 1.0), by="mosaic")
        assert rows
        assert columns
        margin = 3 * max(1.0, zoom)
        inside = (columns.to_start, rows.to_start, -columns.to_stop, -rows.to_stop)
        moved = found.boxes.reshape(-1, 4).astype(np.float64)
        if len(moved) and (moved[0] * (1, 1, -1, -1) > np.add(inside, margin)).all():
            pixels = found.image[0].numpy()
            apart = np.abs(seen(pixels, moved[0], max(1.0, zoom)) - moved[0])
            assert apart.max() < 0.05, (zoom, box)
            checked += 1
    assert checked >= 20


def figures(boxes: torch.Tensor, target: Target) -> dict[str, float]:
    """Return the figures of one image for detections of score 1 at `boxes`."""
    metric = DetectionMetric(["dot"])
    count = len(boxes)
    metric.update(
        [{"boxes": boxes, "scores": torch.ones(count), "labels": torch.zeros(count, dtype=torch.int64)}],
        [target],
    )
    return metric.compute()


def test_a_perfect_detector_of_small_objects_has_a_perfect_score() -> None:
    """Objects of 4 network pixels in a 5 megapixel image, whose height is not a whole number of pixels."""
    size, image_size = (2048, 2448), (640, 640)
    rng = np.random.default_rng(0)
    lattice = np.stack(np.meshgrid(np.arange(60, 2300, 240), np.arange(60, 1950, 240)), axis=-1)
    corner = lattice.reshape(-1, 2) + rng.uniform(0, 8, (lattice.size // 2, 2))
    boxes = np.concatenate([corner, corner + 4 * 2448 / 640], axis=1).astype(np.float32)
    record = ImageRecord(Path("unused"), "unused", *size, boxes, np.zeros(len(boxes), np.int64))
    images = [letterboxed(rendered(size, boxes), image_size)]
    image, target = DetectionDataset([record], images, image_size=image_size)[0, 0]
    near = Letterbox.fit(size, image_size).to_network(boxes)
    found = torch.from_numpy(np.stack([seen(image[0].numpy(), box) for box in near])).float()
    measured = figures(found, target)
    assert measured["mAP50_95"] == measured["AP_0_8"] == measured["AP_native_8_16"] == 1
    assert measured["n_native_8_16"] == len(boxes)  # 15.3 native pixels

    native: Target = {**target, "boxes": torch.from_numpy(boxes), "scale": (1.0, 1.0)}
    assert figures(found / torch.tensor(target["scale"] * 2), native)["mAP50_95"] == 1
