"""The nine defect classes: product, side, forms and frequency.

Names, order and instances are from GF-FPN, Table 2. Sides and forms are our own, as the paper gives none.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

LENS_BLEED = 1.7
"""Picture pixels by which the lens makes the visible box larger than the outline (measured)."""
SIDE_SPREAD = 0.35
"""Standard deviation of log(side) within a class."""


class Form(NamedTuple):
    """One of the forms that defects of a class take."""

    primitive: str
    share: float = 1.0
    """Share of the class's defects that take this form."""
    turn: float = 0.0
    """Middle of the range of directions, in half turns relative to the direction of the site."""
    spread: float = 1.0
    """Full width of the range of directions, in half turns."""


@dataclass(frozen=True)
class DefectClass:
    """A class of defects."""

    name: str
    product: str
    side: float
    """Median of sqrt(width * height) of the visible box, in pixels at an image size of 640."""
    bleed: float
    """Pixels at 640 by which the defect's flanks make the visible box larger than the outline (measured)."""
    instances: int
    """Number of instances in Table 2; only their ratios matter here."""
    forms: tuple[Form, ...]

    def form(self, u: float) -> Form:
        """Return the form at quantile `u` (0 to 1)."""
        return self.forms[_pick([form.share for form in self.forms], u)]


CLASSES = (
    DefectClass("xjf", "bottle", 20, 7.0, 134, (Form("crack"),)),
    DefectClass(
        "xsf",
        "bottle",
        34,
        -1.5,
        119,
        (Form("scratch", 0.5), Form("bubble", 0.3, 0.5, 0.1), Form("crack", 0.2)),
    ),
    DefectClass("xsd", "bottle", 28, 0.0, 172, (Form("stain"),)),
    DefectClass("xdf", "bottle", 14, -2.5, 76, (Form("crack", spread=0.25),)),
    DefectClass("gsf", "tube", 24, 5.0, 175, (Form("scratch"),)),
    DefectClass("gkf", "tube", 8, 1.3, 254, (Form("notch"),)),
    DefectClass("gsp", "tube", 11, -0.2, 228, (Form("pit"),)),
    DefectClass("qp", "ball", 9, -1.0, 362, (Form("pit"),)),
    DefectClass("stf", "glove", 22, 2.5, 166, (Form("hole", 0.4), Form("tear", 0.35), Form("thin", 0.25))),
)
CLASS_NAMES = tuple(c.name for c in CLASSES)
PRODUCTS = tuple(dict.fromkeys(c.product for c in CLASSES))


def _pick(shares: list[float], u: float) -> int:
    edges = np.cumsum(shares) / sum(shares)
    return int(np.searchsorted(edges, u, side="right").clip(max=len(shares) - 1))


def _weight(k: int, shares: str) -> float:
    return CLASSES[k].instances if shares == "paper" else 1.0


def product_at(u: float, shares: str = "paper") -> str:
    """Return the product at quantile `u` (0 to 1).

    An image shows a single product, so products are weighted by the instances of their classes.
    """
    weights = [
        sum(_weight(k, shares) for k, c in enumerate(CLASSES) if c.product == product) for product in PRODUCTS
    ]
    return PRODUCTS[_pick(weights, u)]


def class_at(product: str, u: float, shares: str = "paper") -> int:
    """Return the position in `CLASSES` of the product's defect class at quantile `u` (0 to 1)."""
    own = [k for k, c in enumerate(CLASSES) if c.product == product]
    return own[_pick([_weight(k, shares) for k in own], u)]
