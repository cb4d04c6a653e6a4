"""One random stream per purpose, so that the draws of one component never shift those of another.

A stream is named by its parts, for instance `(seed, "order", epoch)`. The same parts give the same numbers in
every process, whatever was drawn elsewhere before.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


def derive_seed(*parts: int | str) -> int:
    """Return a seed in 0 .. 2**63 - 1 that depends only on the parts and their order.

    It is computed with SHA-256, so it is the same everywhere.
    """
    name = "\x1f".join(f"s{part}" if isinstance(part, str) else f"i{int(part)}" for part in parts)
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") >> 1


def numpy_stream(*parts: int | str) -> np.random.Generator:
    """Return a new NumPy generator for the stream with this name."""
    return np.random.Generator(np.random.PCG64(derive_seed(*parts)))


@contextmanager
def torch_stream(*parts: int | str) -> Iterator[None]:
    """Use this stream as torch's CPU generator inside the block; restore the previous state afterwards."""
    import torch  # imported here: reports need only numpy_stream and must not wait seconds for torch

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derive_seed(*parts))
        yield


@contextmanager
def torch_substream(*parts: int | str) -> Iterator[None]:
    """Use a stream of the stream in use inside the block; restore the previous state afterwards.

    It depends on the parts and on the seed of torch's CPU generator, that is, on the enclosing `torch_stream`
    or `torch_substream`, or else on `torch.manual_seed`. It depends on nothing that was drawn before. Equal
    parts give equal numbers, so parts of a network that occur several times need different ones.
    """
    import torch  # as above

    with torch_stream(torch.default_generator.initial_seed(), *parts):
        yield
