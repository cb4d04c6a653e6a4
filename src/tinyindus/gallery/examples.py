"""Scenes that show what a sheet wants to show."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from tinyindus.classes import CLASSES
from tinyindus.dials import Dials
from tinyindus.gallery.sheet import Box, Pixels
from tinyindus.scene import Picture, planned_labels, render

SIDE = 640
"""Pixels of the pictures from which close-ups are cut."""
SEED = 0
SEARCHED = 400
"""Scenes."""
ENOUGH = 8
"""Scenes of a class; each kind of its look-alikes is in some of them."""


def draw(i: int, dials: Dials, *, imitated: Dials | None = None, bare: bool = False) -> Picture:
    """Scene i, its look-alikes measured; `bare` leaves out the defects."""
    return render(
        i,
        "train",
        dials,
        (SIDE, SIDE),
        SEED,
        with_defects=not bare,
        measure_lookalikes=True,
        imitated=imitated,
    )


def scenes_with(label: int, dials: Dials) -> Iterator[int]:
    """Scenes whose first planned defect is of a class."""
    return (i for i in range(SEARCHED) if planned_labels(SEED, "train", i, dials)[:1] == [label])


LINE = 60
"""Pixels; what is longer is a line, and is shown anywhere along it."""


@dataclass(frozen=True)
class Alike:
    """A look-alike of one scene, at match 0 and at match 1."""

    own: Pixels
    own_box: Box
    matched: Pixels
    matched_box: Box
    """Of a mark."""


def alikes(label: int, dials: Dials, count: int) -> list[Alike]:
    """Look-alikes of a class, one of a kind and scene, its kinds in turn; without defects beside them."""
    found: dict[str, list[Alike]] = {}
    for number, i in enumerate(scenes_with(label, dials)):
        if number >= ENOUGH and sum(map(len, found.values())) >= count:
            break
        matched = draw(i, replace(dials, match=1.0), bare=True)
        own = draw(i, replace(dials, match=0.0), bare=True)
        for context, boxes in _marks(matched, CLASSES[label].name).items():
            box = boxes[len(boxes) // 2]
            own_box = _nearest(own, CLASSES[label].name, context, box)
            alike = Alike(own.pixels, own_box, matched.pixels, box)
            found.setdefault(context, []).append(alike)
    turns = max(map(len, found.values()))
    return [group[k] for k in range(turns) for group in found.values() if k < len(group)][:count]


def _marks(picture: Picture, name: str) -> dict[str, list[Box]]:
    """Boxes of the marks that imitate a class, by what gives them away."""
    marks: dict[str, list[Box]] = {}
    for found in picture.lookalikes:
        if (found.against, found.form) == (name, "mark"):
            marks.setdefault(found.context, []).append(found.box)
    return marks


def _nearest(picture: Picture, name: str, context: str, box: Box) -> Box:
    """A box of the same size where look-alikes of the context, or else of the class, come nearest to it."""
    own = [a for a in picture.lookalikes if a.against == name]
    own = [a for a in own if a.context == context] or own
    x, y = (box[0] + box[2]) // 2, (box[1] + box[3]) // 2
    places = [_inside(a.box, x, y) for a in own] or [(x, y)]
    nx, ny = min(places, key=lambda place: (place[0] - x) ** 2 + (place[1] - y) ** 2)
    return box[0] + nx - x, box[1] + ny - y, box[2] + nx - x, box[3] + ny - y


def _inside(box: Box, x: int, y: int) -> tuple[int, int]:
    """The point of a box's middle part that is nearest to x, y: a mark's heart, anywhere along a line."""
    (left, right), (top, bottom) = (
        (low, high) if high - low > LINE else ((low + high) // 2,) * 2 for low, high in (box[::2], box[1::2])
    )
    return min(max(x, left), right), min(max(y, top), bottom)


def alone(label: int, dials: Dials, count: int) -> list[tuple[int, Box]]:
    """Scenes with one defect, of a class, and its box there; those that show it best of the first few."""
    shown = [
        (i, draw(i, dials).truths) for i, _ in zip(scenes_with(label, dials), range(ENOUGH), strict=False)
    ]
    best = sorted((truths[0].visibility, i, truths[0].box) for i, truths in shown if truths)
    # not the very best: a picture shall show what is usual
    middle = best[len(best) // 2 :][:count]
    return [(i, box) for _, i, box in middle]
