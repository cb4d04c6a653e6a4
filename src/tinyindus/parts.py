"""What a product hands to the scene: its ground, its parts, and where each defect may sit."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, Self

from numpy.random import Generator

from tinyindus.dials import Dials
from tinyindus.fields import Fields, Pose, Window
from tinyindus.light import Light, Material
from tinyindus.marks import Mark
from tinyindus.primitives import apply


@dataclass
class Part:
    """One piece of a product in its window."""

    window: Window
    pose: Pose
    material: Material
    fields: Fields


class Site(NamedTuple):
    """A place for a defect."""

    part: int
    x: float
    y: float
    """Pixels of the picture."""
    turn: float
    """Direction of the place on the picture, radians."""


@dataclass(frozen=True)
class Draws:
    """What a product is built from: the picture's size, its light, its dials, and one generator a cause."""

    window: Window
    light: Light
    dials: Dials
    product: Generator
    nuisance: Generator
    lookalike: Callable[[int], tuple[Generator, Generator]]
    """Two generators of one pattern of look-alikes (`lookalikes.Pattern`): of its own form, and of the looks
    and places of the defects that it imitates."""
    imitated: Dials
    """The dials of the defects that look-alikes imitate."""
    match: float
    """How far they do, 0 to 1."""
    measured: bool
    """Whether look-alikes are kept, to be measured."""

    @property
    def px(self) -> float:
        """Picture pixels per pixel at an image size of 640."""
        return min(self.window.shape) / 640


class Imitation(NamedTuple):
    """Of what, and in which surroundings."""

    against: str
    """Name of the defect class that it might be taken for."""
    context: str
    """What gives it away: seam, row, band, ring, edge, print, glint, lamp, fold, grip; off: off the part."""
    form: str = "mark"
    """mark: of a defect's primitive; line: what marks are strung on."""


@dataclass(frozen=True)
class Imprint:
    """What a look-alike did to the fields, kept to be measured."""

    imitation: Imitation
    part: int | None
    """None: the ground."""
    window: Window
    before: Fields
    after: Fields


@dataclass
class Assembly:
    """A product in its tray, before light."""

    ground: Fields
    bounds: Window
    """The picture."""
    ground_colour: tuple[float, float, float] = (1.0, 1.0, 1.0)
    parts: list[Part] = field(default_factory=list)
    imprints: list[Imprint] | None = None
    """None: nobody asks."""

    @classmethod
    def empty(cls, draws: Draws, colour: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> Self:
        """A bare ground."""
        return cls(Fields.empty(draws.window), draws.window, colour, imprints=[] if draws.measured else None)

    @contextmanager
    def editing(self, part: int | None, window: Window, imitation: Imitation | None) -> Iterator[Fields]:
        """The fields of a part, or of the ground, over a window, for a look-alike to edit.

        Without an imitation it is dirt that resembles no defect, and is not kept.
        """
        whole, bounds = self.ground, self.bounds
        if part is not None:
            whole, bounds = self.parts[part].fields, self.parts[part].window
        fields = whole.view(window.slices(bounds))
        if self.imprints is None or imitation is None:
            yield fields
            return
        before = fields.copy()
        yield fields
        self.imprints.append(Imprint(imitation, part, window, before, fields.copy()))

    def press(self, part: int | None, mark: Mark, imitation: Imitation | None, unit: float) -> None:
        """Apply a look-alike's mark to a part, or to the ground, where its depth is divided by `unit`."""
        bounds = self.bounds
        if part is not None:
            bounds, unit = self.parts[part].window, self.parts[part].pose.unit
        window = mark.window(bounds)
        with self.editing(part, window, imitation) as fields:
            apply(fields, window, mark, unit)


class Product(Protocol):
    """One of the four products, posed for one picture."""

    assembly: Assembly

    def site(self, name: str, rng: Generator) -> Site:
        """A place for a defect of class `name`; always the same number of draws for a class."""
        ...
