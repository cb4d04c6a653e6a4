"""An assembly under its light: the radiance before the lens, and how edits of the fields change it."""

from dataclasses import dataclass
from typing import Self

from numpy.random import Generator

from tinyindus.fields import Fields, Window
from tinyindus.light import Light, composite, ground_level, shade_ground
from tinyindus.marks import Mark
from tinyindus.parts import Assembly, Imprint
from tinyindus.primitives import apply
from tinyindus.shapes import Array


@dataclass
class Canvas:
    """An assembly under its light, before the lens."""

    assembly: Assembly
    light: Light
    even: Array
    """(H, W): brightness of the unmarked ground."""
    radiance: Array
    behind: list[Array]
    """The radiance that each part was composited over, (3, h, w) in its window."""

    @classmethod
    def paint(cls, assembly: Assembly, light: Light, rng: Generator) -> Self:
        """Shade the ground, then composite each part over the radiance behind it."""
        even = ground_level(assembly.bounds.shape, light, rng)
        radiance = shade_ground(assembly.ground, even, assembly.ground_colour, light)
        behind = []
        for part in assembly.parts:
            window = (slice(None), *part.window.slices())
            behind.append(radiance[window].copy())
            radiance[window] = composite(part.fields, part.pose.unit, part.material, light, behind[-1])
        return cls(assembly, light, even, radiance, behind)

    def laid(self, k: int, fields: Fields, window: Window) -> Array:
        """Return the radiance (3, h, w) in a window of part k with its fields there replaced by `fields`."""
        part = self.assembly.parts[k]
        below = self.behind[k][(slice(None), *window.slices(part.window))]
        return self._under(k + 1, composite(fields, part.pose.unit, part.material, self.light, below), window)

    def bare(self, ground: Fields, window: Window) -> Array:
        """Return the radiance (3, h, w) in a window of the picture with the ground replaced by `ground`."""
        even = self.even[window.slices()]
        return self._under(0, shade_ground(ground, even, self.assembly.ground_colour, self.light), window)

    def _under(self, first: int, radiance: Array, window: Window) -> Array:
        """Composite the parts from number `first` onwards over a radiance (3, h, w), in place."""
        for part in self.assembly.parts[first:]:
            shared = window.overlap(part.window)
            if shared is None:
                continue
            fields = part.fields.view(shared.slices(part.window))
            if fields.cover.any():
                view = radiance[(slice(None), *shared.slices(window))]
                view[:] = composite(fields, part.pose.unit, part.material, self.light, view)
        return radiance

    def mark(self, k: int, mark: Mark) -> tuple[Window, Array]:
        """Apply a mark to part k and return the window that changed and the change of radiance (3, h, w)."""
        part = self.assembly.parts[k]
        window = mark.window(part.window)
        fields = part.fields.view(window.slices(part.window))
        before = self.laid(k, fields, window)
        apply(fields, window, mark, part.pose.unit)
        return window, self.laid(k, fields, window) - before

    def change(self, imprint: Imprint) -> Array:
        """Return the change of radiance (3, h, w) that a look-alike made in its window."""
        if imprint.part is None:
            return self.bare(imprint.after, imprint.window) - self.bare(imprint.before, imprint.window)
        return self.laid(imprint.part, imprint.after, imprint.window) - self.laid(
            imprint.part, imprint.before, imprint.window
        )
