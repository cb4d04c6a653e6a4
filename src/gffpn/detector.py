"""Detector: backbone, neck and head in sequence."""

from torch import Tensor, nn

from gffpn.pyramid import Backbone, Head, Neck, positions_read


class Detector(nn.Module):
    """Network from images (N, 3, H, W), values in 0..1, to the head's raw predictions, one tensor per level.

    The neck receives only the backbone levels that it reads, in its own order. Raises ValueError if the
    backbone lacks one of them.
    """

    def __init__(self, backbone: Backbone, neck: Neck, head: Head) -> None:
        super().__init__()
        self.backbone = backbone
        self.neck = neck
        self.head = head
        self._read = positions_read(backbone.out_levels, neck)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return raw predictions, finest level first; the head's loss and decoder interpret them."""
        features = self.backbone(images)
        return self.head(self.neck([features[i] for i in self._read]))
