"""From radiance to grey levels: lens blur, shot and read noise, 8 bit."""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.ndimage import correlate1d

from gffpn.data.simulator.shapes import Array

READ_NOISE = 0.9
"""Grey levels."""
SHOT_GAIN = 0.010
"""Variance in grey levels squared per grey level."""


def blur(radiance: Array, sigma: float) -> Array:
    """Lens blur of (3, h, w) by a Gaussian of sigma pixels; mirrored at the border."""
    if sigma <= 0:
        return radiance
    reach = max(1, int(3.0 * sigma + 0.5))
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    taps /= taps.sum()
    once = correlate1d(radiance, taps, axis=1, mode="reflect")
    blurred: Array = correlate1d(once, taps, axis=2, mode="reflect")
    return blurred


def reach(sigma: float) -> int:
    """Pixels that the blur carries light."""
    return max(1, int(3.0 * sigma + 0.5)) + 1


def grey(radiance: Array) -> Array:
    """Noise-free grey levels 0..255 of a linear camera that saturates."""
    levels: Array = np.clip(radiance * 255.0, 0.0, 255.0)
    return levels


def noise_sigma(levels: Array, noise: float) -> Array:
    """Standard deviation of the noise, in grey levels."""
    sigma = levels * (SHOT_GAIN * noise * noise)
    sigma += (READ_NOISE * noise) ** 2
    np.sqrt(sigma, out=sigma)
    return sigma


def expose(levels: Array, noise: float, rng: Generator) -> NDArray[np.uint8]:
    """(3, h, w) noise-free grey levels to an (h, w, 3) picture."""
    noisy = rng.standard_normal(levels.shape, dtype=np.float32)
    noisy *= noise_sigma(levels, noise)
    noisy += levels
    noisy += 0.5
    np.clip(noisy, 0.0, 255.0, out=noisy)
    return np.stack(list(noisy.astype(np.uint8)), axis=-1)
