"""Cost of a detector: parameters, FLOPs and time."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from gffpn.figures import Cost, Speed
from gffpn.machine.devices import device_name
from gffpn.machine.timing import latency
from gffpn.pyramid import positions_read

COUNTING_RULE = "2 x multiply-accumulates of convolutions and matrix products, batch 1, eval mode"

# aten operators that only move, fill or look up values
_MOVES = """
    arange cat clone constant_pad_nd copy empty empty_like empty_strided fill full full_like gather im2col
    index index_select lift_fresh new_empty new_full new_ones new_zeros ones ones_like pixel_shuffle
    pixel_unshuffle reflection_pad2d repeat replication_pad2d roll scalar_tensor stack upsample_nearest2d zero
    zeros zeros_like _to_copy _unsafe_view
"""


@dataclass(frozen=True)
class FlopCount:
    """FLOPs of one forward pass, counted by `COUNTING_RULE`."""

    total: int
    by_op: Mapping[str, int]
    uncounted: tuple[str, ...]
    """Operators that computed something but have no formula; they count as 0."""


def count_parameters(module: nn.Module) -> int:
    """Return the number of parameters, trainable or not; shared ones count once, buffers not at all."""
    return sum(parameter.numel() for parameter in module.parameters())


def count_flops(module: nn.Module, *inputs: Tensor | list[Tensor]) -> FlopCount:
    """Return the FLOPs of `module(*inputs)`, counted on a copy in eval mode.

    The module and the random state do not change. Counting takes place on the meta device, which computes
    nothing, or on the CPU if the forward pass reads values.
    """
    return _count(module, inputs)[0]


def cost(detector: nn.Module, image_size: tuple[int, int]) -> Cost:
    """Return the cost of a detector with the stages `backbone`, `neck` and `head`, for one image.

    `image_size` is (H, W).
    """
    backbone: Any = detector.backbone
    neck: Any = detector.neck
    read = positions_read(backbone.out_levels, neck)
    value: Any = torch.empty(1, 3, *image_size, device="meta")
    params, flops, uncounted = {}, {}, set[str]()
    for name in ("backbone", "neck", "head"):
        stage = detector.get_submodule(name)
        if name == "neck":
            value = [value[i] for i in read]
        count, value = _count(stage, (value,))
        params[name], flops[name] = count_parameters(stage), count.total
        uncounted.update(count.uncounted)
    return Cost(
        image_size=image_size,
        params=count_parameters(detector),
        params_backbone=params["backbone"],
        params_neck=params["neck"],
        params_head=params["head"],
        params_m=count_parameters(detector) / 1e6,
        gflops=sum(flops.values()) / 1e9,
        gflops_backbone=flops["backbone"] / 1e9,
        gflops_neck=flops["neck"] / 1e9,
        gflops_head=flops["head"] / 1e9,
        uncounted=tuple(sorted(uncounted)),
        rule=COUNTING_RULE,
    )


class _Uncounted(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Dispatch mode that records operators that compute something but have no FLOP formula."""

    def __init__(self, formulas: Mapping[Any, Any]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.formulas = formulas
        self.moves = {f"aten.{name}" for name in _MOVES.split()}
        self.names: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = str(func.overloadpacket).removesuffix("_")
        output = func(*args, **(kwargs or {}))
        # some operators, such as promote_types, only return a property of tensors
        computes = isinstance(output, Tensor | tuple | list) and not func.is_view
        if computes and func.overloadpacket not in self.formulas and name not in self.moves:
            self.names.add(name)
        return output


def _count(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[FlopCount, Any]:
    """Return the FLOP count and the output of `module(*inputs)`."""
    try:
        return _count_on("meta", module, inputs)
    except RuntimeError:
        # the meta device has no values to read; any other error is raised again on the CPU
        return _count_on("cpu", module, inputs)


def _count_on(device: str, module: nn.Module, inputs: tuple[Any, ...]) -> tuple[FlopCount, Any]:
    twin = copy.deepcopy(module).to(device).eval()
    counter = FlopCounterMode(display=False)
    spy = _Uncounted(counter.flop_registry)
    with torch.random.fork_rng(devices=[]), torch.no_grad(), counter, spy:
        output = twin(*(_moved(value, device) for value in inputs))
    by_op = {str(op): flops for op, flops in counter.get_flop_counts().get("Global", {}).items()}
    return FlopCount(sum(by_op.values()), by_op, tuple(sorted(spy.names))), output


def _moved(value: Tensor | list[Tensor], device: str) -> Tensor | list[Tensor]:
    if isinstance(value, list):
        return [_moved(item, device) for item in value]  # type: ignore[misc]
    return torch.zeros_like(value, device=device) if value.is_meta else value.to(device)


def speed(
    detector: nn.Module,
    decode: Callable[[list[Tensor]], object],
    images: Tensor,
    *,
    device: torch.device,
    channels_last: bool = False,
    rounds: int = 10,
    budget_s: float = 1.0,
) -> Speed:
    """Measure the latency at batch 1, for the forward pass alone and with `decode` (scores, NMS).

    A copy of the detector is timed on `images`, uint8 (N, 3, H, W), one after another and from the first one
    again, each already on `device` as the floats that the network takes. NMS takes longer the more boxes pass
    the score threshold, so the end-to-end figures hold for these weights and images only.
    """
    layout = torch.channels_last if channels_last else torch.contiguous_format
    twin = copy.deepcopy(detector).to(device).to(memory_format=layout).eval()
    dtype = next(twin.parameters()).dtype
    inputs = [
        image[None].to(device=device, dtype=dtype).div_(255).contiguous(memory_format=layout)
        for image in images
    ]
    turns = cycle(inputs)
    with torch.inference_mode():
        forward, whole = latency(
            lambda _: twin(next(turns)), decode, device=device, rounds=rounds, budget_s=budget_s
        )
    return Speed(
        latency_forward_ms=forward.median_ms,
        latency_forward_p95_ms=forward.p95_ms,
        latency_end_to_end_ms=whole.median_ms,
        latency_end_to_end_p95_ms=whole.p95_ms,
        rounds=whole.n,
        images=len(images),
        device=device_name(device),
        threads=torch.get_num_threads(),
        dtype=str(dtype).removeprefix("torch."),
        tf32=device.type == "cuda" and torch.backends.cudnn.allow_tf32,
        channels_last=channels_last,
    )
