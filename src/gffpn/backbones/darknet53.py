"""Darknet-53.

Redmon and Farhadi, YOLOv3: An Incremental Improvement (2018), table 1, without the classifier.

Deviations: SiLU instead of leaky ReLU and the batch-norm constants of the cspdarknet lineage, so that only
the structure differs from cspdarknet; depth and width multiples.
"""

from torch import Tensor, nn

from gffpn.layers.conv import ConvBNAct, scaled_width
from gffpn.layers.csp import Bottleneck, scaled_depth
from gffpn.pyramid import Level

STEM_CHANNELS = 32
# stride: channels, residual blocks
STAGES = {2: (64, 1), 4: (128, 2), 8: (256, 8), 16: (512, 8), 32: (1024, 4)}
FINEST_STRIDE = 4


class Darknet53(nn.Module):
    """A 3x3 stem, then a 3x3 convolution of stride 2 and residual blocks per stage; no SPP.

    Maps images (N, 3, H, W), values in 0..1, to C2..C5. A residual block is a 1x1 convolution to half the
    channels and a 3x3 back. `depth` and `width` multiply the number of blocks and the number of channels.
    """

    def __init__(self, *, depth: float, width: float) -> None:
        super().__init__()
        channels = scaled_width(STEM_CHANNELS, width)
        self.stem = ConvBNAct(3, channels, 3)
        self.stages = nn.ModuleList()
        levels = []
        for stride, (full_channels, blocks) in STAGES.items():
            out_channels = scaled_width(full_channels, width)
            self.stages.append(
                nn.Sequential(
                    ConvBNAct(channels, out_channels, 3, 2),
                    *(
                        Bottleneck(out_channels, out_channels // 2, shortcut=True)
                        for _ in range(scaled_depth(blocks, depth))
                    ),
                )
            )
            levels.append(Level(out_channels, stride))
            channels = out_channels
        self.out_levels = tuple(level for level in levels if level.stride >= FINEST_STRIDE)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the feature maps of strides 4, 8, 16 and 32."""
        x = self.stem(images)
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features[-len(self.out_levels) :]
