"""Pictures of detections: thin boxes around the objects, names and scores where they hide no object."""

import colorsys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from gffpn.deploy.journal import Result

SHOWN_SIDE = 768
"""Smaller images are enlarged by a whole factor to about this longer side, in pixels, so that text fits."""
CROWDED = 0.1
"""Largest share of a text that may cover other boxes."""
LAST_LETTER = "\u017f"
"""Pillow's font has Latin letters up to this one, accents included."""
Box = tuple[float, float, float, float]
Boxes = NDArray[np.float64]


def colour(label: int) -> tuple[int, int, int]:
    """Return the colour of a class: bright, and far from that of its neighbours in the list of classes."""
    hue = (0.08 + label * 0.618034) % 1  # the golden ratio spreads any number of hues
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.85, 1.0)
    return round(255 * red), round(255 * green), round(255 * blue)


def picture(pixels: NDArray[np.uint8], result: Result, classes: Sequence[str]) -> Image.Image:
    """Draw the detections of an RGB image (H, W, 3), enlarged by a whole factor if it is small.

    A name for which there is no room between the detections is left out.
    """
    zoom = max(1, SHOWN_SIDE // max(result.height, result.width))
    size = (result.width * zoom, result.height * zoom)
    image = Image.fromarray(pixels)
    # a pixel becomes a square: a smooth enlargement takes longer than a small network
    image = image.resize(size, Image.Resampling.NEAREST) if zoom > 1 else image
    pen = ImageDraw.Draw(image)
    thick = max(1, round(max(size) / 1000))
    font = ImageFont.load_default(max(10, round(max(size) / 80)))
    taken = np.array(result.boxes, np.float64).reshape(-1, 4) * zoom
    for box, score, label in zip(taken.tolist(), result.scores, result.labels, strict=True):
        text = f"{caption(classes[label], label)} {score:.2f}"
        # the outline lies outside of the box, so that it does not cover the object
        outline = (box[0] - thick, box[1] - thick, box[2] + thick, box[3] + thick)
        pen.rectangle(outline, outline=colour(label), width=thick)
        _, _, right, bottom = pen.textbbox((0, 0), text, font=font)
        place = free_place(outline, (right + 2, bottom + 2), taken, size)
        if place is None:
            continue
        taken = np.concatenate([taken, np.array([place])])
        pen.rectangle(place, fill=colour(label))
        pen.text((place[0] + 1, place[1] + 1), text, ink(colour(label)), font=font)
    return image


def caption(name: str, label: int) -> str:
    """Return a class's name, or its number where Pillow's font lacks the letters, such as Chinese ones."""
    return name if name.isprintable() and all(letter <= LAST_LETTER for letter in name) else f"#{label}"


def ink(paper: tuple[int, int, int]) -> str:
    """Return black or white, whichever is easier to read on a colour."""
    red, green, blue = paper
    return "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 110 else "white"


def free_place(box: Box, text: tuple[float, float], taken: Boxes, size: tuple[int, int]) -> Box | None:
    """Return where to write a text of size (width, height) beside a box, in an image of size (width, height).

    None if everywhere more than a tenth of it would cover other boxes.

    Above, below, right or left of the box, moved into the image: the first of them that covers the least of
    the boxes `taken` (M, 4).
    """
    wide, high = text
    x1, y1, x2, y2 = box
    corners = np.array([(x1, y1 - high), (x1, y2 + 1), (x2 + 1, y1), (x1 - wide, y1), (x2 - wide, y1 - high)])
    corners = np.clip(corners, 0, np.maximum(np.array(size) - text, 0))
    places = np.concatenate([corners, corners + text], axis=1)
    low = np.maximum(places[:, None, :2], taken[None, :, :2])
    high_end = np.minimum(places[:, None, 2:], taken[None, :, 2:])
    covered = (high_end - low).clip(0).prod(-1).sum(1)
    if covered.min() > CROWDED * wide * high:
        return None
    left, top, right, bottom = places[int(covered.argmin())].tolist()
    return left, top, right, bottom
