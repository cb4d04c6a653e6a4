"""A scene before lighting: windows of the picture, poses of parts, and fields of matter.

h and w are the rows and columns of a window. A part's unit of length is its radius; `Pose.unit` is that unit
in pixels.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from tinyindus.shapes import Array


@dataclass(frozen=True)
class Window:
    """A rectangle of whole pixels: top and left are inclusive, bottom and right exclusive."""

    top: int
    left: int
    bottom: int
    right: int

    @classmethod
    def around(cls, x: float, y: float, half_x: float, half_y: float, bounds: "Window") -> "Window":
        """Return the pixels within half_x, half_y of a point, clipped to `bounds` (at least one pixel)."""
        top = min(max(int(np.floor(y - half_y)), bounds.top), bounds.bottom - 1)
        left = min(max(int(np.floor(x - half_x)), bounds.left), bounds.right - 1)
        bottom = max(min(int(np.ceil(y + half_y)), bounds.bottom), top + 1)
        right = max(min(int(np.ceil(x + half_x)), bounds.right), left + 1)
        return cls(top, left, bottom, right)

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and columns."""
        return self.bottom - self.top, self.right - self.left

    def slices(self, origin: "Window | None" = None) -> tuple[slice, slice]:
        """Return the window's slices of an array that covers `origin` (None: the picture)."""
        y, x = (origin.top, origin.left) if origin else (0, 0)
        return slice(self.top - y, self.bottom - y), slice(self.left - x, self.right - x)

    def overlap(self, other: "Window") -> "Window | None":
        """Return the intersection with another window, or None if it is empty."""
        top, left = max(self.top, other.top), max(self.left, other.left)
        bottom, right = min(self.bottom, other.bottom), min(self.right, other.right)
        return Window(top, left, bottom, right) if top < bottom and left < right else None

    def widened(self, pixels: int, bounds: "Window") -> "Window":
        """Return the window with a margin of `pixels` on each side, clipped to the bounds."""
        return Window(
            max(self.top - pixels, bounds.top),
            max(self.left - pixels, bounds.left),
            min(self.bottom + pixels, bounds.bottom),
            min(self.right + pixels, bounds.right),
        )

    def centres(self) -> tuple[Array, Array]:
        """Return the pixel centres: x of shape (1, w), y of shape (h, 1)."""
        x = np.arange(self.left, self.right, dtype=np.float32)[None, :] + np.float32(0.5)
        y = np.arange(self.top, self.bottom, dtype=np.float32)[:, None] + np.float32(0.5)
        return x, y


@dataclass(frozen=True)
class Pose:
    """Position of a part: origin in pixels, rotation in radians (clockwise on screen), unit in pixels."""

    x: float
    y: float
    turn: float
    unit: float

    def local(self, window: Window) -> tuple[Array, Array]:
        """Return the part coordinates x and y, each (h, w), of the window's pixel centres."""
        x, y = window.centres()
        c, s = float(np.cos(self.turn)) / self.unit, float(np.sin(self.turn)) / self.unit
        return (x - self.x) * c + (y - self.y) * s, (y - self.y) * c - (x - self.x) * s

    def window(self, half_x: float, low: float, high: float, bounds: Window) -> Window:
        """Return the window around the part's rectangle from -half_x to half_x and from low to high."""
        corners = [self.image(x, y) for x in (-half_x, half_x) for y in (low, high)]
        (left, right), (top, bottom) = ((min(c), max(c)) for c in zip(*corners, strict=True))
        return Window.around(
            (left + right) / 2, (top + bottom) / 2, (right - left) / 2, (bottom - top) / 2, bounds
        )

    def own(self, x: float, y: float) -> tuple[float, float]:
        """Convert a point from picture coordinates (pixels) to part coordinates."""
        c, s = float(np.cos(self.turn)) / self.unit, float(np.sin(self.turn)) / self.unit
        return (x - self.x) * c + (y - self.y) * s, (y - self.y) * c - (x - self.x) * s

    def image(self, x: float, y: float) -> tuple[float, float]:
        """Convert a point from part coordinates to picture coordinates (pixels)."""
        c, s = float(np.cos(self.turn)) * self.unit, float(np.sin(self.turn)) * self.unit
        return self.x + x * c - y * s, self.y + x * s + y * c


@dataclass
class Fields:
    """Matter in a window, as float32 arrays (h, w). Defects and look-alikes edit these and nothing else."""

    cover: Array
    """Share of each pixel that the part covers, 0 to 1."""
    thickness: Array
    """Length of glass along the line of sight, in the part's units; its slope deflects light."""
    height: Array
    """Height of the front surface towards the camera, in the part's units; its slope tilts the normal."""
    density: Array
    """Optical density (natural logarithm) of print, dirt and shadow."""
    albedo: Array
    """Diffuse reflectance."""

    @classmethod
    def empty(cls, window: Window) -> Self:
        """Return fields that are zero everywhere."""
        return cls(*(np.zeros(window.shape, np.float32) for _ in range(5)))

    def copy(self) -> "Fields":
        """Return a copy that shares no memory."""
        return Fields(
            *(f.copy() for f in (self.cover, self.thickness, self.height, self.density, self.albedo))
        )

    def view(self, slices: tuple[slice, slice]) -> "Fields":
        """Return a view of a smaller window, which shares memory."""
        return Fields(
            self.cover[slices],
            self.thickness[slices],
            self.height[slices],
            self.density[slices],
            self.albedo[slices],
        )
