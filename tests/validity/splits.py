"""Validity test 6: no two splits share a scene or a near-duplicate of one.

Two pictures are near-duplicates if their gradient hashes differ in at most HASH_BITS of 240 bits *and* their
thumbnails of 32 x 32 differ by at most RMS_LEVELS grey levels (root mean square). A bit of the hash shows
which of two neighbouring cells in a row of the 16 x 16 cells is brighter. Both limits are above the
differences between a scene and the same scene with twice the noise and other defects, listed in the card.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gffpn.data.index import SPLITS
from tinyindus.dials import Dials, preset
from tinyindus.scene import render
from validity.crops import Pixels, thumbnail
from validity.finding import Finding, Floats

HASH_BITS = 40
RMS_LEVELS = 6.0
CELLS = 16
SMALL = 32


def gradient_hash(pixels: Pixels) -> NDArray[np.bool_]:
    """Return the hash bits (240,) of a picture (H, W, 3)."""
    grey = thumbnail(pixels, CELLS).astype(np.float64).mean(axis=2)
    return (grey[:, 1:] > grey[:, :-1]).ravel()


class Looks:
    """Hashes and thumbnails of pictures, for comparison with those of others."""

    def __init__(self, pictures: Sequence[Pixels]) -> None:
        self.hashes = np.stack([gradient_hash(p) for p in pictures]).astype(np.float32)
        self.thumbnails = np.stack([thumbnail(p, SMALL).ravel() for p in pictures]).astype(np.float32)

    def bits(self, other: "Looks") -> Floats:
        """Return the number of hash bits that differ between each picture and each of the other's (N, M)."""
        agree = self.hashes @ other.hashes.T + (1 - self.hashes) @ (1 - other.hashes).T
        return np.rint(self.hashes.shape[1] - agree).astype(np.float64)

    def rms(self, other: "Looks") -> Floats:
        """Return the root mean square difference of each pair of thumbnails (N, M), grey levels."""
        out = [np.sqrt(np.square(other.thumbnails - row).mean(axis=1)) for row in self.thumbnails]
        return np.stack(out).astype(np.float64)


def near_duplicates(one: Looks, other: Looks) -> int:
    """Return the number of pairs that are near-duplicates."""
    return int(((one.bits(other) <= HASH_BITS) & (one.rms(other) <= RMS_LEVELS)).sum())


def looks(split: str, count: int, dials: Dials, image_size: tuple[int, int], seed: int) -> Looks:
    """Render the first pictures of a split and return their looks."""
    return Looks([render(i, split, dials, image_size, seed).pixels for i in range(count)])


def measure(*, counts: tuple[int, int, int] = (600, 150, 300), side: int = 320) -> list[Finding]:
    """Run test 6 on a set of preset paper, with twins as the measure of near-duplicates."""
    dials, image_size = preset("paper"), (side, side)
    groups = [
        {render(i, s, dials, (64, 64), 0).group for i in range(c)}
        for s, c in zip(SPLITS, counts, strict=True)
    ]
    shared = len(groups[0] & groups[1]) + len(groups[0] & groups[2]) + len(groups[1] & groups[2])
    sets = [looks(split, count, dials, image_size, 0) for split, count in zip(SPLITS, counts, strict=True)]
    pairs = [(sets[0], sets[1]), (sets[0], sets[2]), (sets[1], sets[2])]
    other = replace(dials, noise=2.0, defects_per_image=(4, 4), empty_share=0.0)
    twins = looks("val", counts[1], other, image_size, 0)
    own_bits, own_rms = np.diag(sets[1].bits(twins)), np.diag(sets[1].rms(twins))
    count = sum(len(a.hashes) * len(b.hashes) for a, b in pairs)
    n = f"{count} pairs of pictures"
    of_twins = f"{len(own_bits)} pairs of twins"
    found = (own_bits <= HASH_BITS) & (own_rms <= RMS_LEVELS)
    return [
        Finding("groups in two splits", shared, f"{sum(map(len, groups))} groups", at_most=0),
        Finding("near-duplicates across splits", sum(near_duplicates(a, b) for a, b in pairs), n, at_most=0),
        Finding("fewest hash bits between splits, of 240", min(a.bits(b).min() for a, b in pairs), n),
        Finding(
            "smallest thumbnail distance between splits, grey levels",
            min(a.rms(b).min() for a, b in pairs),
            n,
        ),
        Finding("share of twins that the same rule finds", float(found.mean()), of_twins, at_least=0.99),
        Finding("most hash bits between twins", own_bits.max(), of_twins),
        Finding("largest thumbnail distance between twins, grey levels", own_rms.max(), of_twins),
    ]
