"""What a scene is before light: windows of the picture, poses of parts, fields of matter.

h w: rows and columns of a window. A part's own unit of length is its radius; `Pose.unit` is its size in
pixels.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from tinyindus.shapes import Array


@dataclass(frozen=True)
class Window:
    """A rectangle of whole pixels, top and left inclusive, bottom and right exclusive."""

    top: int
    left: int
    bottom: int
    right: int

    @classmethod
    def around(cls, x: float, y: float, half_x: float, half_y: float, bounds: "Window") -> "Window":
        """The pixels within half_x, half_y of a point, cut at the bounds (at least one pixel)."""
        top = min(max(int(np.floor(y - half_y)), bounds.top), bounds.bottom - 1)
        left = min(max(int(np.floor(x - half_x)), bounds.left), bounds.right - 1)
        bottom = max(min(int(np.ceil(y + half_y)), bounds.bottom), top + 1)
        right = max(min(int(np.ceil(x + half_x)), bounds.right), left + 1)
        return cls(top, left, bottom, right)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.bottom - self.top, self.right - self.left

    def slices(self, origin: "Window | None" = None) -> tuple[slice, slice]:
        """Where the window lies in an array that starts at `origin` (None: at the picture's corner)."""
        y, x = (origin.top, origin.left) if origin else (0, 0)
        return slice(self.top - y, self.bottom - y), slice(self.left - x, self.right - x)

    def overlap(self, other: "Window") -> "Window | None":
        """The pixels of both, if there are any."""
        top, left = max(self.top, other.top), max(self.left, other.left)
        bottom, right = min(self.bottom, other.bottom), min(self.right, other.right)
        return Window(top, left, bottom, right) if top < bottom and left < right else None

    def widened(self, pixels: int, bounds: "Window") -> "Window":
        """With a margin at each side, cut at the bounds."""
        return Window(
            max(self.top - pixels, bounds.top),
            max(self.left - pixels, bounds.left),
            min(self.bottom + pixels, bounds.bottom),
            min(self.right + pixels, bounds.right),
        )

    def centres(self) -> tuple[Array, Array]:
        """Pixel centres: x of shape (1, w), y of shape (h, 1)."""
        x = np.arange(self.left, self.right, dtype=np.float32)[None, :] + np.float32(0.5)
        y = np.arange(self.top, self.bottom, dtype=np.float32)[:, None] + np.float32(0.5)
        return x, y


@dataclass(frozen=True)
class Pose:
    """Where a part lies: origin in pixels, turn in radians (clockwise on screen), unit in pixels."""

    x: float
    y: float
    turn: float
    unit: float

    def local(self, window: Window) -> tuple[Array, Array]:
        """Part coordinates (h, w) of the window's pixel centres."""
        x, y = window.centres()
        c, s = float(np.cos(self.turn)) / self.unit, float(np.sin(self.turn)) / self.unit
        return (x - self.x) * c + (y - self.y) * s, (y - self.y) * c - (x - self.x) * s

    def window(self, half_x: float, low: float, high: float, bounds: Window) -> Window:
        """The pixels that hold the part's rectangle -half_x..half_x, low..high."""
        corners = [self.image(x, y) for x in (-half_x, half_x) for y in (low, high)]
        (left, right), (top, bottom) = ((min(c), max(c)) for c in zip(*corners, strict=True))
        return Window.around(
            (left + right) / 2, (top + bottom) / 2, (right - left) / 2, (bottom - top) / 2, bounds
        )

    def own(self, x: float, y: float) -> tuple[float, float]:
        """Part coordinates of a point of the picture."""
        c, s = float(np.cos(self.turn)) / self.unit, float(np.sin(self.turn)) / self.unit
        return (x - self.x) * c + (y - self.y) * s, (y - self.y) * c - (x - self.x) * s

    def image(self, x: float, y: float) -> tuple[float, float]:
        """Pixel coordinates of a point of the part."""
        c, s = float(np.cos(self.turn)) * self.unit, float(np.sin(self.turn)) * self.unit
        return self.x + x * c - y * s, self.y + x * s + y * c


@dataclass
class Fields:
    """Matter over a window, (h, w) float32 each. Defects and look-alikes edit these, and nothing else."""

    cover: Array
    """0..1: share of the pixel that the part covers."""
    thickness: Array
    """Glass along the line of sight, in units; its slope bends light away."""
    height: Array
    """Front surface towards the camera, in units; its slope turns the surface's normal."""
    density: Array
    """Optical density (natural logarithm) of print, dirt and shadow."""
    albedo: Array
    """Diffuse reflectance."""

    @classmethod
    def empty(cls, window: Window) -> Self:
        """Nothing anywhere."""
        return cls(*(np.zeros(window.shape, np.float32) for _ in range(5)))

    def copy(self) -> "Fields":
        """The same matter in memory of its own."""
        return Fields(
            *(f.copy() for f in (self.cover, self.thickness, self.height, self.density, self.albedo))
        )

    def view(self, slices: tuple[slice, slice]) -> "Fields":
        """The same memory, seen through a smaller window."""
        return Fields(
            self.cover[slices],
            self.thickness[slices],
            self.height[slices],
            self.density[slices],
            self.albedo[slices],
        )
