"""A neck of `conf/neck/` in a network of another library."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping

from torch import Tensor, nn

from gffpn.build.detector import build_neck
from gffpn.choice import several
from gffpn.config.compose import compose_config
from gffpn.config.overrides import WRONG_OVERRIDE, explain, unwrapped
from gffpn.pyramid import Level, Levels, Neck


def neck_on(name: str, in_levels: Iterable[tuple[int, int]], overrides: Iterable[str] = ()) -> Neck:
    """Build the neck `name` on maps of the given (channels, stride), finest first, with random weights.

    `overrides` change its settings as for train.py: `size=n`, `neck.base.width=uniform`, `seed=1` ... Raises
    ValueError for a wrong value, and if the neck reads a level that is not given.
    """
    words = several("overrides", overrides)
    for other in (word for word in words if word.startswith("neck=")):
        raise ValueError(f"overrides: got {other!r}, but the name of the neck is {name!r}")
    levels = tuple(Level(channels, stride) for channels, stride in in_levels)
    try:
        return build_neck(compose_config([f"neck={name}", *words]), levels)
    except WRONG_OVERRIDE as error:
        raise ValueError(explain(unwrapped(error))) from error


class BackboneWithNeck(nn.Module):
    """Backbone and neck in the form in which torchvision's detectors take a backbone.

    body: returns one map per level, finest first, as a list, a tuple or a dict.
    in_levels: (channels, stride) of each of them.
    neck: a neck on some of these levels, such as `neck_on` returns.

    Raises ValueError if the neck's outputs differ in width, because these detectors share one head over all
    levels; `neck.width=uniform` or `neck.base.width=uniform` makes them equal for most necks.
    """

    def __init__(self, body: nn.Module, in_levels: Iterable[tuple[int, int]], neck: Neck) -> None:
        super().__init__()
        widths = {level.channels for level in neck.out_levels}
        if len(widths) > 1:
            raise ValueError(
                f"neck: got outputs of {sorted(widths)} channels, expected one number; use the override "
                "neck.width=uniform, or neck.base.width=uniform for a neck on top of another"
            )
        self.body, self.neck = body, neck
        self.out_channels = widths.pop()
        self.out_levels: Levels = neck.out_levels
        strides = [stride for _, stride in in_levels]
        self._read = [strides.index(stride) for stride in neck.in_strides]

    def forward(self, images: Tensor) -> "OrderedDict[str, Tensor]":
        """Return the neck's maps by the name of their stride, finest first."""
        maps = self.body(images)
        features = list(maps.values()) if isinstance(maps, Mapping) else list(maps)
        fused = self.neck([features[position] for position in self._read])
        return OrderedDict((str(level.stride), x) for level, x in zip(self.out_levels, fused, strict=True))
