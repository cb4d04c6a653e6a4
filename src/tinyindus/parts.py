"""The interface between products and the scene: the ground, the parts, and the sites of defects."""

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
    """One piece of a product and its window."""

    window: Window
    pose: Pose
    material: Material
    fields: Fields


class Site(NamedTuple):
    """A place for a defect."""

    part: int
    x: float
    y: float
    """(x, y) is in pixels of the picture."""
    turn: float
    """Direction of the site in the picture, radians."""


@dataclass(frozen=True)
class Draws:
    """Inputs of a product: the picture's size, light and dials, and one random generator per cause."""

    window: Window
    light: Light
    dials: Dials
    product: Generator
    nuisance: Generator
    lookalike: Callable[[int], tuple[Generator, Generator]]
    """Function that returns two generators for a pattern of look-alikes (`lookalikes.Pattern`): one for its
    own form, and one for the looks and places of the defects that it imitates."""
    imitated: Dials
    """The dials of the defects that look-alikes imitate."""
    match: float
    """Degree of the imitation, 0 to 1."""
    measured: bool
    """True to keep the look-alikes so that they can be measured."""

    @property
    def px(self) -> float:
        """Number of picture pixels per pixel at an image size of 640."""
        return min(self.window.shape) / 640


class Imitation(NamedTuple):
    """The defect class that a look-alike imitates, and its surroundings."""

    against: str
    """Name of the defect class that the look-alike could be mistaken for."""
    context: str
    """The surroundings that show it is harmless: seam, row, band, ring, edge, print, glint, lamp, fold, grip;
    off: not on the part."""
    form: str = "mark"
    """mark: drawn with a defect's primitive; line: the line that marks lie on."""


@dataclass(frozen=True)
class Imprint:
    """The change that a look-alike made to the fields, kept so that it can be measured."""

    imitation: Imitation
    part: int | None
    """Number of the part; None is the ground."""
    window: Window
    before: Fields
    after: Fields


@dataclass
class Assembly:
    """A product in its tray, before lighting."""

    ground: Fields
    bounds: Window
    """The picture."""
    ground_colour: tuple[float, float, float] = (1.0, 1.0, 1.0)
    parts: list[Part] = field(default_factory=list)
    imprints: list[Imprint] | None = None
    """None if look-alikes are not measured."""

    @classmethod
    def empty(cls, draws: Draws, colour: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> Self:
        """Return an empty ground without parts."""
        return cls(Fields.empty(draws.window), draws.window, colour, imprints=[] if draws.measured else None)

    @contextmanager
    def editing(self, part: int | None, window: Window, imitation: Imitation | None) -> Iterator[Fields]:
        """Yield the fields in a window of a part (None: of the ground), for a look-alike to edit.

        `imitation` is None for dirt that resembles no defect; the edit is then not recorded.
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
        """Apply a look-alike's mark to a part, or to the ground (None), which divides its depth by `unit`."""
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
        """Draw a random place for a defect of class `name`, with a fixed number of draws per class."""
        ...
