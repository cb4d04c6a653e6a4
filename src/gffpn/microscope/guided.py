"""The guided stages of GF-FPN on one image: guide, gate, attention, and what star and add make of them."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gffpn.microscope.specimen import Specimen
from gffpn.necks.gffpn.fccfm import FCCFM
from gffpn.necks.gffpn.guided import GuidedStage
from gffpn.necks.gffpn.lpam import Inspection


@dataclass(frozen=True)
class GuidedView:
    """What a guided stage read and made for one image; maps are (C, H, W)."""

    name: str
    """Path of the stage in the neck."""
    stride: int
    """Stride of the level that is guided."""
    coarser: Tensor
    """F, the level that is guided."""
    guide: Tensor
    """G."""
    gate: Tensor
    """sigmoid(G), or G for `gate: none`."""
    output: Tensor
    """P."""
    inside: Inspection | None
    """A and its figures, for a batch of one; None without FCCFM."""

    @property
    def star(self) -> Tensor:
        """The product of gate and F."""
        return self.gate * self.coarser

    @property
    def added(self) -> Tensor:
        """The sum of gate and F."""
        return self.gate + self.coarser


def guided_views(specimen: Specimen) -> list[GuidedView]:
    """Return a view of each guided stage, finest first; none for a neck without such stages."""
    neck = specimen.detector.neck
    assert isinstance(neck, nn.Module)
    calls: dict[str, tuple[Tensor, Tensor, Tensor]] = {}
    stages = {name: part for name, part in neck.named_modules() if isinstance(part, GuidedStage)}

    def keeper(name: str) -> Any:
        def keep(module: nn.Module, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
            calls[name] = (*inputs, output)

        return keep

    hooks = [stage.register_forward_hook(keeper(name)) for name, stage in stages.items()]
    try:
        specimen.maps()
    finally:
        for hook in hooks:
            hook.remove()
    return [_view(name, stages[name], specimen.image.shape[-2], *call) for name, call in calls.items()]


@torch.no_grad()
def _view(
    name: str, stage: GuidedStage, height: int, finer: Tensor, coarser: Tensor, output: Tensor
) -> GuidedView:
    inside = stage.lpam.inspect(finer) if isinstance(stage.lpam.attention, FCCFM) else None
    guide = stage.lpam(finer) if inside is None else inside.guide
    return GuidedView(
        name=name,
        stride=round(height / coarser.shape[-2]),
        coarser=coarser[0],
        guide=guide[0],
        gate=stage.gate(guide)[0],
        output=output[0],
        inside=inside,
    )
