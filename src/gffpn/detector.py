"""Backbone, neck and head in a row."""

from torch import Tensor, nn

from gffpn.pyramid import Backbone, Head, Neck


class Detector(nn.Module):
    """Images (N, 3, H, W), values in 0..1, to the head's raw predictions, one tensor a level."""

    def __init__(self, backbone: Backbone, neck: Neck, head: Head) -> None:
        super().__init__()
        self.backbone = backbone
        self.neck = neck
        self.head = head

    def forward(self, images: Tensor) -> list[Tensor]:
        """Raw predictions, finest level first; what they mean is the head's loss's and decoding's to know."""
        return self.head(self.neck(self.backbone(images)))
