"""Random places of images on a canvas: zoomed and shifted, a window of one (crop), or four of them (mosaic).

The four-image mosaic comes from YOLOv4 (arXiv:2004.10934, section 3.4).
Deviations: each tile is resized directly to its final pixels, instead of warping a canvas of twice the size
afterwards; each tile shows a random part of its image, not always a corner.

Windows that contain an object are the positive chips of SNIPER (arXiv:1805.09300, section 3.1).
Deviations: one window per sample and at one scale; the other windows are drawn uniformly, not where a first
detector errs.
"""

from collections.abc import Sequence

import numpy as np

from gffpn.data.canvas import Place, Source, Span, span

INSET = 2
"""Distance in pixels of an object's centre from the window's edge, so that rounding keeps it inside."""


def zoomed(
    source: Source,
    size: tuple[int, int],
    scale: tuple[float, float],
    translate: float,
    rng: np.random.Generator,
) -> Place:
    """Zoom an image about the centre of the canvas (H, W), then shift it by up to a share of its sides."""
    zoom = rng.uniform(*scale)
    shifts = rng.uniform(-translate, translate, 2)
    rows, columns = (
        span(length, zoom, side / 2 * (1 - zoom) + side * shift, (0, side))
        for length, side, shift in zip(source.pixels.shape[1:], size, shifts.tolist(), strict=True)
    )
    return Place(source, rows, columns)


def cropped(
    source: Source,
    size: tuple[int, int],
    scale: tuple[float, float],
    on_object: float,
    rng: np.random.Generator,
) -> Place:
    """Zoom an image and show a random window of it that fills the canvas (H, W).

    With probability `on_object`, the window contains the centre of a random object of the image.
    """
    return _anywhere(source, ((0, size[0]), (0, size[1])), scale, on_object, rng)


def four_around(
    sources: Sequence[Source],
    size: tuple[int, int],
    scale: tuple[float, float],
    on_object: float,
    rng: np.random.Generator,
) -> list[Place]:
    """Place four images around a random point in the middle half of a canvas (H, W).

    Each image has its own random scale, from the range `scale`, and shows a random part. With probability
    `on_object`, that part contains the centre of a random object of the image.
    """
    middle_y, middle_x = (round(side * rng.uniform(0.25, 0.75)) for side in size)
    places = []
    for number, source in enumerate(sources):
        top_bottom = (0, middle_y) if number < 2 else (middle_y, size[0])
        left_right = (0, middle_x) if number % 2 == 0 else (middle_x, size[1])
        places.append(_anywhere(source, (top_bottom, left_right), scale, on_object, rng))
    return places


def _anywhere(
    source: Source,
    windows: tuple[tuple[int, int], tuple[int, int]],
    scale: tuple[float, float],
    on_object: float,
    rng: np.random.Generator,
) -> Place:
    """Zoom an image and place it at random in a window, given by its rows and its columns."""
    zoom = rng.uniform(*scale)
    points = _point(source, on_object, rng)
    rows, columns = (
        _somewhere(length, zoom, window, point, rng.uniform())
        for length, window, point in zip(source.pixels.shape[1:], windows, points, strict=True)
    )
    return Place(source, rows, columns)


def _point(
    source: Source, on_object: float, rng: np.random.Generator
) -> tuple[float, float] | tuple[None, None]:
    """Return the centre (y, x) of a random object with probability `on_object`, else (None, None)."""
    if on_object == 0 or len(source.boxes) == 0 or rng.uniform() >= on_object:
        return None, None
    x1, y1, x2, y2 = source.boxes[rng.integers(len(source.boxes))].tolist()
    return (y1 + y2) / 2, (x1 + x2) / 2


def _somewhere(
    length: int, scale: float, window: tuple[int, int], point: float | None, position: float
) -> Span | None:
    """Return the span at a relative `position` in 0..1 among those that show `point`, if one is given.

    An image larger than the window fills it with one of its parts; a smaller one lies somewhere inside it.
    """
    width = window[1] - window[0]
    first, last = 0.0, width - length * scale
    if point is not None and last < 0:
        # the point is shown at window[0] + offset + point * scale
        first = min(max(width - INSET - point * scale, last), 0.0)
        last = min(max(INSET - point * scale, last), 0.0)
    return span(length, scale, window[0] + (first + position * (last - first)), window)
