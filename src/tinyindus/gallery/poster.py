"""One picture that summarises the data set: classes above their look-alikes, and a row of twins."""

from PIL import Image

from tinyindus.classes import CLASS_NAMES, CLASSES
from tinyindus.gallery.examples import alikes, alone, draw
from tinyindus.gallery.sheet import DEFECT, GAP, HARMLESS, PAPER, Sheet
from tinyindus.gallery.sheets import ONE, TWIN_SIDES, close, twin_row

TILE = 124
TWINS_OF = "gkf"


def poster() -> Image.Image:
    """Draw the picture, about 1300 pixels wide."""
    defects, own, matched = [], [], []
    for label in range(len(CLASSES)):
        ((i, box),) = alone(label, ONE, 1)
        (alike,) = alikes(label, ONE, 1)
        defects.append(close(draw(i, ONE).pixels, box, DEFECT, TILE))
        own.append(close(alike.own, alike.own_box, HARMLESS, TILE))
        matched.append(close(alike.matched, alike.matched_box, HARMLESS, TILE))
    columns = [f"{c.name} ({c.product})" for c in CLASSES]
    rows = ["defect", "look-alike, match 0", "look-alike, match 1"]
    twins = [twin_row(CLASS_NAMES.index(TWINS_OF), "contrast", TILE)]
    sides = ["without", *(f"{s} px" for s in TWIN_SIDES)]
    parts = [
        Sheet([defects, own, matched], rows, columns).draw(),
        # names of the same width at the left, so that the columns of both sheets line up
        Sheet(twins, [f"twins of one {TWINS_OF}"], sides, corner="", least=rows[1]).draw(),
    ]
    size = max(p.width for p in parts), sum(p.height for p in parts) + 2 * GAP
    image = Image.new("RGB", size, PAPER)
    image.paste(parts[0], (0, 0))
    image.paste(parts[1], (0, parts[0].height + 2 * GAP))
    return image
