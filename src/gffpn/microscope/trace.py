"""Record of one forward pass: the operators that ran, the modules they ran in, and what each of them read."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from gffpn.pyramid import Levels

Shape = tuple[int, ...]

INPUT = "input"
# they pass values on; views do so too
MOVES = {"alias", "clone", "contiguous", "copy", "detach", "lift_fresh", "to_copy", "unsafe_view"}
# they read no values, only the shape of their argument
FILLS = {
    *("empty_like", "full_like", "ones_like", "zeros_like"),
    *("new_empty", "new_full", "new_ones", "new_zeros"),
}


@dataclass(frozen=True, eq=False)
class Frame:
    """One call of a module, or a module of which other modules called the parts."""

    path: str
    """Dotted path in the network; empty for the network itself."""
    module: nn.Module
    outer: tuple["Frame", ...]
    """The frames around this one, the outermost first."""


@dataclass(frozen=True)
class Operator:
    """An operator that computed something from the inputs, or an input."""

    name: str
    """Name in ATen without the underscores around it, such as `add`; INPUT for an input."""
    frames: tuple[Frame, ...]
    """The frames in which it ran, the network first; none for an input."""
    reads: tuple[int, ...]
    """Positions of the operators whose results it read, once per operand."""
    shapes: tuple[Shape, ...]
    """Shapes of its results."""


@dataclass(frozen=True)
class Output:
    """A map that the network returned."""

    made_by: tuple[int, ...]
    """Positions of the operators whose results it consists of, usually one."""
    shape: Shape


@dataclass(frozen=True)
class Trace:
    """A forward pass: inputs and operators in order of execution."""

    root: Frame
    """The network."""
    operators: tuple[Operator, ...]
    outputs: tuple[Output, ...]
    """Finest first."""
    left: Mapping[tuple[Frame, int], Shape]
    """Shape in which a frame returned an operator's result, which it may have reshaped."""


def trace(network: nn.Module, levels: Levels, image_size: tuple[int, int]) -> Trace:
    """Return the trace of a neck that gets maps of `levels`, for one image of `image_size` (H, W).

    The network and the random state do not change: a copy runs in eval mode on the meta device, which
    computes nothing, or on the CPU if the forward pass reads values.
    """
    try:
        return _trace_on("meta", network, levels, image_size)
    except RuntimeError:
        # the meta device has no values to read; any other error is raised again on the CPU
        return _trace_on("cpu", network, levels, image_size)


def _trace_on(device: str, network: nn.Module, levels: Levels, image_size: tuple[int, int]) -> Trace:
    twin = copy.deepcopy(network).to(device).eval()
    maps = [
        torch.zeros(1, channels, *(-(-side // stride) for side in image_size), device=device)
        for channels, stride in levels
    ]
    recorder = _Recorder(twin, maps)
    with torch.random.fork_rng(devices=[]), torch.no_grad(), recorder:
        outputs = twin(list(maps))
    made = tuple(Output(recorder.made_by(output), tuple(output.shape)) for output in outputs)
    return Trace(recorder.frames[0], tuple(recorder.operators), made, recorder.left)


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Dispatch mode that records operators; hooks on the modules keep track of the frames.

    What was computed from weights alone is left out.
    """

    def __init__(self, network: nn.Module, maps: Sequence[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operators: list[Operator] = []
        self.frames: list[Frame] = []
        """The calls, in order."""
        self.left: dict[tuple[Frame, int], Shape] = {}
        self._network = network
        self._stack: list[Frame] = []
        self._uncalled: dict[tuple[Frame, str], Frame] = {}
        # by tensor and by storage: the number of the dispatch that wrote the values, and where they come from
        self._makers: dict[int, tuple[int, tuple[int, ...]]] = {}
        self._writers: dict[int, tuple[int, tuple[int, ...]]] = {}
        self._dispatches = 0
        # identities and storages are unique only among tensors that exist
        self._alive: list[Tensor] = []
        for path, module in network.named_modules():
            module.register_forward_pre_hook(partial(self._enter, path))
            module.register_forward_hook(self._leave, always_call=True)
        for one in maps:
            self._keep(one, self._record(INPUT, (), [one]))

    def made_by(self, tensor: Tensor) -> tuple[int, ...]:
        """Return the operators that a tensor's values come from; none if they come from weights alone."""
        nothing: tuple[int, tuple[int, ...]] = (-1, ())
        made = self._makers.get(id(tensor), nothing)
        return max(made, self._writers.get(_storage(tensor), nothing))[1]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self._dispatches += 1
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        operands = [made for tensor in given if (made := self.made_by(tensor))]
        output = func(*args, **(kwargs or {}))
        results = [leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor)]
        name = func.overloadpacket.__name__.strip("_")
        if not operands or not results or name in FILLS:
            return output
        reads = tuple(position for made in operands for position in made)
        moves = (func.is_view and len(results) == 1) or name in MOVES
        makers = tuple(dict.fromkeys(reads)) if moves else self._record(name, reads, results)
        for tensor in results:
            self._keep(tensor, makers)
        for tensor in _written(func, args, kwargs or {}):
            # the operator has read what it left unchanged, so it stands for the whole storage
            self._writers[_storage(tensor)] = (self._dispatches, makers)
        return output

    def _record(self, name: str, reads: tuple[int, ...], results: Sequence[Tensor]) -> tuple[int]:
        frames = (*self._stack[-1].outer, self._stack[-1]) if self._stack else ()
        shapes = tuple(tuple(tensor.shape) for tensor in results)
        self.operators.append(Operator(name, frames, reads, shapes))
        return (len(self.operators) - 1,)

    def _keep(self, tensor: Tensor, makers: tuple[int, ...]) -> None:
        self._alive.append(tensor)
        self._makers[id(tensor)] = (self._dispatches, makers)

    def _enter(self, path: str, module: nn.Module, inputs: object) -> None:
        outer: tuple[Frame, ...] = ()
        if self._stack:
            caller = self._stack[-1]
            outer = (*caller.outer, caller)
            for between in _between(caller.path, path):
                owner = self._network.get_submodule(between)
                if not isinstance(owner, nn.ModuleList | nn.ModuleDict):
                    # a guided stage calls LPAM's two parts, but never LPAM
                    frame = self._uncalled.setdefault((outer[-1], between), Frame(between, owner, outer))
                    outer = (*outer, frame)
        self.frames.append(Frame(path, module, outer))
        self._stack.append(self.frames[-1])

    def _leave(self, module: nn.Module, inputs: object, output: object) -> None:
        frame = self._stack.pop()
        for tensor in tree_leaves(output):
            if isinstance(tensor, Tensor):
                self.left |= {(frame, maker): tuple(tensor.shape) for maker in self.made_by(tensor)}


def _between(caller: str, path: str) -> list[str]:
    """Return the paths between two modules: `a` and `a.b.c.d` give `a.b` and `a.b.c`."""
    if not path.startswith(f"{caller}." if caller else ""):
        return []
    paths = list(accumulate(path.split("."), lambda outer, name: f"{outer}.{name}"))
    return paths[caller.count(".") + 1 if caller else 0 : -1]


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


def _written(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> list[Tensor]:
    """Return the arguments that an operator changes in place."""
    values = {**dict(zip((one.name for one in func._schema.arguments), args, strict=False)), **kwargs}
    changed = [
        values.get(one.name)
        for one in func._schema.arguments
        if one.alias_info is not None and one.alias_info.is_write
    ]
    return [value for value in changed if isinstance(value, Tensor)]
