"""A small convolutional classifier, which shows what a detector could learn from a patch alone."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from gffpn.streams import torch_stream
from validity.finding import Floats

Patches = NDArray[np.uint8]
"""Shape (N, S, S, 3)."""


def _network(width: int, halvings: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    channels = 6
    for step in range(halvings + 1):
        wide = width * (1 + min(step, 2))
        layers += [nn.Conv2d(channels, wide, 3, padding=1, bias=False), nn.BatchNorm2d(wide), nn.ReLU()]
        layers += [nn.Conv2d(wide, wide, 3, padding=1, bias=False), nn.BatchNorm2d(wide), nn.ReLU()]
        layers += [nn.MaxPool2d(2)] if step < halvings else []
        channels = wide
    # the mean captures what fills the patch, the maximum captures what is small in it
    return nn.Sequential(*layers, _MeanAndMax(), nn.Dropout(0.2), nn.Linear(2 * channels, 1))


class _MeanAndMax(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1)


def _tensor(patches: Patches) -> Tensor:
    """Return (N, 6, S, S): grey levels, and their differences from the local mean with faint ones amplified.

    The amplification keeps a step of two grey levels from being lost in the picture's own contrast.
    """
    x = torch.from_numpy(patches).permute(0, 3, 1, 2).float()
    rest = x - functional.avg_pool2d(x, 9, 1, 4, count_include_pad=False)
    return torch.cat([(x - 128) / 64, torch.tanh(rest / 6)], 1)


class Classifier:
    """Classifier fitted to patches (N, S, S, 3) and 0/1 labels (N,) with weights (N,).

    Patches are turned and mirrored at random unless `upright`. The same seed gives the same classifier.
    """

    def __init__(
        self,
        patches: Patches,
        positive: NDArray[np.bool_],
        weights: Floats | None = None,
        *,
        epochs: int,
        width: int = 16,
        seed: int = 0,
        upright: bool = False,
    ) -> None:
        halvings = max(1, int(np.log2(patches.shape[1])) - 2)
        with torch_stream(seed, "validity"):
            self.network = _network(width, halvings).to(memory_format=torch.channels_last)
            x, y = _tensor(patches), torch.from_numpy(positive).float()
            w = torch.ones(len(y)) if weights is None else torch.from_numpy(weights).float()
            self._fit(x, y, w, epochs, upright)

    def _fit(self, x: Tensor, y: Tensor, w: Tensor, epochs: int, upright: bool) -> None:
        batch = min(64, max(16, len(y) // 40))
        steps = epochs * max(1, len(y) // batch)
        optimizer = torch.optim.AdamW(self.network.parameters(), lr=3e-3, weight_decay=0.02)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
        loss = nn.BCEWithLogitsLoss(reduction="none")
        for _ in range(epochs):
            order = torch.randperm(len(y))
            for k in range(max(1, len(y) // batch)):
                chosen = order[k * batch : (k + 1) * batch]
                images = x[chosen]
                if not upright:
                    images = torch.rot90(images, int(torch.randint(4, ())), (2, 3))
                    images = images.flip(3) if torch.rand(()) < 0.5 else images
                wrong = loss(self._answer(images), y[chosen])
                optimizer.zero_grad()
                (wrong * w[chosen]).mean().backward()
                optimizer.step()
                schedule.step()
        self.network.eval()

    def _answer(self, images: Tensor) -> Tensor:
        # bf16 is twice as fast on processors that multiply it natively; elsewhere it would be emulated
        capable = torch.cpu._is_avx512_bf16_supported()
        with torch.autocast("cpu", torch.bfloat16, enabled=capable):
            return self.network(images.contiguous(memory_format=torch.channels_last)).squeeze(1).float()

    @torch.no_grad()
    def __call__(self, patches: Patches) -> Floats:
        """Return scores (N,), which are higher for patches that look positive."""
        parts = [self._answer(_tensor(part)) for part in np.array_split(patches, len(patches) // 512 + 1)]
        return torch.cat(parts).double().numpy()
