"""From fields to radiance: a backlight seen through matter, mirrored lamps and diffuse reflection.

This models appearance, not optics. A slope of the thickness deflects light by (index - 1) * slope; light that
is deflected out of the backlight's aperture is lost, so the silhouettes and wall edges of glass become dark
without being drawn. A surface mirrors a lamp where its normal meets the lamp's direction.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from tinyindus.dials import Dials
from tinyindus.fields import Fields, Window
from tinyindus.shapes import Array
from tinyindus.texture import clouds

STRAY = 0.17
"""Share of the backlight that reaches the camera from outside the aperture, via the surroundings."""
PENUMBRA = 0.5
"""Softness of the aperture's edge: strongly deflected light fades with the slope, not at once."""
SURROUNDINGS = 0.40
"""Radiance that glass mirrors at grazing angles, relative to the level: the pale rim of a silhouette."""


@dataclass(frozen=True)
class Material:
    """Optical properties of a part."""

    absorption: tuple[float, float, float]
    """Optical density per unit of thickness for red, green and blue."""
    colour: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Colour of diffuse reflection."""
    index: float = 1.5
    aperture: float = 0.55
    """Deflection at which half of the backlight is lost; large for wide backlights and thin walls."""
    gloss: float = 1.0
    """Strength of the mirrored lamps."""
    clear: float = 1.0
    """Share of the backlight that the material transmits."""


@dataclass(frozen=True)
class Lamp:
    """A rectangular lamp, given by the surface normals (x, y) that mirror it to the camera."""

    x: float
    y: float
    radial: float
    """Half width in the radial direction, in units of the normal."""
    tangential: float
    """Half width across the radial direction, in units of the normal."""
    power: float


@dataclass(frozen=True)
class Light:
    """The lighting of one picture."""

    level: float
    """Radiance of the backlight or of a white tray; 1 saturates the camera."""
    colour: tuple[float, float, float]
    x: float
    y: float
    """(x, y) is a unit vector in the picture plane that points towards the key light."""
    gradient_x: float
    gradient_y: float
    """Relative change of the level from one side of the picture to the other."""
    skew: float
    """Unevenness of the backlight as deflected rays see it: gives pits a bright and a dark side."""
    ambient: float
    lamps: tuple[Lamp, ...]


def draw_light(rng: Generator, dials: Dials) -> Light:
    """Draw a light at random around the nominal one; `dials.light_variation` scales the deviations."""
    stray = dials.light_variation
    azimuth = -2.1 + min(stray, 1.0) * rng.uniform(-np.pi, np.pi)
    level = 0.70 * float(np.exp(stray * rng.uniform(-0.28, 0.14)))
    slope, slope_way = stray * rng.uniform(0.0, 0.35), rng.uniform(-np.pi, np.pi)
    warm = stray * rng.uniform(-0.035, 0.035)
    lamps = []
    for turn, power in ((0.0, 0.55), (rng.uniform(1.5, 2.3), 0.28)):
        way, far = azimuth + turn, rng.uniform(0.45, 0.62)
        across, along = rng.uniform(0.035, 0.08), rng.uniform(0.30, 0.48)
        brightness = power * float(np.exp(stray * rng.uniform(-0.4, 0.4)))
        lamps.append(Lamp(float(far * np.cos(way)), float(far * np.sin(way)), across, along, brightness))
    return Light(
        level=level,
        colour=(1.0 + warm, 1.0, 1.0 - warm),
        x=float(np.cos(azimuth)),
        y=float(np.sin(azimuth)),
        gradient_x=float(slope * np.cos(slope_way)),
        gradient_y=float(slope * np.sin(slope_way)),
        skew=0.55,
        ambient=rng.uniform(0.30, 0.45),
        lamps=tuple(lamps),
    )


def _mirrored(light: Light, nx: Array, ny: Array) -> Array:
    """Return the radiance of the lamps mirrored in a surface with normals nx, ny: a soft, bent bar each."""
    total = np.zeros(nx.shape, np.float32)
    for lamp in light.lamps:
        norm = float(np.hypot(lamp.x, lamp.y))
        ux, uy = lamp.x / norm, lamp.y / norm
        across = ny * ux - nx * uy
        radial = nx * ux + ny * uy - norm
        across *= across
        radial += across * (0.3 / norm)  # on a ball, the lamp's image is bent like the outline
        radial *= 1.0 / lamp.radial
        radial *= radial
        across *= 1.0 / lamp.tangential**2
        across *= across
        total += lamp.power / ((1.0 + radial * radial) * (1.0 + across * across))
    return total


def _bend(thickness: Array, scale: float) -> tuple[Array, Array, Array]:
    """Return the slopes along x and y, and the squared slope.

    The squared slope is the mean of the squares on both sides of a pixel. At a crease, such as the inner wall
    of a tube seen edge-on, the slopes of the two sides cancel in their mean, but both deflect light.
    """
    across, down = np.diff(thickness, axis=1) * scale, np.diff(thickness, axis=0) * scale
    sx, sy, square = np.zeros_like(thickness), np.zeros_like(thickness), np.zeros_like(thickness)
    np.add(across[:, 1:], across[:, :-1], out=sx[:, 1:-1])
    np.add(down[1:], down[:-1], out=sy[1:-1])
    sx *= 0.5
    sy *= 0.5
    across *= across
    down *= down
    square[:, 1:-1] += across[:, 1:]
    square[:, 1:-1] += across[:, :-1]
    square[1:-1] += down[1:]
    square[1:-1] += down[:-1]
    square *= 0.5
    return sx, sy, square


def _slopes(field: Array, unit: float) -> tuple[Array, Array]:
    """Return the slopes along x and y of a field of heights in units of `unit` pixels."""
    sx, sy = np.zeros_like(field), np.zeros_like(field)
    if field.shape[1] > 2:
        np.subtract(field[:, 2:], field[:, :-2], out=sx[:, 1:-1])
    if field.shape[0] > 2:
        np.subtract(field[2:], field[:-2], out=sy[1:-1])
    sx *= 0.5 * unit
    sy *= 0.5 * unit
    return sx, sy


def shade_part(fields: Fields, unit: float, material: Material, light: Light, behind: Array) -> Array:
    """Return the radiance (3, h, w) of a part in front of `behind` (3, h, w), not yet mixed by its cover."""
    bx, by, bend = _bend(fields.thickness, unit * (material.index - 1.0) / material.aperture)
    bx *= light.skew * light.x
    by *= light.skew * light.y
    bx += by
    through = 1.0 + bx / (1.0 + bend)
    through *= STRAY + (1.0 - STRAY) / (1.0 + bend * bend / (1.0 + PENUMBRA * bend))
    zx, zy = _slopes(fields.height, unit)
    facing = 1.0 / np.sqrt(1.0 + zx * zx + zy * zy)
    grazing = 1.0 - facing
    fresnel = 0.04 + 0.96 * grazing * grazing * grazing * grazing
    zx *= -facing
    zy *= -facing
    clean = np.exp(-fields.density)
    through *= (1.0 - fresnel) * clean * material.clear
    front = (_mirrored(light, zx, zy) + (SURROUNDINGS * light.level) * fresnel) * material.gloss
    front *= clean * clean  # dirt and rough fractures mirror less
    lit = np.maximum(zx * (0.8 * light.x) + zy * (0.8 * light.y) + 0.6 * facing, 0.0)
    lit *= 1.0 - light.ambient
    lit += light.ambient
    diffuse = fields.albedo * lit * clean * (1.45 * light.level)
    out = np.empty_like(behind)
    for c in range(3):
        out[c] = behind[c] * through
        if material.absorption[c] > 0:
            out[c] *= np.exp(fields.thickness * -material.absorption[c])
        out[c] += diffuse * material.colour[c]
        out[c] += front
    return out


def composite(fields: Fields, unit: float, material: Material, light: Light, behind: Array) -> Array:
    """Composite a part over the radiance `behind` (3, h, w), weighted by its cover."""
    out = shade_part(fields, unit, material, light, behind)
    out -= behind
    out *= fields.cover
    out += behind
    return out


def ground_level(shape: tuple[int, int], light: Light, rng: Generator) -> Array:
    """Return the relative brightness (H, W) of an unmarked tray or backlight."""
    height, width = shape
    x, y = Window(0, 0, height, width).centres()
    level = light.gradient_x * (x / width - 0.5) + light.gradient_y * (y / height - 0.5) + 1.0
    level += 0.02 * clouds(rng, shape, (3, 3))
    return level


def shade_ground(ground: Fields, even: Array, colour: tuple[float, float, float], light: Light) -> Array:
    """Return the radiance (3, h, w) of the ground; `even` (h, w) is its level where it is unmarked."""
    sx, sy = _slopes(ground.height, 1.0)
    level = even + sx * -light.x
    level += sy * -light.y
    level *= np.exp(-ground.density)
    level *= light.level
    level += ground.albedo * light.level
    return np.stack([level * (colour[c] * light.colour[c]) for c in range(3)])
