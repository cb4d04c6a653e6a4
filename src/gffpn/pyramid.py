"""The contract between backbone, neck and head.

Shape letters, used in every docstring of the package:
N images, C channels, H W cells (or pixels of an image), A anchors or points, K classes, M boxes.

A level is known by its stride, never by its position in a list. Lists are finest level first, always.
Feature i of a stage is (N, channels_i, ceil(H / stride_i), ceil(W / stride_i)) for images (N, 3, H, W).
"""

from collections.abc import Iterable
from typing import NamedTuple, Protocol, runtime_checkable

from torch import Tensor


class Level(NamedTuple):
    """What a stage promises about one of its feature maps."""

    channels: int
    stride: int
    """Input pixels a cell: stride 8 is C3 of a backbone, P3 of a neck."""


Levels = tuple[Level, ...]


@runtime_checkable
class Backbone(Protocol):
    """Images (N, 3, H, W), values in 0..1, to a list of feature maps, finest first."""

    out_levels: Levels

    def __call__(self, images: Tensor) -> list[Tensor]: ...


@runtime_checkable
class Neck(Protocol):
    """Feature maps to feature maps. Built as `Neck(in_levels, *, ...)`.

    A neck that takes no other image sizes publishes `size_multiple: int`, in input pixels: both sides of an
    image must be multiples of it, which is checked before data is read. Without it every size is taken.
    """

    in_strides: tuple[int, ...]
    """Strides of the levels that the neck reads. It is called with exactly these maps, in this order."""
    out_levels: Levels

    def __call__(self, features: list[Tensor]) -> list[Tensor]: ...


@runtime_checkable
class Head(Protocol):
    """Feature maps to raw predictions, a tensor a level. Built as `Head(in_levels, num_classes, *, ...)`."""

    in_levels: Levels
    num_classes: int

    def __call__(self, features: list[Tensor]) -> list[Tensor]: ...


def levels_at(levels: Iterable[Level], strides: Iterable[int], *, reader: str) -> Levels:
    """The levels with the given strides, in that order.

    Raises ValueError, naming `reader`, if one is missing.
    """
    by_stride = {level.stride: level for level in levels}
    missing = [stride for stride in strides if stride not in by_stride]
    if missing:
        raise ValueError(
            f"{reader} reads strides {list(strides)}, got levels with strides {sorted(by_stride)}: "
            f"{missing} missing"
        )
    return tuple(by_stride[stride] for stride in strides)


def positions_read(levels: Iterable[Level], neck: Neck) -> tuple[int, ...]:
    """Return where the maps that `neck` reads lie in a list of maps of `levels`, in the neck's order.

    Raises ValueError if a level is missing.
    """
    given = tuple(levels)
    wanted = levels_at(given, neck.in_strides, reader=type(neck).__name__)
    return tuple(given.index(level) for level in wanted)


def check_image_size(image_size: tuple[int, int], multiple: int, *, neck: str) -> None:
    """Raise ValueError, naming the nearest sizes that fit, unless both sides are multiples of `multiple`."""
    if any(side % multiple for side in image_size):
        around = [(side // multiple * multiple, -(-side // multiple) * multiple) for side in image_size]
        allowed = " x ".join(" or ".join(str(side) for side in sorted({*sides} - {0})) for sides in around)
        raise ValueError(
            f"image_size: got {image_size[0]} x {image_size[1]} (H x W), neck={neck} needs multiples of "
            f"{multiple}: the nearest are {allowed}"
        )
