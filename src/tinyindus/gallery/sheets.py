"""The gallery's sheets: their content, captions and drawing."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

from PIL import Image

from tinyindus.classes import CLASSES, PRODUCTS
from tinyindus.dials import PRESETS, Dials
from tinyindus.gallery.examples import SIDE, alikes, alone, draw
from tinyindus.gallery.sheet import (
    DEFECT,
    HARMLESS,
    Box,
    Pixels,
    Sheet,
    boxed,
    cornered,
    enlarged,
    region,
    shrunk,
)
from tinyindus.scene import product_of, render

ONE = Dials(empty_share=0.0, defects_per_image=(1, 1), class_shares="equal")
SOME = Dials(empty_share=0.0, defects_per_image=(3, 4))
TWIN_SIDES = (4, 6, 8, 12, 16, 24, 32, 48)
"""Sides in pixels at 640."""
TILE, LARGE_TILE = 144, 420
"""Sides in pixels."""


class Shown(NamedTuple):
    """A sheet with its name, title and caption."""

    name: str
    title: str
    caption: str
    image: Image.Image


def products() -> Iterator[Shown]:
    """Yield a sheet per product: pictures without and with boxes."""
    for product in PRODUCTS:
        pictures = [render(i, "train", SOME, (SIDE, SIDE), 0, product=product) for i in range(3)]
        rows = [
            [shrunk(p.pixels, LARGE_TILE) for p in pictures],
            [
                boxed(p.pixels, [(CLASSES[t.label].name, t.box) for t in p.truths], LARGE_TILE)
                for p in pictures
            ],
        ]
        columns = [f"scene {i}" for i in range(len(pictures))]
        names = ", ".join(c.name for c in CLASSES if c.product == product)
        caption = f"Classes: {names}. Top: as the detector sees them. Bottom: with the measured boxes."
        yield Shown(
            f"product_{product}",
            f"{product.capitalize()}s",
            caption,
            Sheet(rows, ["picture", "boxes"], columns).draw(),
        )


def close(pixels: Pixels, box: Box, colour: tuple[int, int, int], tile: int = TILE) -> Pixels:
    """Return a close-up about four times as wide as a box, with the box's corners marked."""
    side = min(max(4 * max(box[2] - box[0], box[3] - box[1]), 64), 220)
    place = region(box, side, SIDE)
    return cornered(enlarged(pixels, place, tile), place, box, colour)


def classes() -> Iterator[Shown]:
    """Yield the sheet that shows each class next to its look-alikes."""
    count = 3
    tiles: list[list[Pixels | None]] = []
    for label in range(len(CLASSES)):
        defects = [close(draw(i, ONE).pixels, box, DEFECT) for i, box in alone(label, ONE, count)]
        pairs = [
            close(pixels, box, HARMLESS)
            for alike in alikes(label, ONE, count)
            for pixels, box in ((alike.own, alike.own_box), (alike.matched, alike.matched_box))
        ]
        tiles.append([*defects, *pairs])
    columns = [f"defect {k + 1}" for k in range(count)]
    columns += [
        f"{word} {k + 1}, match {match}" for k in range(count) for word, match in (("alike", 0), ("alike", 1))
    ]
    caption = (
        "Red corners: a defect. Blue corners: a harmless look-alike of the same class, shown in one scene at "
        "match 0 (it has its own form or is a bare line) and at match 1 (its patch is drawn like a defect, "
        "and only its surroundings show that it is harmless)."
    )
    sheet = Sheet(tiles, [c.name for c in CLASSES], columns, "class")
    yield Shown("classes", "Classes next to their look-alikes", caption, sheet.draw())


def twins() -> Iterator[Shown]:
    """Yield a sheet per size mode: for each class, a scene without its defect and with it at every side."""
    for mode, words in (("contrast", "at constant contrast"), ("energy", "at constant visibility d'")):
        tiles = [twin_row(label, mode, TILE - 16) for label in range(len(CLASSES))]
        columns = ["none", *(f"{s} px" for s in TWIN_SIDES)]
        caption = (
            f"The same scene, light and noise; only the defect grows, {words}. Sides are in pixels at 640."
        )
        sheet = Sheet(tiles, [c.name for c in CLASSES], columns, "class")
        title = f"Twins by side, size_mode {mode}"
        yield Shown(f"twins_{mode}", title, caption, sheet.draw())


