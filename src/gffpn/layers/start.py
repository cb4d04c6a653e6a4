"""Initial weights, with a random stream for each part of a network.

A switch that adds a layer, widens it or leaves it out then changes the initial weights of no other layer, so
that two rows of an ablation start equal in all that they share.
"""

from collections.abc import Callable, Iterable, Iterator

from torch import Tensor, nn

from gffpn.streams import torch_substream


class PerLevel(nn.ModuleList):
    """One module per level, whose stream has the level's stride in its name instead of a position.

    Weights of the level of stride 16 are then equal, whether or not there is a level of stride 4.
    """

    def __init__(self, strides: Iterable[int], modules: Iterable[nn.Module]) -> None:
        super().__init__(modules)
        self.strides = tuple(strides)
        assert len(self.strides) == len(self)


def named_parts(module: nn.Module) -> Iterator[tuple[tuple[int | str, ...], nn.Module]]:
    """Yield the name of the stream and the module of every part of a module, and the module itself first."""
    yield (), module
    names: Iterable[int | str] = (name for name, _ in module.named_children())
    if isinstance(module, PerLevel):
        names = module.strides
    for own, child in zip(names, module.children(), strict=True):
        for name, part in named_parts(child):
            yield (own, *name), part


def start_each(module: nn.Module, start: Callable[[nn.Module], object]) -> None:
    """Call `start`, which draws initial weights, for every part, each with the stream of its name."""
    for name, part in named_parts(module):
        with torch_substream(*name):
            start(part)


def start_as_built(module: nn.Module) -> None:
    """Draw all weights again as the parts' own `reset_parameters` do, each with the stream of its name."""
    start_each(module, _reset)


def start_convolutions(module: nn.Module, start: Callable[[Tensor], object]) -> None:
    """Apply `start` to the weight of every convolution, with its own stream, and set its bias to zero."""

    def begin(part: nn.Module) -> None:
        if isinstance(part, nn.Conv2d):
            start(part.weight)
            if part.bias is not None:
                nn.init.zeros_(part.bias)

    start_each(module, begin)


def _reset(part: nn.Module) -> None:
    reset = getattr(part, "reset_parameters", None)
    if reset is not None:
        reset()
