"""The primitives shared by defects and look-alikes. Each edits the fields of a part around a point."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tinyindus import shapes
from tinyindus.fields import Fields, Window
from tinyindus.marks import Mark
from tinyindus.shapes import Array

FINEST = 1.5
"""Smallest width of a groove, pixels."""


def _line(mark: Mark, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rotate and scale points along +x, from -0.5 to 0.5, so that their bounding box has the mark's side.

    The box is taken to be at least a third as wide as it is long; otherwise a line along the pixel grid would
    grow without bound.
    """
    c, s = np.cos(mark.turn), np.sin(mark.turn)
    turned = points @ np.array([[c, s], [-s, c]])
    box = np.ptp(turned, axis=0)
    box = np.maximum(box, box.max() / 3)
    return (turned - (turned.max(axis=0) + turned.min(axis=0)) / 2) * (mark.side / np.sqrt(box[0] * box[1]))


def _groove(fields: Fields, distance: Array, width: float, slope: float, unit: float) -> None:
    """Remove glass along a line; flanks have the given slope, `width` pixels away from the line.

    A groove that is narrower than `FINEST` would look like a string of beads on the pixel grid.
    """
    width = max(width, FINEST)
    _dig(fields, shapes.ridge(distance, width) * (slope * width / unit))


def _dig(fields: Fields, depth: Array) -> None:
    """Remove glass. The surface sinks less than the glass thins: rough flanks mirror no lamps."""
    fields.thickness -= depth
    fields.height -= 0.3 * depth


def _steep(strength: float) -> float:
    """Return the slope of a mark's flanks, which grows more slowly than the strength of the mark."""
    return 1.25 * strength / (1.0 + 0.40 * strength)


def crack(fields: Fields, x: Array, y: Array, mark: Mark, unit: float) -> None:
    """Draw a crack: a bowed and slightly jagged dark line, thinning towards one end, with a bright flank."""
    along = np.linspace(-0.5, 0.5, 9)
    across = (mark.shape[:9] - 0.5) * 0.10 + (mark.shape[9] - 0.5) * 0.55 * (1.0 - 4.0 * along**2)
    distance, place = shapes.polyline(x, y, _line(mark, np.stack([along, across], axis=1)))
    width = max(0.9, 0.040 * mark.side)
    core = shapes.coverage(distance - 0.5 * width * (1.15 - 0.9 * place), 1.0)
    fields.density += (0.85 * mark.strength) * core
    fields.albedo += (0.30 * mark.strength) * core
    _groove(fields, distance, 1.3 * width, 0.8 * _steep(mark.strength), unit)


def scratch(fields: Fields, x: Array, y: Array, mark: Mark, unit: float) -> None:
    """Draw a scratch: a smooth bowed line that fades at both ends, sometimes with a fainter second line."""
    along = np.linspace(-0.5, 0.5, 7)
    bow = (mark.shape[0] - 0.5) * 0.5 * (1.0 - 4.0 * along**2) + (mark.shape[1] - 0.5) * 0.15 * along
    points = _line(mark, np.stack([along, bow], axis=1))
    width = max(0.8, 0.035 * mark.side)
    offset = (mark.shape[2] - 0.5) * 0.25 * mark.side
    for shift, share in ((0.0, 1.0), (offset, 0.55 * (mark.shape[3] > 0.5))):
        if share == 0.0:
            continue
        moved = points + shift * np.array([-np.sin(mark.turn), np.cos(mark.turn)])
        distance, place = shapes.polyline(x, y, moved)
        fade = share * np.sqrt(np.clip(1.0 - np.abs(2.0 * place - 1.0) ** 3, 0.0, 1.0))
        core = shapes.coverage(distance - 0.5 * width, 1.0) * fade
        fields.density += (0.50 * mark.strength) * core
        fields.albedo += (0.10 * mark.strength) * core
        _groove(fields, distance, 1.3 * width, 0.5 * _steep(mark.strength) * share, unit)


