"""Memory of the tensors that are alive at the same time, on any device and with any allocator."""

import weakref
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

MIB = 2**20


class LiveMemory(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counter of the bytes of storages that operators inside the block create and that are still held.

    Storages that existed before (weights, inputs) do not count. Memory that an operator allocates and frees
    internally, such as a convolution's workspace, is not seen.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.alive = 0
        self.peak = 0
        self._bytes: dict[int, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        given = {_key(tensor) for tensor in _tensors((args, kwargs))}
        for tensor in _tensors(output):
            key = _key(tensor)
            if key not in given and key not in self._bytes:
                self._follow(key, tensor.untyped_storage())
        self.peak = max(self.peak, self.alive)
        return output

    def _follow(self, key: int, storage: torch.UntypedStorage) -> None:
        self._bytes[key] = storage.nbytes()
        self.alive += storage.nbytes()
        # a storage may outlive its first tensor: views share it, and autograd may hold it
        weakref.finalize(storage, self._drop, key).atexit = False

    def _drop(self, key: int) -> None:
        self.alive -= self._bytes.pop(key)


def activation_peak(network: nn.Module, images: Tensor) -> int:
    """Return the peak bytes alive in a forward pass, without weights and input but with the outputs."""
    memory = LiveMemory()
    with torch.inference_mode(), memory:
        network(images)
    return memory.peak


def state_bytes(module: nn.Module) -> int:
    """Return the bytes of parameters and buffers; a shared one counts once."""
    return sum(tensor.nbytes for tensor in (*module.parameters(), *module.buffers()))


class AllocatorPeak:
    """Peak of the bytes that a CUDA device's allocator holds inside the block, less those at its start."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.bytes = 0

    def __enter__(self) -> "AllocatorPeak":
        self._start = torch.cuda.memory_allocated(self.device)
        torch.cuda.reset_peak_memory_stats(self.device)
        return self

    def __exit__(self, *_: object) -> None:
        self.bytes = torch.cuda.max_memory_allocated(self.device) - self._start


def _tensors(tree: object) -> Iterator[Tensor]:
    return (leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor))


def _key(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)
