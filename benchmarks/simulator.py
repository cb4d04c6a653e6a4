"""Rendering time per image: `OMP_NUM_THREADS=1 python -m benchmarks.simulator [ROUNDS] [PRESET]`.

Prints milliseconds per image on one core, for each product and averaged over the products by their shares,
without and with PNG encoding. Every round draws the same scenes once, so that a busy moment of the machine
affects all of them; the time of a scene is the median over the rounds.
"""

import io
import sys
from itertools import count, islice
from time import perf_counter

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tinyindus.classes import CLASSES, PRODUCTS
from tinyindus.dials import Dials, preset
from tinyindus.scene import product_of, render
from tinyindus.write import PNG

SIDES = (320, 640)
SCENES = 10
"""Number of scenes per product."""


def scenes_of(product: str, dials: Dials) -> list[int]:
    """Return the numbers of the first `SCENES` scenes of the training split that show a product."""
    own = (i for i in count() if product_of(0, "train", i, dials.class_shares) == product)
    return list(islice(own, SCENES))


def time_scenes(product: str, side: int, dials: Dials) -> NDArray[np.float64]:
    """Return the milliseconds of one round (SCENES, 2): drawing, and drawing plus PNG encoding."""
    times = []
    for i in scenes_of(product, dials):
        start = perf_counter()
        picture = render(i, "train", dials, (side, side), 0)
        drawn = perf_counter()
        Image.fromarray(picture.pixels).save(io.BytesIO(), "PNG", **PNG)
        times.append((1e3 * (drawn - start), 1e3 * (perf_counter() - start)))
    return np.array(times)


def main(rounds: int, name: str) -> None:
    """Time all products and sides, and print a table."""
    dials = preset(name)
    cells = [(side, product) for side in SIDES for product in PRODUCTS]
    for side, product in cells:
        render(scenes_of(product, dials)[0], "train", dials, (side, side), 0)  # warm up
    taken = [[time_scenes(product, side, dials) for side, product in cells] for _ in range(rounds)]
    means = dict(zip(cells, np.median(np.array(taken), axis=0).mean(axis=1), strict=True))
    weight = {p: sum(c.instances for c in CLASSES if c.product == p) for p in PRODUCTS}
    if dials.class_shares == "equal":
        weight = {p: sum(c.product == p for c in CLASSES) for p in PRODUCTS}
    print(f"ms per image, preset {name}, medians of {rounds} rounds over {SCENES} scenes per product")
    for side in SIDES:
        of_all = sum(weight[p] * means[side, p] for p in PRODUCTS) / sum(weight.values())
        for product, (drawn, packed) in [*((p, means[side, p]) for p in PRODUCTS), ("in all", of_all)]:
            print(f"{side:5d} px  {product:8s} {drawn:6.1f}  with PNG {packed:6.1f}")


if __name__ == "__main__":
    arguments = [*sys.argv[1:], *("5", "paper")[len(sys.argv) - 1 :]]
    main(int(arguments[0]), arguments[1])
