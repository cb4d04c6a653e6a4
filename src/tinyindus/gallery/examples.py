"""Search for scenes that are suitable examples for the gallery's sheets."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from tinyindus.classes import CLASSES
from tinyindus.dials import Dials
from tinyindus.gallery.sheet import Box, Pixels
from tinyindus.scene import Picture, planned_labels, render

SIDE = 640
"""Side in pixels of the pictures that close-ups are cropped from."""
SEED = 0
SEARCHED = 400
"""Number of scenes that are searched."""
ENOUGH = 8
"""Number of scenes per class; each kind of the class's look-alikes occurs in some of them."""


def draw(i: int, dials: Dials, *, imitated: Dials | None = None, bare: bool = False) -> Picture:
    """Render scene i and measure its look-alikes; `bare` omits the defects."""
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
    """Yield the scenes whose first planned defect is of the class `label`."""
    return (i for i in range(SEARCHED) if planned_labels(SEED, "train", i, dials)[:1] == [label])


LINE = 60
"""Pixels; a look-alike longer than this is a line, and its close-up may lie anywhere along it."""


@dataclass(frozen=True)
class Alike:
    """A look-alike of a scene, at match 0 and at match 1."""

    own: Pixels
    own_box: Box
    matched: Pixels
    matched_box: Box
    """Box of one mark."""


def alikes(label: int, dials: Dials, count: int) -> list[Alike]:
    """Return `count` look-alikes of a class, its contexts in turn, from scenes drawn without their defects.

    There is at most one look-alike per context and scene.
    """
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
    """Return the boxes of the marks that imitate a class, by their context."""
    marks: dict[str, list[Box]] = {}
    for found in picture.lookalikes:
        if (found.against, found.form) == (name, "mark"):
            marks.setdefault(found.context, []).append(found.box)
    return marks


def _nearest(picture: Picture, name: str, context: str, box: Box) -> Box:
    """Return `box` moved to the nearest look-alike of the same context, or else of the same class."""
    own = [a for a in picture.lookalikes if a.against == name]
    own = [a for a in own if a.context == context] or own
    x, y = (box[0] + box[2]) // 2, (box[1] + box[3]) // 2
    places = [_inside(a.box, x, y) for a in own] or [(x, y)]
    nx, ny = min(places, key=lambda place: (place[0] - x) ** 2 + (place[1] - y) ** 2)
    return box[0] + nx - x, box[1] + ny - y, box[2] + nx - x, box[3] + ny - y


def _inside(box: Box, x: int, y: int) -> tuple[int, int]:
    """Return a box's centre, moved towards x, y inside the box along each side that is longer than `LINE`."""
    (left, right), (top, bottom) = (
        (low, high) if high - low > LINE else ((low + high) // 2,) * 2 for low, high in (box[::2], box[1::2])
    )
    return min(max(x, left), right), min(max(y, top), bottom)


def alone(label: int, dials: Dials, count: int) -> list[tuple[int, Box]]:
    """Return scenes with a single defect, of the given class, and its box: typical ones of the first few."""
    shown = [
        (i, draw(i, dials).truths) for i, _ in zip(scenes_with(label, dials), range(ENOUGH), strict=False)
    ]
    best = sorted((truths[0].visibility, i, truths[0].box) for i, truths in shown if truths)
    # not the most visible ones: the gallery should show typical defects
    middle = best[len(best) // 2 :][:count]
    return [(i, box) for _, i, box in middle]
