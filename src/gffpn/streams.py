"""One random stream a purpose, so that what one component draws never shifts what another one draws.

A stream is named by its parts, `(seed, "order", epoch)` for instance. The same parts give the same numbers in
every process, whatever was drawn elsewhere before.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


def derive_seed(*parts: int | str) -> int:
    """A seed in 0 .. 2**63 - 1 from the parts and their order alone; SHA-256, so the same everywhere."""
    name = "\x1f".join(f"s{part}" if isinstance(part, str) else f"i{int(part)}" for part in parts)
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") >> 1


def numpy_stream(*parts: int | str) -> np.random.Generator:
    """A fresh NumPy generator for the stream of this name."""
    return np.random.Generator(np.random.PCG64(derive_seed(*parts)))


@contextmanager
def torch_stream(*parts: int | str) -> Iterator[None]:
    """Inside the block, torch's CPU generator is this stream; afterwards it is where it was before."""
    import torch  # here, because reports draw from numpy_stream and must not wait seconds for torch

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derive_seed(*parts))
        yield
