"""The peak rates of a machine, and the time of a step if every operator ran at them: the roofline.

Williams, Waterman, Patterson: Roofline, CACM 52(4), 2009: an operator takes at least as long as its
arithmetic at the machine's peak, and at least as long as moving its operands once.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from gffpn.machine.timing import latency

ROUNDS = 5
# sides of the square matrices to multiply, of which the fastest counts; small ones do not fill a GPU
SIDES = {"cpu": (512, 1024, 2048)}
GPU_SIDES = (2048, 4096, 8192)
COPIED_BYTES = 2**28
"""Larger than any cache."""


@dataclass(frozen=True)
class Limits:
    """A machine's measured peaks."""

    matmul_gflops: float
    """Rate of a product of square matrices, GFLOP/s."""
    copy_gbytes: float
    """Rate of a copy, bytes read plus bytes written, GB/s."""


def measure_limits(device: torch.device, dtype: torch.dtype) -> Limits:
    """Return the peaks, from median times of matrix products in `dtype` and of a large copy."""
    rates = []
    for side in SIDES.get(device.type, GPU_SIDES):
        a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
        rates.append(2 * side**3 / _median_seconds(device, lambda a=a, b=b: torch.mm(a, b)))  # type: ignore[misc]
    source = torch.zeros(COPIED_BYTES, dtype=torch.uint8, device=device)
    copy = torch.empty_like(source)
    seconds = _median_seconds(device, lambda: copy.copy_(source))
    return Limits(max(rates) / 1e9, 2 * COPIED_BYTES / seconds / 1e9)


def _median_seconds(device: torch.device, work: Callable[[], object]) -> float:
    (taken,) = latency(lambda _: work(), device=device, warmup=1, rounds=ROUNDS, budget_s=0.0)
    return taken.median_ms / 1e3


class Roofline(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sum of the least times that the operators inside the block can take on the machine.

    `arithmetic` and `memory` are the seconds of operators bound by one or the other; their sum is the total.
    Operands count once per use, as if no cache kept them; views are free.
    """

    def __init__(self, limits: Limits) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.limits = limits
        self.formulas = FlopCounterMode(display=False).flop_registry
        self.arithmetic = 0.0
        self.memory = 0.0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        if func.is_view:
            return output
        formula = self.formulas.get(func.overloadpacket)
        flops = int(formula(*args, **(kwargs or {}), out_val=output)) if formula else 0
        arithmetic = flops / (self.limits.matmul_gflops * 1e9)
        memory = sum(_bytes((args, kwargs, output))) / (self.limits.copy_gbytes * 1e9)
        if arithmetic > memory:
            self.arithmetic += arithmetic
        else:
            self.memory += memory
        return output


def _bytes(values: object) -> Iterator[int]:
    """Yield the bytes of each tensor; one that is read and written in place counts once."""
    seen = {id(x): x for x in tree_leaves(values) if isinstance(x, Tensor)}
    yield from (x.numel() * x.element_size() for x in seen.values())
