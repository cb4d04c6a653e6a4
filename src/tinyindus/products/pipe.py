"""The shape of a medicinal glass tube and the places of its defects."""

from dataclasses import dataclass

import numpy as np

from tinyindus import shapes
from tinyindus.fields import Fields, Pose, Window
from tinyindus.parts import Part


@dataclass(frozen=True)
class Pipe:
    """A straight tube. The unit is its radius, the origin the centre of its mouth; y runs along the tube."""

    wall: float
    tilt: float
    """Half height of the mouth's ellipse."""
    length: float

    def window(self, pose: Pose, bounds: Window) -> Window:
        """Return the pixels that contain the tube."""
        return pose.window(1.06, -self.tilt - 0.1, self.length + self.tilt + 0.1, bounds)

    def on_rim(self, angle: float) -> tuple[float, float]:
        """Return the point of the mouth's rim at an angle (radians), in the tube's coordinates."""
        return 0.97 * float(np.cos(angle)), 0.97 * self.tilt * float(np.sin(angle))

    def on_body(self, part: Part, u: float, v: float) -> tuple[float, float]:
        """Return the point at `u` across and `v` along (0 to 1) the body of a tube, inside the picture."""
        visible = min(self.length - 0.6, 0.93 * max(part.window.shape) / part.pose.unit - 0.3)
        return (2 * float(u) - 1) * 0.62, 0.8 + float(v) * max(visible - 0.8, 0.5)


def glass(window: Window, pose: Pose, pipe: Pipe) -> Fields:
    """Return the fields of an unmarked tube: cover, thickness, height and albedo."""
    wall, tilt, length = pipe.wall, pipe.tilt, pipe.length
    x, y = pose.local(window)
    px = 1 / pose.unit
    xx = x * x
    z = shapes.half_chord(1.0 - xx, 0.5 * px)
    inner = 1.0 - wall
    hollow = shapes.half_chord(inner * inner - xx, px)
    ends = np.maximum(-(y + tilt * z), y - length - tilt * z)
    edge = shapes.rounding(ends, 0.09)
    thickness = 2.0 * np.maximum(z - hollow, 0.0) * edge
    for centre, radius, depth, width in (
        (0.0, 0.985, 0.07, 0.035),
        (0.0, inner, 0.07, 0.035),
        (length, inner, 0.05, 0.04),
    ):
        reach = radius * tilt + 3 * width
        near = pose.window(1.06, centre - reach, centre + reach, window).slices(window)
        ring = shapes.ellipse(x[near], y[near] - centre, radius, radius * tilt)
        thickness[near] += depth * shapes.ridge(ring, width)
    cover = shapes.coverage(np.maximum(np.abs(x) - 1.0, ends), px)
    albedo = np.zeros_like(z)
    mouth = pose.window(1.06, -tilt - 0.05, tilt + 0.05, window).slices(window)
    outer = shapes.coverage(shapes.ellipse(x[mouth], y[mouth], 1.0, tilt), px)
    opening = shapes.coverage(shapes.ellipse(x[mouth], y[mouth], inner, inner * tilt), px)
    albedo[mouth] += 0.16 * np.maximum(outer - opening, 0.0)
    return Fields(cover, thickness, z * edge, np.zeros_like(z), albedo)