def twin_row(label: int, mode: str, tile: int) -> list[Pixels]:
    """Return tiles of a scene without its defect and with it at every side of `TWIN_SIDES`."""
    i, place = twin_place(label)
    sized = [replace(ONE, side_range=(side, side), size_mode=mode) for side in TWIN_SIDES]
    row = [draw(i, ONE, bare=True), *(draw(i, dials, imitated=ONE) for dials in sized)]
    return [enlarged(picture.pixels, place, tile) for picture in row]


@cache
def twin_place(label: int) -> tuple[int, Box]:
    """Return a scene with one defect of a class, and the region that contains the defect at its largest."""
    largest = replace(ONE, side_range=(48, 48))
    (i, box), *_ = alone(label, largest, 1)
    return i, region(box, 96, SIDE)


PATCH_DIALS: dict[str, tuple[tuple[float, ...], str]] = {
    "contrast": ((0, 0.25, 0.5, 1, 2, 4), "Strength of every defect; at 0 the scene has no defects."),
    "side_scale": ((0.5, 0.75, 1, 1.5, 2, 3), "Factor on the sides of defects of all classes."),
    "blur": ((0, 0.5, 1, 2, 3, 4), "Width of the lens blur."),
    "noise": ((0, 0.5, 1, 2, 3, 4), "Standard deviation of shot and read noise."),
}
"""Values and caption of the dials shown on close-ups of a defect; one row per class in `SHOWN_CLASSES`."""
SCENE_DIALS: dict[str, tuple[tuple[float, ...], str]] = {
    "lookalike_density": ((0, 0.5, 1, 2, 4), "Frequency of the harmless look-alikes."),
    "match": ((0, 0.25, 0.5, 0.75, 1), "Degree to which look-alikes are drawn like defects."),
    "light_variation": (
        (0, 0.5, 1, 2, 4),
        "Deviation of direction, gradient and exposure from the nominal light.",
    ),
}
"""Values and caption of the dials shown on whole pictures; one row per product."""
SHOWN_CLASSES = ("xsf", "gsf", "qp", "stf")


def dials() -> Iterator[Shown]:
    """Yield a sheet per dial: the same scenes with the dial from low to high."""
    labels = [k for k, c in enumerate(CLASSES) if c.name in SHOWN_CLASSES]
    for dial, (values, words) in PATCH_DIALS.items():
        tiles = []
        for label in labels:
            i, place = twin_place(label)
            row = [draw(i, _turned(ONE, dial, value), imitated=ONE) for value in values]
            tiles.append([enlarged(p.pixels, place, 192) for p in row])
        yield _dial(dial, values, tiles, [CLASSES[label].name for label in labels], words)
    for dial, (values, words) in SCENE_DIALS.items():
        tiles = []
        for product in PRODUCTS:
            i = scene_of(product)
            row = [draw(i, _turned(SOME, dial, value)) for value in values]
            tiles.append([shrunk(p.pixels, 300) for p in row])
        yield _dial(dial, values, tiles, list(PRODUCTS), words)


def _turned(base: Dials, dial: str, value: Any) -> Dials:
    return replace(base, **{dial: value})


def _dial(
    dial: str, values: tuple[float, ...], tiles: list[list[Pixels]], rows: list[str], words: str
) -> Shown:
    columns = [f"{dial} {value:g}" for value in values]
    return Shown(f"dial_{dial}", f"Dial {dial}", words, Sheet(tiles, rows, columns).draw())


def scene_of(product: str) -> int:
    """Return the second scene that shows a product."""
    return [i for i in range(80) if product_of(0, "train", i) == product][1]


def presets() -> Iterator[Shown]:
    """Yield the sheet that shows the presets side by side."""
    tiles = []
    for product in PRODUCTS:
        row = []
        for preset in PRESETS.values():
            full = replace(preset, empty_share=0.0, class_shares="paper")
            picture = draw(scene_of(product), full)
            row.append(
                boxed(picture.pixels, [(CLASSES[t.label].name, t.box) for t in picture.truths], LARGE_TILE)
            )
        tiles.append(row)
    caption = "The same scenes in each preset, with their boxes; scenes without defects are omitted."
    sheet = Sheet(tiles, list(PRODUCTS), list(PRESETS), "product")
    yield Shown("presets", "Presets", caption, sheet.draw())
