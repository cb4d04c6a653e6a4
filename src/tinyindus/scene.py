"""One picture of the simulated TinyIndus, from its seed to its pixels and its ground truth.

SIMULATED. The paper's TinyIndus is private; this stands in for it and shares with it only the four
products, the nine classes and their shares (Table 2). No figure measured on it can be compared with the
paper's.

Order of events: fields of matter -> look-alikes and defects edit the fields -> light -> lens blur -> shot
and read noise -> 8 bit. Nothing is drawn after the lens, so a detector finds no seam between a defect and
its surroundings.

Truth is measured, not declared: a defect's box bounds the pixels where the picture with it and the picture
without it differ by more than `truth.THRESHOLD` grey levels after the lens and before noise. A defect that
no pixel shows is no truth. Defects are added one after another, and each is measured on top of the earlier
ones; what a picture's border cuts off, or another part hides, is not in the box.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from tinyindus import camera
from tinyindus.canvas import Canvas
from tinyindus.classes import CLASSES, PRODUCTS, class_at, product_at
from tinyindus.dials import Dials
from tinyindus.fields import Window
from tinyindus.light import draw_light
from tinyindus.lookalikes import Pattern
from tinyindus.looks import draw_look
from tinyindus.marks import Mark
from tinyindus.parts import Draws, Product
from tinyindus.products.ball import Balls
from tinyindus.products.bottle import Bottles
from tinyindus.products.glove import Glove
from tinyindus.products.tube import Tubes
from tinyindus.shapes import Array
from tinyindus.streams import Stream, generator, quantile
from tinyindus.truth import Lookalike, Truth, add_and_measure, measure_lookalike

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
    lookalikes: tuple[Lookalike, ...] = ()
    """Empty unless they were asked for."""


def product_of(seed: int, split: str, i: int, shares: str = "paper") -> str:
    """The product that picture i shows."""
    return product_at(quantile(seed, split, i, 0.6180339887), shares)


def planned_labels(seed: int, split: str, i: int, dials: Dials) -> list[int]:
    """Classes of the defects that picture i is meant to have (those that turn out invisible are dropped)."""
    low, high = dials.defects_per_image
    count = low + int(generator(seed, split, i, Stream.LAYOUT).random() * (high - low + 1))
    if quantile(seed, split, i, 0.6457513111) < dials.empty_share:
        return []
    product = product_of(seed, split, i, dials.class_shares)
    first = quantile(seed, split, i, 0.4142135624)
    return [class_at(product, (first + j * 0.7320508076) % 1.0, dials.class_shares) for j in range(count)]


def _defect(
    product: Product, label: int, dials: Dials, px: float, rng: Generator, taken: list[tuple[float, float]]
) -> tuple[int, Mark]:
    """The part and the mark of one defect."""
    sites = [product.site(CLASSES[label].name, rng) for _ in range(CANDIDATES)]
    look = draw_look(label, dials, px, rng)
    clearance = [min((np.hypot(s.x - x, s.y - y) for x, y in taken), default=np.inf) for s in sites]
    site = sites[int(np.argmax(np.minimum(clearance, 60 * px)))]
    return site.part, look.at(site.x, site.y, site.turn)


def _draws(
    i: int, split: str, dials: Dials, image_size: tuple[int, int], seed: int, imitated: Dials, measured: bool
) -> Draws:
    """The generators of one scene; its light is drawn."""
    nuisance = generator(seed, split, i, Stream.NUISANCE)

    def lookalike(pattern: int) -> tuple[Generator, Generator]:
        own, looks = (generator(seed, split, i, Stream.LOOKALIKE, 2 * pattern + k) for k in range(2))
        return own, looks

    low, high = dials.match_range
    return Draws(
        window=Window(0, 0, *image_size),
        light=draw_light(nuisance, dials),
        dials=dials,
        product=generator(seed, split, i, Stream.PRODUCT),
        nuisance=nuisance,
        lookalike=lookalike,
        imitated=imitated,
        match=low + (high - low) * float(lookalike(Pattern.MATCH)[0].random()),
        measured=measured,
    )


def render(
    i: int,
    split: str,
    dials: Dials,
    image_size: tuple[int, int],
    seed: int,
    *,
    with_defects: bool = True,
    measure_lookalikes: bool = False,
    imitated: Dials | None = None,
    product: str | None = None,
) -> Picture:
    """Picture i of a split; without defects it is the twin: equal but for them, noise included.

    `measure_lookalikes` takes time, fills `Picture.lookalikes` and changes no pixel. `imitated` are the dials
    of the defects that look-alikes come to look like, as far as they match (None: `dials`). `product` shows
    another product than the plan's, for galleries.
    """
    name = product or product_of(seed, split, i, dials.class_shares)
    draws = _draws(i, split, dials, image_size, seed, imitated or dials, measure_lookalikes)
    focus = LENS_SIGMA * float(draws.nuisance.uniform(0.85, 1.35))
    scene = _BUILDERS[name](draws)
    canvas = Canvas.paint(scene.assembly, draws.light, draws.nuisance)
    sigma = dials.blur * focus * max(draws.px, 0.55)
    lens = camera.blur(canvas.radiance, sigma)
    found = [
        measure_lookalike(lens, imprint.window, canvas.change(imprint), sigma, imprint.imitation)
        for imprint in scene.assembly.imprints or []
    ]
    truths: list[Truth] = []
    if with_defects:
        labels = planned_labels(seed, split, i, dials)
        if product is not None:
            labels = [class_at(name, k / 4.0) for k in range(4)]
        stream = partial(generator, seed, split, i, Stream.DEFECT)
        truths = _add_defects(scene, canvas, lens, labels, stream, dials, sigma)
    levels = camera.grey(lens)
    pixels = camera.expose(levels, dials.noise, generator(seed, split, i, Stream.NOISE))
    seen = tuple(lookalike for lookalike in found if lookalike is not None)
    return Picture(pixels, levels, tuple(truths), name, f"{split}-{i:06d}", seen)


def _add_defects(
    scene: Product,
    canvas: Canvas,
    lens: Array,
    labels: list[int],
    stream: Callable[[int], Generator],
    dials: Dials,
    sigma: float,
) -> list[Truth]:
    """Add defects to the picture behind the lens, in place, and give those that can be seen."""
    truths: list[Truth] = []
    taken: list[tuple[float, float]] = []
    px = min(lens.shape[1:]) / 640
    for number, label in enumerate(labels):
        part, mark = _defect(scene, label, dials, px, stream(number), taken)
        taken.append((mark.x, mark.y))
        changed, change = canvas.mark(part, mark)
        truth = add_and_measure(lens, changed, change, sigma, dials.noise, label, number)
        if truth is not None:
            truths.append(truth)
    return truths


assert set(_BUILDERS) == set(PRODUCTS)
