"""The nine defect classes: product, side and frequency.

Names, order and instances: GF-FPN, Table 2. Sides are ours: the paper gives none.
"""

from dataclasses import dataclass

import numpy as np

LENS_BLEED = 1.7
"""Picture pixels by which the lens makes a visible box larger than the outline (measured)."""
SIDE_SPREAD = 0.35
"""Standard deviation of log(side) within a class."""


@dataclass(frozen=True)
class DefectClass:
    """One kind of defect."""

    name: str
    product: str
    side: float
    """Median of sqrt(width * height) of the visible box, pixels at an image size of 640."""
    bleed: float
    """Pixels at 640 by which a visible box is larger than the outline, for its flanks (measured)."""
    instances: int
    """Of Table 2; only the shares matter here."""


CLASSES = (
    DefectClass("xjf", "bottle", 20, 4.8, 134),
    DefectClass("xsf", "bottle", 34, -1.5, 119),
    DefectClass("xsd", "bottle", 28, 0.0, 172),
    DefectClass("xdf", "bottle", 14, -5.0, 76),
    DefectClass("gsf", "tube", 24, 2.0, 175),
    DefectClass("gkf", "tube", 8, 1.3, 254),
    DefectClass("gsp", "tube", 11, 0.8, 228),
    DefectClass("qp", "ball", 9, 0.8, 362),
    DefectClass("stf", "glove", 22, 2.5, 166),
)
CLASS_NAMES = tuple(c.name for c in CLASSES)
PRODUCTS = tuple(dict.fromkeys(c.product for c in CLASSES))


def _pick(shares: list[int], u: float) -> int:
    edges = np.cumsum(shares) / sum(shares)
    return int(np.searchsorted(edges, u, side="right").clip(max=len(shares) - 1))


def product_at(u: float) -> str:
    """The product at quantile u (0..1); an image shows one product, so products go by their instances."""
    return PRODUCTS[_pick([sum(c.instances for c in CLASSES if c.product == p) for p in PRODUCTS], u)]


def class_at(product: str, u: float) -> int:
    """Position in `CLASSES` of the product's defect class at quantile u (0..1)."""
    own = [k for k, c in enumerate(CLASSES) if c.product == product]
    return own[_pick([CLASSES[k].instances for k in own], u)]
