"""CSPDarknet, the backbone of the paper's base detector.

Wang et al., CSPNet (CVPR Workshops 2020), in the form used by YOLOv5 v6, as publicly described; the parameter
counts equal those in the paper's table 5.

Deviations: the stem pads images of odd size by one row or column, so that every map has ceil(size / stride)
cells.
"""

from torch import Tensor, nn
from torch.nn import functional

from gffpn.layers.conv import ConvBNAct, scaled_width
from gffpn.layers.csp import C3, SPPF, scaled_depth
from gffpn.pyramid import Level

STEM_CHANNELS = 64
# stride: channels, bottlenecks
STAGES = {4: (128, 3), 8: (256, 6), 16: (512, 9), 32: (1024, 3)}


class CSPDarknet(nn.Module):
    """A 6x6 stem of stride 2, then a 3x3 convolution of stride 2 and a C3 block per stage; SPPF at the end.

    Maps images (N, 3, H, W), values in 0..1, to C2..C5. The C3 blocks have shortcuts. `depth` and `width`
    multiply the number of bottlenecks and the number of channels.
    """

    def __init__(self, *, depth: float, width: float) -> None:
        super().__init__()
        channels = scaled_width(STEM_CHANNELS, width)
        self.stem = ConvBNAct(3, channels, 6, 2)
        stages = []
        levels = []
        for stride, (full_channels, bottlenecks) in STAGES.items():
            out_channels = scaled_width(full_channels, width)
            stages.append(
                nn.Sequential(
                    ConvBNAct(channels, out_channels, 3, 2),
                    C3(out_channels, out_channels, scaled_depth(bottlenecks, depth), shortcut=True),
                )
            )
            levels.append(Level(out_channels, stride))
            channels = out_channels
        stages[-1].append(SPPF(channels))
        self.stages = nn.ModuleList(stages)
        self.out_levels = tuple(levels)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the feature maps of strides 4, 8, 16 and 32."""
        height, width = images.shape[-2:]
        if height % 2 or width % 2:
            images = functional.pad(images, (0, width % 2, 0, height % 2))
        x = self.stem(images)
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features
