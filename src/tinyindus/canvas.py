"""An assembly under its light: radiance before the lens, and what an edit of the fields changes in it."""

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
    """(H, W): the ground's level where it is unmarked."""
    radiance: Array
    behind: list[Array]
    """What each part was laid over."""

    @classmethod
    def paint(cls, assembly: Assembly, light: Light, rng: Generator) -> Self:
        """Light the ground, then each part over what lies behind it."""
        even = ground_level(assembly.bounds.shape, light, rng)
        radiance = shade_ground(assembly.ground, even, assembly.ground_colour, light)
        behind = []
        for part in assembly.parts:
            window = (slice(None), *part.window.slices())
            behind.append(radiance[window].copy())
            radiance[window] = composite(part.fields, part.pose.unit, part.material, light, behind[-1])
        return cls(assembly, light, even, radiance, behind)

    def laid(self, k: int, fields: Fields, window: Window) -> Array:
        """Radiance (3, h, w) over a window in part k, with these fields in place of its own there."""
        part = self.assembly.parts[k]
        below = self.behind[k][(slice(None), *window.slices(part.window))]
        return self._under(k + 1, composite(fields, part.pose.unit, part.material, self.light, below), window)

    def bare(self, ground: Fields, window: Window) -> Array:
        """Radiance (3, h, w) over a window of the picture, with this ground in place of its own there."""
        even = self.even[window.slices()]
        return self._under(0, shade_ground(ground, even, self.assembly.ground_colour, self.light), window)

    def _under(self, first: int, radiance: Array, window: Window) -> Array:
        """Lay the parts from `first` on over a radiance (3, h, w), in place."""
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
        """Edit part k, and give the window that changed and by how much (3, h, w)."""
        part = self.assembly.parts[k]
        window = mark.window(part.window)
        fields = part.fields.view(window.slices(part.window))
        before = self.laid(k, fields, window)
        apply(fields, window, mark, part.pose.unit)
        return window, self.laid(k, fields, window) - before

    def change(self, imprint: Imprint) -> Array:
        """By how much (3, h, w) a look-alike changed its window."""
        if imprint.part is None:
            return self.bare(imprint.after, imprint.window) - self.bare(imprint.before, imprint.window)
        return self.laid(imprint.part, imprint.after, imprint.window) - self.laid(
            imprint.part, imprint.before, imprint.window
        )
