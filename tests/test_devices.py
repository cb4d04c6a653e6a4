"""Do all parts of a detector stay on one device? Fake CUDA tensors reveal a mix-up without a GPU.

FakeTensorMode computes shapes, types and devices but no values, and raises an error if the tensors of an
operator are on different devices. Non-maximum suppression, which depends on values, and the backward pass,
which needs a real device, are not tested here.
"""

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.symbolic_shapes import ShapeEnv

from gffpn.build.detector import build_detector, build_loss_and_decode
from gffpn.callbacks.size_counts import assignment_counts
from gffpn.config.compose import compose_config
from gffpn.config.overrides import choices
from gffpn.metrics.matching import SIZE_EDGES
from gffpn.necks.none import NoNeck
from gffpn.pyramid import ShowsAssignments

SIDE = 64
BOXES = (2, 0)
"""Number of boxes in each image."""
QUICK = [f"head={name}" for name in choices("head", [])]
"""With GF-FPN."""
PARTS = [
    *(f"{group}={name}" for group in ("neck", "ablation") for name in choices(group, [])),
    "backbone=darknet53",
    *(f"neck.lpam.attention={kind}" for kind in ("se", "cbam", "none")),
    "neck.lpam.context=strided_conv",
    "neck.lpam.projection=per_channel",
]


def devices_of_losses(*overrides: str) -> set[str]:
    """Run the forward pass and the loss on fake CUDA tensors.

    Returns the device types of the losses and of the counts of assignments.
    """
    config = compose_config(["neck=gffpn", "size.depth=0.1", *overrides])
    with torch.device("meta"):
        detector = build_detector(config, num_classes=3)
    loss, _ = build_loss_and_decode(config, detector.head)
    with FakeTensorMode(shape_env=ShapeEnv(), allow_non_fake_inputs=True):
        detector.to_empty(device="cuda")
        targets = [
            {
                "boxes": torch.rand(count, 4, device="cuda"),
                "labels": torch.zeros(count, dtype=torch.int64, device="cuda"),
            }
            for count in BOXES
        ]
        counts: list[Tensor] = []
        assert isinstance(loss, ShowsAssignments)
        edges = torch.tensor(SIZE_EDGES, dtype=torch.float32, device="cuda")
        loss.watch = lambda found: counts.append(assignment_counts(found, edges))
        raw = detector(torch.rand(len(BOXES), 3, SIDE, SIDE, device="cuda"))
        return {part.device.type for part in [*loss(raw, targets, (SIDE, SIDE)).values(), *counts]}


@pytest.mark.parametrize("part", [*QUICK, *(pytest.param(part, marks=pytest.mark.slow) for part in PARTS)])
def test_a_detector_stays_on_its_device(part: str) -> None:
    assert devices_of_losses(part) == {"cuda"}


def test_a_tensor_made_on_the_cpu_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def forward(self: NoNeck, features: list[Tensor]) -> list[Tensor]:
        return [feature * torch.arange(feature.shape[-1]) for feature in features]

    monkeypatch.setattr(NoNeck, "forward", forward)
    with pytest.raises(RuntimeError, match="on the same device"):
        devices_of_losses("neck=none")
