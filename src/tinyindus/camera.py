"""The camera: from radiance to 8-bit grey levels through lens blur, shot noise and read noise."""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from tinyindus.shapes import Array

READ_NOISE = 0.9
"""Standard deviation of the read noise, grey levels."""
SHOT_GAIN = 0.010
"""Variance of the shot noise, squared grey levels per grey level."""


def blur(radiance: Array, sigma: float) -> Array:
    """Blur a radiance (3, h, w) by a Gaussian of `sigma` pixels, mirrored at the border."""
    if sigma <= 0:
        return radiance
    far = _reach(sigma)
    taps = np.exp(-0.5 * (np.arange(far + 1) / sigma) ** 2)
    taps /= 2 * taps.sum() - taps[0]
    height, width = radiance.shape[1:]
    blurred: Array = np.empty_like(radiance)
    once, spare = np.empty((2, height, width + 2 * far), np.float32)
    for channel, out in zip(radiance, blurred, strict=True):
        padded = np.pad(channel, far, mode="symmetric")
        _blur_columns(padded, taps.tolist(), once, spare)
        _blur_columns(once.T, taps.tolist(), out.T, spare[:, :width].T)
    return blurred


def _blur_columns(padded: Array, taps: list[float], out: Array, spare: Array) -> None:
    """Convolve along the first axis with in-place sums, in a quarter of the time of scipy's correlate1d."""
    far, size = len(taps) - 1, len(out)
    np.multiply(padded[far : far + size], taps[0], out=out)
    for k in range(1, far + 1):
        np.add(padded[far - k : far - k + size], padded[far + k : far + k + size], out=spare)
        spare *= taps[k]
        out += spare


def _reach(sigma: float) -> int:
    return max(1, int(3.0 * sigma + 0.5))


def reach(sigma: float) -> int:
    """Return how far the blur spreads light, in pixels."""
    return _reach(sigma) + 1


def grey(radiance: Array) -> Array:
    """Return the noise-free grey levels, 0 to 255, of a linear camera that saturates."""
    return np.clip(radiance * 255.0, 0.0, 255.0)


def noise_sigma(levels: Array, noise: float) -> Array:
    """Return the standard deviation of the noise at the given levels, in grey levels."""
    sigma = levels * (SHOT_GAIN * noise * noise)
    sigma += (READ_NOISE * noise) ** 2
    np.sqrt(sigma, out=sigma)
    return sigma


def expose(levels: Array, noise: float, rng: Generator) -> NDArray[np.uint8]:
    """Add noise to noise-free grey levels (3, h, w) and return an 8-bit picture (h, w, 3)."""
    pixels = np.empty((*levels.shape[1:], 3), np.uint8)
    noisy = np.empty(levels.shape[1:], np.float32)
    for c, channel in enumerate(levels):
        rng.standard_normal(dtype=np.float32, out=noisy)
        noisy *= noise_sigma(channel, noise)
        noisy += channel
        noisy += 0.5
        np.clip(noisy, 0.0, 255.0, out=noisy)
        pixels[..., c] = noisy
    return pixels
