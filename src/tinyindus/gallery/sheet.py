"""A sheet: tiles in named rows and columns."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Pixels = NDArray[np.uint8]
Box = tuple[int, int, int, int]

PAPER, INK = (255, 255, 255), (25, 25, 30)
DEFECT, HARMLESS = (255, 45, 45), (60, 170, 255)
"""Colours of the corner marks around defects and around look-alikes."""
GAP = 4
TEXT = 15
"""Font size, pixels."""


@dataclass(frozen=True)
class Sheet:
    """Rows of tiles (H, W, 3), all of the same size; None leaves a cell empty."""

    tiles: Sequence[Sequence[Pixels | None]]
    rows: Sequence[str]
    columns: Sequence[str]
    corner: str = ""
    """Heading of the row names."""
    least: str = ""
    """The column of row names is at least as wide as this text."""

    def draw(self) -> Image.Image:
        """Draw the sheet."""
        font = ImageFont.load_default(TEXT)
        height, width = next(tile.shape[:2] for row in self.tiles for tile in row if tile is not None)
        left = (
            GAP + round(max(font.getlength(word) for word in (*self.rows, self.corner, self.least))) + 2 * GAP
        )
        top = TEXT + 4 * GAP
        size = (left + len(self.columns) * (width + GAP), top + len(self.rows) * (height + GAP))
        image = Image.new("RGB", size, PAPER)
        pen = ImageDraw.Draw(image)
        pen.text((GAP, top / 2), self.corner, INK, font, anchor="lm")
        for c, name in enumerate(self.columns):
            pen.text((left + c * (width + GAP) + width / 2, top / 2), name, INK, font, anchor="mm")
        for r, name in enumerate(self.rows):
            y = top + r * (height + GAP)
            pen.text((GAP, y + height / 2), name, INK, font, anchor="lm")
            for c, tile in enumerate(self.tiles[r]):
                if tile is not None:
                    image.paste(Image.fromarray(tile), (left + c * (width + GAP), y))
        return image


def shrunk(pixels: Pixels, side: int) -> Pixels:
    """Resize a whole square picture to `side` x `side` pixels."""
    return np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.LANCZOS))


def region(box: Box, side: int, picture_side: int) -> Box:
    """Return a square of `side` pixels centred on a box and moved inside the picture."""
    left, top = (
        min(max((low + high - side) // 2, 0), picture_side - side) for low, high in (box[::2], box[1::2])
    )
    return left, top, left + side, top + side


def enlarged(pixels: Pixels, place: Box, side: int) -> Pixels:
    """Crop `place` from a picture and resize it to `side` x `side` pixels without smoothing."""
    part = Image.fromarray(pixels[place[1] : place[3], place[0] : place[2]])
    return np.asarray(part.resize((side, side), Image.Resampling.NEAREST))


def cornered(tile: Pixels, place: Box, box: Box, colour: tuple[int, int, int]) -> Pixels:
    """Mark the corners of a box in a tile that shows the region `place`."""
    scale = tile.shape[0] / (place[3] - place[1])
    x1, y1 = ((low - start) * scale - 5 for low, start in zip(box[:2], place[:2], strict=True))
    x2, y2 = ((high - start) * scale + 4 for high, start in zip(box[2:], place[:2], strict=True))
    image = Image.fromarray(tile)
    pen = ImageDraw.Draw(image)
    arm = min(7.0, (x2 - x1) / 3, (y2 - y1) / 3)
    for x, dx in ((x1, arm), (x2, -arm)):
        for y, dy in ((y1, arm), (y2, -arm)):
            pen.line((x, y, x + dx, y), colour)
            pen.line((x, y, x, y + dy), colour)
    return np.asarray(image)


def boxed(pixels: Pixels, boxes: Sequence[tuple[str, Box]], side: int) -> Pixels:
    """Resize a whole picture to `side` x `side` pixels and draw named boxes on it."""
    scale = side / pixels.shape[0]
    image = Image.fromarray(shrunk(pixels, side))
    pen = ImageDraw.Draw(image)
    font = ImageFont.load_default(12)
    for name, (x1, y1, x2, y2) in boxes:
        low, high = (x1 * scale - 3, y1 * scale - 3), (x2 * scale + 2, y2 * scale + 2)
        pen.rectangle((*low, *high), outline=DEFECT)
        above = low[1] > 16
        pen.text(
            (low[0], low[1] - 2 if above else high[1] + 2), name, DEFECT, font, anchor="lb" if above else "lt"
        )
    return np.asarray(image)