def bubble(fields: Fields, x: Array, y: Array, mark: Mark, unit: float) -> None:
    """Draw an air bubble, elongated with the glass: a bright centre that darkens towards the outline."""
    stretch = 1.0 + 1.4 * mark.shape[0]
    c, s = np.cos(mark.turn), np.sin(mark.turn)
    half = 0.5 * mark.side / np.sqrt(stretch)
    u, v = x * float(c) + y * float(s), y * float(c) - x * float(s)
    u, v = u * float(1.0 / (half * stretch)), v * float(1.0 / half)
    square = u * u + v * v
    inside = np.maximum(1.0 - square, 0.0)
    fields.thickness -= (1.0 * _steep(mark.strength) * half / unit) * inside * np.sqrt(inside)
    fields.density += (1.2 * mark.strength) * square * square * inside


def stain(fields: Fields, x: Array, y: Array, mark: Mark, unit: float) -> None:
    """Draw a stain: a faint film of dirt with a ragged outline, an uneven dried edge and flecks."""
    lobes = np.stack([0.16 * mark.shape[:5], 2 * np.pi * mark.shape[5:10]], axis=1)
    stretch = 0.75 + 0.5 * mark.shape[10]
    sdf = shapes.blob(x * float(stretch), y * float(1 / stretch), 0.46 * mark.side, lobes)
    film = shapes.soft(sdf, 0.13 * mark.side)
    rim = shapes.ridge(sdf + 0.05 * mark.side, 0.05 * mark.side)
    wave = 10.0 / mark.side
    fleck = np.sin(x * (wave * (1 + mark.shape[11])) + 6 * float(mark.shape[12]) + 1.7 * np.sin(y * wave))
    fleck *= np.sin(y * (wave * (1 + mark.shape[13])) + 6 * float(mark.shape[14]) + 1.3 * np.sin(x * wave))
    fields.density += (mark.strength * 0.18) * film * (1.0 + 0.20 * fleck)
    fields.density += (mark.strength * 0.07) * rim * (1.0 + fleck)


def pit(fields: Fields, x: Array, y: Array, mark: Mark, unit: float) -> None:
    """Draw a pit: a small crater with one bright flank, one dark flank and a dull floor."""
    lobes = np.stack([0.14 * mark.shape[:3], 2 * np.pi * mark.shape[3:6]], axis=1)
    radius = 0.42 * mark.side
    sdf = shapes.blob(x, y, radius, lobes)
    bowl = shapes.soft(sdf + 0.25 * radius, 0.50 * radius)
    _dig(fields, bowl * (1.15 * _steep(mark.strength) * radius / unit))
    fields.density += (0.20 * mark.strength) * shapes.coverage(sdf + 0.25 * radius, max(1.0, 0.8 * radius))


def notch(fields: Fields, x: Array, y: Array, mark: Mark, unit: float) -> None:
    """Draw a notch: a chip is missing from an edge, and the fracture around it is dark and bright."""
    lobes = np.stack([0.20 * mark.shape[:4], 2 * np.pi * mark.shape[4:8]], axis=1)
    sdf = shapes.blob(x, y, 0.42 * mark.side, lobes)
    gone = shapes.coverage(sdf, 1.0)
    fields.cover *= 1.0 - np.minimum(1.3 * mark.strength, 1.0) * gone
    shell = shapes.ridge(sdf - 0.06 * mark.side, max(0.8, 0.08 * mark.side))
    way = 2 * np.pi * float(mark.shape[8])
    shade = 0.5 + (x * float(np.cos(way)) + y * float(np.sin(way))) * (0.7 / mark.side)
    fields.density += _steep(mark.strength) * shell * shade
    fields.albedo += (0.30 * mark.strength) * shell * (1.0 - shade)
    _dig(fields, shapes.soft(sdf, 0.30 * mark.side) * (0.4 * _steep(mark.strength) * mark.side / unit))


def hole(fields: Fields, x: Array, y: Array, mark: Mark, unit: float) -> None:
    """Draw a hole in a skin, which exposes what is below it and has a rolled-up edge."""
    lobes = np.stack([0.13 * mark.shape[:5], 2 * np.pi * mark.shape[5:10]], axis=1)
    sdf = shapes.blob(x, y, 0.40 * mark.side, lobes)
    _open(fields, sdf, mark, unit)


