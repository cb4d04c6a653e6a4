"""One picture of the simulated TinyIndus, from its seed to its pixels and its ground truth.

SIMULATED. The paper's TinyIndus is private; this stands in for it and shares with it only the four
products, the nine classes and their shares (Table 2). No figure measured on it can be compared with the
paper's.

Order of events: fields of matter -> look-alikes and defects edit the fields -> light -> lens blur -> shot
and read noise -> 8 bit. Nothing is drawn after the lens, so a detector finds no seam between a defect and
its surroundings.

Truth is measured, not declared: a defect's box bounds the pixels where the picture with it and the picture
without it differ by more than `truth.THRESHOLD` grey levels after the lens and before noise. A defect that
no pixel shows is no truth.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from gffpn.data.simulator import camera
from gffpn.data.simulator.classes import CLASSES, LENS_BLEED, PRODUCTS, SIDE_SPREAD, class_at, product_at
from gffpn.data.simulator.dials import Dials
from gffpn.data.simulator.fields import Window
from gffpn.data.simulator.light import Light, composite, draw_light, shade_ground
from gffpn.data.simulator.marks import NOMINAL, SHAPE_DRAWS, Mark, apply
from gffpn.data.simulator.parts import Draws, Part, Product
from gffpn.data.simulator.products.ball import Balls
from gffpn.data.simulator.products.bottle import Bottles
from gffpn.data.simulator.products.glove import Glove
from gffpn.data.simulator.products.tube import Tubes
from gffpn.data.simulator.shapes import Array
from gffpn.data.simulator.streams import Stream, generator, quantile
from gffpn.data.simulator.truth import Truth, add_and_measure

LENS_SIGMA = 0.85
"""Pixels at an image size of 640, at blur 1 and in focus."""
CANDIDATES = 6
"""Places drawn for each defect; the one farthest from the earlier defects is taken."""

_BUILDERS: dict[str, Callable[[Draws], Product]] = {
    "bottle": Bottles,
    "tube": Tubes,
    "ball": Balls,
    "glove": Glove,
}


@dataclass(frozen=True)
class Picture:
    """A rendered scene and what is true of it."""

    pixels: NDArray[np.uint8]
    """(H, W, 3)."""
    levels: Array
    """(3, H, W) grey levels before noise."""
    truths: tuple[Truth, ...]
    product: str
    group: str
    """Pictures of one scene (twins) share it."""


def product_of(seed: int, split: str, i: int) -> str:
    """The product that picture i shows."""
    return product_at(quantile(seed, split, i, 0.6180339887))


def planned_labels(seed: int, split: str, i: int, dials: Dials) -> list[int]:
    """Classes of the defects that picture i is meant to have (those that turn out invisible are dropped)."""
    low, high = dials.defects_per_image
    count = low + int(generator(seed, split, i, Stream.LAYOUT).random() * (high - low + 1))
    if quantile(seed, split, i, 0.6457513111) < dials.empty_share:
        return []
    product = product_of(seed, split, i)
    first = quantile(seed, split, i, 0.4142135624)
    return [class_at(product, (first + j * 0.7320508076) % 1.0) for j in range(count)]


def _defect(
    product: Product,
    label: int,
    dials: Dials,
    scale: float,
    rng: np.random.Generator,
    taken: list[tuple[float, float]],
) -> tuple[int, Mark]:
    """The part and the mark of one defect; side and contrast enter after every draw."""
    kind = CLASSES[label]
    sites = [product.site(kind.name, rng) for _ in range(CANDIDATES)]
    u, wander = float(rng.random()), float(rng.random())
    shape = rng.random(SHAPE_DRAWS)
    clearance = [min((np.hypot(s.x - x, s.y - y) for x, y in taken), default=np.inf) for s in sites]
    site = sites[int(np.argmax(np.minimum(clearance, 60 * scale)))]
    if dials.side_range is None:
        side = kind.side * float(np.exp(SIDE_SPREAD * ndtri(min(max(u, 1e-3), 1 - 1e-3))))
    else:
        low, high = dials.side_range
        side = low * (high / low) ** u
    side *= dials.side_scale
    strength = NOMINAL * dials.contrast * (0.75 + 0.5 * wander)
    if dials.size_mode == "energy":
        strength *= kind.side / side
    outline = max((side - kind.bleed) * scale - LENS_BLEED, 0.45 * side * scale)
    return site.part, Mark(site.primitive, site.x, site.y, outline, site.turn, strength, shape)


@dataclass
class _Canvas:
    """Radiance before the lens, and what each part was laid over."""

    radiance: Array
    behind: list[Array]


def _paint(product: Product, light: Light, rng: np.random.Generator) -> _Canvas:
    assembly = product.assembly
    radiance = shade_ground(assembly.ground, assembly.ground_colour, light, rng)
    behind = []
    for part in assembly.parts:
        window = (slice(None), *part.window.slices())
        behind.append(radiance[window].copy())
        radiance[window] = composite(part.fields, part.pose.unit, part.material, light, behind[-1])
    return _Canvas(radiance, behind)


def _change(part: Part, behind: Array, mark: Mark, light: Light) -> tuple[Window, Array]:
    """Edit the part's fields, and give the window that changed and by how much (3, h, w), before the lens."""
    window = mark.window(part.window)
    slices = window.slices(part.window)
    fields, below = part.fields.view(slices), behind[(slice(None), *slices)]
    before = composite(fields, part.pose.unit, part.material, light, below)
    apply(fields, window, mark, part.pose.unit)
    return window, composite(fields, part.pose.unit, part.material, light, below) - before


def render(
    i: int,
    split: str,
    dials: Dials,
    image_size: tuple[int, int],
    seed: int,
    *,
    with_defects: bool = True,
    product: str | None = None,
) -> Picture:
    """Picture i of a split; without defects it is the twin: equal but for them, noise included.

    `product` shows another product than the plan's, for galleries.
    """
    name = product or product_of(seed, split, i)
    nuisance = generator(seed, split, i, Stream.NUISANCE)
    light = draw_light(nuisance, dials)
    focus = LENS_SIGMA * float(nuisance.uniform(0.85, 1.35))
    draws = Draws(
        window=Window(0, 0, *image_size),
        light=light,
        dials=dials,
        product=generator(seed, split, i, Stream.PRODUCT),
        nuisance=nuisance,
        lookalike=generator(seed, split, i, Stream.LOOKALIKE),
    )
    scene = _BUILDERS[name](draws)
    canvas = _paint(scene, light, nuisance)
    sigma = dials.blur * focus * max(draws.px, 0.55)
    lens = camera.blur(canvas.radiance, sigma)
    truths: list[Truth] = []
    if with_defects:
        labels = planned_labels(seed, split, i, dials)
        if product is not None:
            labels = [class_at(name, k / 4.0) for k in range(4)]
        taken: list[tuple[float, float]] = []
        for j, label in enumerate(labels):
            rng = generator(seed, split, i, Stream.DEFECT, j)
            part, mark = _defect(scene, label, dials, draws.px, rng, taken)
            taken.append((mark.x, mark.y))
            changed, change = _change(scene.assembly.parts[part], canvas.behind[part], mark, light)
            truth = add_and_measure(lens, changed, change, sigma, dials.noise, label)
            if truth is not None:
                truths.append(truth)
    levels = camera.grey(lens)
    pixels = camera.expose(levels, dials.noise, generator(seed, split, i, Stream.NOISE))
    return Picture(pixels, levels, tuple(truths), name, f"{split}-{i:06d}")


assert set(_BUILDERS) == set(PRODUCTS)
