"""A training step on fixed random images and boxes; its time is the cost of a neck in training."""

import numpy as np
import torch
from torch import Tensor

from gffpn.benchmark.peak_memory import AllocatorPeak, LiveMemory, state_bytes
from gffpn.benchmark.plan import Setting, Subject
from gffpn.optim import decay_groups
from gffpn.streams import numpy_stream

BOXES = 8
"""Objects per image."""


def random_images(count: int, setting: Setting) -> Tensor:
    """Return images (count, 3, H, W) on the setting's device, values in 0..1, the same in every call."""
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(count, 3, *setting.image_size, generator=generator)
    return images.to(setting.device, memory_format=setting.memory_format)


def random_targets(count: int, setting: Setting) -> list[dict[str, Tensor]]:
    """Return `boxes` (8, 4), xyxy pixels, and `labels` (8,) per image on the setting's device.

    The sides of a box are 1/80 to 1/4 of the image's; the values are the same in every call.
    """
    draw = numpy_stream(0, "benchmark", "targets")
    height, width = setting.image_size
    targets = []
    for _ in range(count):
        sides = draw.uniform(1 / 80, 1 / 4, (BOXES, 2))
        corners = draw.uniform(0, 1 - sides)
        boxes = np.concatenate([corners, corners + sides], axis=1) * (width, height, width, height)
        labels = torch.from_numpy(draw.integers(0, setting.classes, BOXES))
        target = {"boxes": torch.from_numpy(boxes).float(), "labels": labels}
        targets.append({name: value.to(setting.device) for name, value in target.items()})
    return targets


class TrainingStep:
    """One training step: forward pass, the head's own loss, backward pass, SGD.

    The learning rate is 0: the arithmetic is the same, but the weights, and with them the loss's assignments,
    do not change.
    """

    def __init__(self, subject: Subject, images: Tensor, targets: list[dict[str, Tensor]]) -> None:
        self.setting = subject.setting
        self.loss = subject.loss
        self.images = images
        self.targets = targets
        self.detector = subject.detector.to(images.device).train()
        self.optimizer = torch.optim.SGD(
            decay_groups(self.detector, 5e-4), lr=0.0, momentum=0.937, nesterov=True, foreach=True
        )
        # has an effect only in float16
        self.scaler = torch.amp.GradScaler(images.device.type, enabled=self.setting.precision == "16-mixed")

    def __call__(self) -> None:
        """Take one step; the gradients are freed at its end."""
        with self.setting.autocast():
            parts = self.loss(self.detector(self.images), self.targets, self.setting.image_size)
            total = torch.stack(list(parts.values())).sum()
        self.scaler.scale(total).backward()  # type: ignore[no-untyped-call]
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)

    def peak_bytes(self) -> int | None:
        """Return the peak bytes of a step, with weights, buffers, momentum and images.

        A step before it creates the momentum. Returns None on a device whose backward pass runs in a thread
        that neither counter sees.
        """
        device = self.images.device
        if device.type not in ("cpu", "cuda"):
            return None
        self()
        memory = AllocatorPeak(device) if device.type == "cuda" else LiveMemory()
        with memory:
            self()
        seen = memory.bytes if isinstance(memory, AllocatorPeak) else memory.peak
        momentum = sum(
            x.nbytes for state in self.optimizer.state.values() for x in state.values() if x is not None
        )
        return int(seen + momentum + state_bytes(self.detector) + self.images.nbytes)