def tear(fields: Fields, x: Array, y: Array, mark: Mark, unit: float) -> None:
    """Draw a tear in a skin: a pointed gap with rolled-up edges."""
    along = np.linspace(-0.5, 0.5, 6)
    across = (mark.shape[:6] - 0.5) * 0.16
    distance, place = shapes.polyline(x, y, _line(mark, np.stack([along, across], axis=1)))
    half = 0.13 * mark.side * (0.6 + 0.8 * float(mark.shape[6]))
    _open(fields, distance - half * (1.0 - (2.0 * place - 1.0) ** 2), mark, unit)


def _open(fields: Fields, sdf: Array, mark: Mark, unit: float) -> None:
    gap = shapes.coverage(sdf, 1.2)
    fields.cover *= 1.0 - np.minimum(0.85 * mark.strength, 1.0) * gap
    roll = max(1.0, 0.07 * mark.side)
    fields.height += shapes.ridge(sdf - roll, roll) * (0.7 * min(mark.strength, 1.2) * roll / unit)


def thin(fields: Fields, x: Array, y: Array, mark: Mark, unit: float) -> None:
    """Draw a thin spot in a skin, which reflects less light and shows some of the tray."""
    lobes = np.stack([0.15 * mark.shape[:5], 2 * np.pi * mark.shape[5:10]], axis=1)
    spot = shapes.soft(shapes.blob(x, y, 0.42 * mark.side, lobes), 0.14 * mark.side)
    fields.albedo *= 1.0 - np.minimum(0.22 * mark.strength, 1.0) * spot
    fields.cover *= 1.0 - np.minimum(0.18 * mark.strength, 1.0) * spot


def dot(fields: Fields, x: Array, y: Array, mark: Mark, unit: float) -> None:
    """Draw a printed or moulded dot: round, dark and slightly raised."""
    sdf = np.hypot(x, y) - 0.45 * mark.side
    fields.density += (0.40 * mark.strength) * shapes.coverage(sdf, max(1.0, 0.3 * mark.side))
    fields.height += shapes.soft(sdf, 0.25 * mark.side) * (0.5 * mark.strength * 0.5 * mark.side / unit)


def fibre(fields: Fields, x: Array, y: Array, mark: Mark, unit: float) -> None:
    """Draw a grain of dust or a fibre: dark and without relief."""
    along = np.linspace(-0.5, 0.5, 6)
    across = 0.5 * (mark.shape[0] - 0.5) * (1.0 - 4.0 * along**2) * (mark.shape[1] > 0.4)
    points = _line(mark, np.stack([along, across], axis=1)) * (0.25 + 0.75 * float(mark.shape[2]))
    distance, _ = shapes.polyline(x, y, points)
    width = max(0.7, 0.10 * mark.side)
    fields.density += (0.55 * mark.strength) * shapes.coverage(distance - 0.5 * width, 1.2)


Primitive = Callable[[Fields, Array, Array, Mark, float], None]

PRIMITIVES: dict[str, Primitive] = {
    "crack": crack,
    "scratch": scratch,
    "bubble": bubble,
    "stain": stain,
    "pit": pit,
    "notch": notch,
    "hole": hole,
    "tear": tear,
    "thin": thin,
    "dot": dot,
    "fibre": fibre,
}


def apply(fields: Fields, window: Window, mark: Mark, unit: float) -> None:
    """Apply a mark to the fields of `window`, in place; `unit` is the part's unit in pixels.

    A mark that is deeper than the wall goes right through it and no further.
    """
    x, y = np.broadcast_arrays(*window.centres())
    PRIMITIVES[mark.primitive](fields, x - np.float32(mark.x), y - np.float32(mark.y), mark, unit)
    # a negative thickness would amplify light, most of all the colour that the glass absorbs best
    np.maximum(fields.thickness, 0.0, out=fields.thickness)
