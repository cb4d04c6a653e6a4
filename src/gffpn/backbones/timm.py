"""Backbones from timm: any model that returns feature maps."""

import difflib
import math
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional

from gffpn.backbones import pretrained as weights
from gffpn.pyramid import Level

STRIDES = (4, 8, 16, 32)
CHECK_SIZE = (96, 128)  # pixels; multiples of 32 that give several cells at stride 32


class TimmBackbone(nn.Module):
    """Feature maps of strides 4 to 32 from the timm model `name`.

    Images (N, 3, H, W), values in 0..1, are normalised with the model's own mean and standard deviation.
    Images whose size the coarsest stride does not divide are padded with the mean colour on the right and at
    the bottom, and their maps are cropped to ceil(size / stride).

    The weights are random until `load_weights` loads those that `pretrained` (the weights of timm's own hub)
    or `file` (a local .safetensors file or torch state dict) chooses. A network that gets its weights from a
    checkpoint therefore needs neither the hub nor the file.

    Raises ValueError if timm has no model `name`, the model does not return such maps for every image size,
    timm has no `pretrained` weights for it, or there is a `file` as well.
    """

    normalises = True
    """The first operator is not a convolution: images of lower precision would lose grey levels in it."""
    mean: Tensor
    std: Tensor

    def __init__(self, *, name: str, pretrained: bool, file: str | None = None) -> None:
        super().__init__()
        body = create(name)
        _check_source(name, pretrained=pretrained, file=file)
        self._name, self._pretrained, self._file = name, pretrained, file
        self.body: nn.Module = body
        strides = body.feature_info.reduction()
        self._positions = [i for i, stride in enumerate(strides) if stride in STRIDES]
        self.out_levels = tuple(Level(body.feature_info.channels()[i], strides[i]) for i in self._positions)
        if len({level.stride for level in self.out_levels}) != max(1, len(self.out_levels)):
            raise ValueError(
                f"{name} has maps of strides {strides}, expected one per stride, among {STRIDES}"
            )
        for key in ("mean", "std"):
            values = torch.tensor(body.pretrained_cfg[key]).view(1, 3, 1, 1)
            self.register_buffer(key, values, persistent=False)
        self._channels_last = self._gives_channels_last(name)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the maps of `out_levels`."""
        height, width = images.shape[-2:]
        coarsest = self.out_levels[-1].stride
        x = (images - self.mean) / self.std
        if height % coarsest or width % coarsest:
            x = functional.pad(x, (0, -width % coarsest, 0, -height % coarsest))
        maps = self.body(x)
        features = []
        for i, (_, stride) in zip(self._positions, self.out_levels, strict=True):
            y = maps[i].permute(0, 3, 1, 2) if self._channels_last else maps[i]
            features.append(y[..., : math.ceil(height / stride), : math.ceil(width / stride)])
        return features

    def check_weights(self) -> None:
        """Raise ValueError if the local file does not fit; the hub is not asked."""
        if self._file is not None:
            self._from_file(Path(self._file))

    def load_weights(self) -> None:
        """Load the weights with which a training starts; see `pretrained` for the errors."""
        if self._pretrained:
            self.body = weights.from_hub(self._name)
        elif self._file is not None:
            self.body.load_state_dict(self._from_file(Path(self._file)))

    def _from_file(self, file: Path) -> dict[str, Tensor]:
        return weights.from_file(file, self._name, self.body.state_dict())

    @torch.no_grad()
    def _gives_channels_last(self, name: str) -> bool:
        """Return whether the maps have their channels last; raise ValueError if their shapes are unexpected.

        Runs the model once, because timm states a map's size only to within one cell.
        """
        height, width = CHECK_SIZE
        self.body.eval()
        try:
            maps = self.body(torch.zeros(1, 3, height, width))
        except (AssertionError, RuntimeError) as error:
            raise ValueError(f"{name} does not run at {height} x {width} pixels: {error}") from error
        self.body.train()
        got = [tuple(maps[i].shape[1:]) for i in self._positions]
        promised = [(channels, height // stride, width // stride) for channels, stride in self.out_levels]
        if got == [(h, w, c) for c, h, w in promised]:
            return True
        if got != promised:
            raise ValueError(
                f"{name} returns maps of shapes {got} at {height} x {width}, expected {promised}"
            )
        return False


def create(name: str) -> Any:
    """Return a timm model as a feature extractor with random weights; see `TimmBackbone` for the errors."""
    known = [*timm.list_models(), *timm.list_models(include_tags=True)]
    if name not in known:
        near = difflib.get_close_matches(name, known, n=5)
        raise ValueError(f"name: got {name!r}, which timm {timm.__version__} does not have; similar: {near}")
    return timm.create_model(name, features_only=True)


def _check_source(name: str, *, pretrained: bool, file: str | None) -> None:
    if pretrained and file is not None:
        raise ValueError(f"backbone.pretrained=true: got backbone.file={file} as well, expected one of them")
    if pretrained and not timm.is_model_pretrained(name):
        others = timm.list_pretrained(f"{name.partition('.')[0]}.*")
        raise ValueError(
            f"backbone.pretrained=true: timm has no pretrained weights for {name}; with weights: {others}"
        )
