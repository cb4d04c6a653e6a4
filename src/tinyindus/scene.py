"""One picture of the simulated TinyIndus, from its seed to its pixels and its ground truth.

SIMULATED. The paper's TinyIndus is private. This stand-in shares with it only the four products, the nine
classes and their shares (Table 2). No figure measured on it can be compared with the paper's.

Order of rendering: fields of matter -> look-alikes and defects edit the fields -> light -> lens blur -> shot
and read noise -> 8 bit. Nothing is drawn after the lens, so there is no seam between a defect and its
surroundings that a detector could find.

The ground truth is measured, not declared. A defect's box bounds the pixels where the pictures with and
without the defect differ by more than `truth.THRESHOLD` grey levels, after the lens and before the noise. A
defect that no pixel shows is not part of the truth. Defects are added one after another, and each is measured
on top of the earlier ones. The box does not include what the picture's border cuts off or another part hides.
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
"""Standard deviation of the blur in pixels at an image size of 640, at blur 1 and in focus."""
CANDIDATES = 6
"""Number of places drawn for each defect; the one farthest from the earlier defects is used."""

_BUILDERS: dict[str, Callable[[Draws], Product]] = {
    "bottle": Bottles,
    "tube": Tubes,
    "ball": Balls,
    "glove": Glove,
}


@dataclass(frozen=True)
class Picture:
    """A rendered scene and its ground truth."""

    pixels: NDArray[np.uint8]
    """(H, W, 3)."""
    levels: Array
    """(3, H, W) grey levels before noise."""
    truths: tuple[Truth, ...]
    product: str
    group: str
    """Name of the scene; pictures of the same scene (twins) share it."""
    lookalikes: tuple[Lookalike, ...] = ()
    """Empty unless `render` was called with `measure_lookalikes`."""


def product_of(seed: int, split: str, i: int, shares: str = "paper") -> str:
    """Return the product that picture i shows."""
    return product_at(quantile(seed, split, i, 0.6180339887), shares)


def planned_labels(seed: int, split: str, i: int, dials: Dials) -> list[int]:
    """Return the classes of the defects planned for picture i, of which `render` drops the invisible ones."""
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
    """Draw one defect, given the places `taken` by earlier ones, and return its part and mark."""
    sites = [product.site(CLASSES[label].name, rng) for _ in range(CANDIDATES)]
    look = draw_look(label, dials, px, rng)
    clearance = [min((np.hypot(s.x - x, s.y - y) for x, y in taken), default=np.inf) for s in sites]
    site = sites[int(np.argmax(np.minimum(clearance, 60 * px)))]
    return site.part, look.at(site.x, site.y, site.turn)


def _draws(
    i: int, split: str, dials: Dials, image_size: tuple[int, int], seed: int, imitated: Dials, measured: bool
) -> Draws:
    """Create the generators of one scene and draw its light."""
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
    """Render picture i of a split; without defects, its twin, which is otherwise identical, noise included.

    `measure_lookalikes` takes time, fills `Picture.lookalikes` and changes no pixel. `imitated` are the dials
    of the defects that the look-alikes imitate to the degree `match` (None: `dials`). `product` replaces the
    planned product, for galleries.
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
    """Add defects to the picture behind the lens, in place, and return those that are visible."""
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
