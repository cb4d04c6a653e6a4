"""Look at the simulator: `python -m gffpn.data.simulator.gallery FOLDER [IMAGE_SIZE] [PRESET]`.

Writes one sheet a product (pictures in the upper row, the same with their boxes below) and `classes.png`:
per class, close-ups with the defect, and at their right the same place without it.
"""

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from gffpn.data.simulator.classes import CLASSES, PRODUCTS
from gffpn.data.simulator.dials import Dials, preset
from gffpn.data.simulator.scene import Picture, render

COLUMNS = 4
CLOSE_UPS = 4
CLOSE_UP_SIDE = 192

Pixels = NDArray[np.uint8]


def boxed(picture: Picture) -> Image.Image:
    """The picture with its ground truth drawn in."""
    image = Image.fromarray(picture.pixels)
    pen = ImageDraw.Draw(image)
    for truth in picture.truths:
        x1, y1, x2, y2 = truth.box
        pen.rectangle((x1 - 2, y1 - 2, x2 + 1, y2 + 1), outline=(255, 40, 40))
        pen.text((x1 - 2, max(y1 - 14, 0)), CLASSES[truth.label].name, fill=(255, 40, 40))
    return image


def product_sheet(product: str, dials: Dials, image_size: tuple[int, int]) -> Image.Image:
    """Pictures of one product, clean above and boxed below."""
    pictures = [render(i, "train", dials, image_size, 0, product=product) for i in range(COLUMNS)]
    clean = np.concatenate([p.pixels for p in pictures], axis=1)
    marked = np.concatenate([np.asarray(boxed(p)) for p in pictures], axis=1)
    return Image.fromarray(np.concatenate([clean, marked], axis=0))


def close_up(pixels: Pixels, box: tuple[int, int, int, int]) -> Pixels:
    """A square around a box, four times as wide and at least 48 pixels, enlarged without smoothing."""
    height, width, _ = pixels.shape
    side = min(max(48, 4 * max(box[2] - box[0], box[3] - box[1])), height, width)
    left = int(np.clip((box[0] + box[2] - side) // 2, 0, width - side))
    top = int(np.clip((box[1] + box[3] - side) // 2, 0, height - side))
    crop = Image.fromarray(pixels[top : top + side, left : left + side])
    return np.asarray(crop.resize((CLOSE_UP_SIDE, CLOSE_UP_SIDE), Image.Resampling.NEAREST))


def class_sheet(dials: Dials, image_size: tuple[int, int]) -> Image.Image:
    """A row a class: close-ups of a defect and of the same place without it."""
    rows: list[list[Pixels]] = [[] for _ in CLASSES]
    i = 0
    while min(map(len, rows)) < 2 * CLOSE_UPS:
        picture = render(i, "train", dials, image_size, 0)
        twin = render(i, "train", dials, image_size, 0, with_defects=False)
        i += 1
        for truth in picture.truths:
            if len(rows[truth.label]) < 2 * CLOSE_UPS:
                rows[truth.label] += [close_up(picture.pixels, truth.box), close_up(twin.pixels, truth.box)]
    sheet = Image.fromarray(np.concatenate([np.concatenate(row, axis=1) for row in rows], axis=0))
    pen = ImageDraw.Draw(sheet)
    for k, kind in enumerate(CLASSES):
        pen.text((4, k * CLOSE_UP_SIDE + 4), kind.name, fill=(255, 40, 40))
    return sheet


def main(folder: Path, side: int, name: str) -> None:
    """Write all sheets into `folder`."""
    dials = preset(name)
    folder.mkdir(parents=True, exist_ok=True)
    for product in PRODUCTS:
        product_sheet(product, dials, (side, side)).save(folder / f"{product}.png")
    class_sheet(dials, (side, side)).save(folder / "classes.png")


if __name__ == "__main__":
    arguments = [*sys.argv[1:], *("gallery", "480", "default")[len(sys.argv) - 1 :]]
    main(Path(arguments[0]), int(arguments[1]), arguments[2])
