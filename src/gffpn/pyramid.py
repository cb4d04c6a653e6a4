"""Interfaces between backbone, neck and head.

Shape letters, used in every docstring of the package:
N images, C channels, H x W cells (or pixels of an image), A anchors or points, K classes, M boxes.

A level is identified by its stride, never by its position in a list. Lists always start with the finest
level. Each optional member of a part is declared by its own protocol; a part has it by defining the member.

Feature i of a stage is (N, channels_i, ceil(H / stride_i), ceil(W / stride_i)) for images (N, 3, H, W).
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol, runtime_checkable

from torch import Tensor


class Level(NamedTuple):
    """Channels and stride of one of a stage's feature maps."""

    channels: int
    stride: int
    """Input pixels per cell: stride 8 is C3 of a backbone, P3 of a neck."""


Levels = tuple[Level, ...]


@runtime_checkable
class Backbone(Protocol):
    """Map from images (N, 3, H, W), values in 0..1, to a list of feature maps, finest first.

    Optional: `Normalising`.
    """

    out_levels: Levels

    def __call__(self, images: Tensor) -> list[Tensor]: ...


@runtime_checkable
class Neck(Protocol):
    """Map from feature maps to feature maps, built as `Neck(in_levels, *, ...)`. Optional: `SizeBound`."""

    in_strides: tuple[int, ...]
    """Strides of the levels that the neck reads; it is called with exactly these maps, in this order."""
    out_levels: Levels

    def __call__(self, features: list[Tensor]) -> list[Tensor]: ...


@runtime_checkable
class Head(Protocol):
    """Map from feature maps to raw predictions, one tensor per level.

    Built as `Head(in_levels, num_classes, *, ...)`. Optional: `FitsToBoxes`; of its loss:
    `ShowsAssignments`, `SumsOverImages`.
    """

    in_levels: Levels
    num_classes: int

    def __call__(self, features: list[Tensor]) -> list[Tensor]: ...


@runtime_checkable
class SizeBound(Protocol):
    """A neck that accepts only certain image sizes. A neck without this member accepts every size."""

    size_multiple: int
    """Input pixels; both sides of an image must be multiples of it. Checked before a training starts."""


@runtime_checkable
class Normalising(Protocol):
    """A backbone that may normalise its images itself."""

    normalises: bool
    """True if the first operator is not a convolution; images are then float32 even under autocast."""


@runtime_checkable
class StartsFromWeights(Protocol):
    """A backbone that can start from weights trained before. They are not loaded by its constructor."""

    def check_weights(self) -> None:
        """Raise ValueError if local weights do not fit; no network is used. Called before data is read."""
        ...

    def load_weights(self) -> None:
        """Load the weights. Called once per run, unless it resumes from a checkpoint."""
        ...


@runtime_checkable
class FitsToBoxes(Protocol):
    """A head that adapts to the training data before training starts."""

    def fit_to(self, boxes_wh: Tensor) -> None:
        """Fit to the sizes of all training boxes (M, 2), width and height in input pixels."""
        ...


class Assignments(NamedTuple):
    """The number of predictions that a loss assigned to each object, for N images of up to M objects."""

    boxes: Tensor
    """(N, M, 4) xyxy in input pixels."""
    valid: Tensor
    """(N, M) bool, false for padding and for boxes without area."""
    positives: Tensor
    """(N, M, L) int64, by level of the head."""


Watch = Callable[[Assignments], None]


@runtime_checkable
class ShowsAssignments(Protocol):
    """A head's loss that shows what it assigns to each object."""

    watch: Watch | None
    """Called with the assignments of each call of the loss, unless it is None. It must not change them."""


@runtime_checkable
class SumsOverImages(Protocol):
    """A head's loss that may grow with the number of images, as a sum over them; others are means."""

    sums_over_images: bool
    """True if it does: the gradients of the batches of a step are then added, and not averaged."""


@runtime_checkable
class PartlyUndecayed(Protocol):
    """A module with parameters of two or more axes that weight decay must leave alone."""

    undecayed: tuple[str, ...]
    """Names of these parameters."""


@runtime_checkable
class Foldable(Protocol):
    """A module with a cheaper form of the same function in eval mode."""

    def fold(self) -> None:
        """Change to that form, in place. The module cannot be trained afterwards."""
        ...


def size_multiple(neck: object) -> int:
    """Return the number of pixels that must divide both sides of an image; 1 if any size is accepted."""
    return neck.size_multiple if isinstance(neck, SizeBound) else 1


def levels_at(levels: Iterable[Level], strides: Iterable[int], *, reader: str) -> Levels:
    """Return the levels with the given strides, in that order.

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
    """Return the positions, in a list of maps of `levels`, of those that `neck` reads, in the neck's order.

    Raises ValueError if a level is missing.
    """
    given = tuple(levels)
    wanted = levels_at(given, neck.in_strides, reader=type(neck).__name__)
    return tuple(given.index(level) for level in wanted)


def check_image_size(
    image_size: tuple[int, int], multiple: int, *, neck: str, setting: str = "image_size"
) -> None:
    """Raise ValueError, naming the nearest sizes that fit, unless both sides are multiples of `multiple`.

    `setting` is the one that determines the size.
    """
    if any(side % multiple for side in image_size):
        around = [(side // multiple * multiple, -(-side // multiple) * multiple) for side in image_size]
        allowed = " x ".join(" or ".join(str(side) for side in sorted({*sides} - {0})) for sides in around)
        raise ValueError(
            f"{setting}: got {image_size[0]} x {image_size[1]} (H x W), neck={neck} needs multiples of "
            f"{multiple}: the nearest are {allowed}"
        )
