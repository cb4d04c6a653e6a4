"""Do the simulated parts and marks look like glass, and not like a drawing with black outlines?"""

import numpy as np
import pytest

from tinyindus import camera, shapes
from tinyindus.canvas import Canvas
from tinyindus.dials import Dials, preset
from tinyindus.fields import Fields, Pose, Window
from tinyindus.light import Material, draw_light
from tinyindus.marks import NOMINAL, SHAPE_DRAWS, Mark
from tinyindus.parts import Assembly, Part
from tinyindus.products import pipe, vial
from tinyindus.products.pipe import Pipe
from tinyindus.products.vial import TABLE_STEP, Vial
from tinyindus.scene import render

BOUNDS = Window(0, 0, 96, 96)


def test_a_half_chord_is_exact_inside_and_fades_out_at_its_end() -> None:
    square = np.array([0.36, 0.0, -1.0], np.float32)
    # (0.36 + 0.36) / 2 = 0.6^2; at the end, sqrt(0.5 * 2 * 0.01); beyond it, about 0.01 / sqrt(1)
    assert shapes.half_chord(square, 1e-6)[0] == pytest.approx(0.6)
    assert shapes.half_chord(square, 0.01)[1:] == pytest.approx([0.1, 0.01], rel=1e-3)


@pytest.mark.parametrize("seed", range(5))
def test_unmarked_glass_is_nowhere_thinner_than_nothing(seed: int) -> None:
    """A mark of strength 0 clips the thickness at 0; if glass were thinner, this would show the mark."""
    pose = Pose(48.0, 6.0, 0.1, 20.0)
    assert vial.glass(BOUNDS, pose, Vial(np.random.default_rng(seed))).thickness.min() >= 0
    assert pipe.glass(BOUNDS, pose, Pipe(0.10 + 0.03 * seed, 0.25, 3.0)).thickness.min() >= 0


@pytest.mark.parametrize("seed", range(5))
def test_the_shoulder_of_a_bottle_has_no_kink(seed: int) -> None:
    bottle = Vial(np.random.default_rng(seed))
    first, last = ((y + vial.ABOVE) / TABLE_STEP for y in (bottle.neck_to - 0.2, bottle.shoulder_to + 0.3))
    piece = 0.06  # a twentieth of the neck, about 2 pixels at an image size of 224
    radii = bottle.outer[int(first) : int(last) : round(piece / TABLE_STEP)].astype(float)
    directions = np.degrees(np.arctan(np.diff(radii) / piece))
    assert np.abs(np.diff(directions)).max() < 30


@pytest.mark.parametrize("product", ["bottle", "tube", "ball"])
def test_the_rim_of_glass_is_dark_but_not_black(product: str) -> None:
    for i in (0, 1):
        size = (160, 160)
        bare = render(i, "train", preset("demo"), size, 0, product=product, with_defects=False)
        darkest, backlight = np.percentile(bare.levels[1], [1, 90])
        assert 0.12 < darkest / backlight < 0.7


@pytest.mark.parametrize("primitive", ["pit", "bubble", "notch"])
def test_a_gross_mark_is_shaded_and_not_outlined_in_black(primitive: str) -> None:
    plate = Fields.empty(BOUNDS)
    plate.cover += 1.0
    plate.thickness += 2.0
    clear = Material((0.0, 0.0, 0.0), aperture=0.95, gloss=0.75)
    part = Part(BOUNDS, Pose(0.0, 0.0, 0.0, 40.0), clear, plate)
    light = draw_light(np.random.default_rng(0), Dials(light_variation=0.0))
    assembly = Assembly(Fields.empty(BOUNDS), BOUNDS, parts=[part])
    canvas = Canvas.paint(assembly, light, np.random.default_rng(0))
    level = np.median(canvas.radiance[1])
    contrast = preset("demo").contrast
    mark = Mark(primitive, 48.0, 48.0, 36.0, 0.3, contrast * NOMINAL, np.full(SHAPE_DRAWS, 0.5))
    window, change = canvas.mark(0, mark)
    canvas.radiance[(slice(None), *window.slices())] += change
    seen = camera.blur(canvas.radiance, 0.5)[1] / level
    assert (seen < 0.4).sum() < 0.2 * (np.abs(seen - 1.0) > 0.02).sum()
