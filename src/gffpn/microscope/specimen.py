"""One image on its way through a detector: its levels, and the gradients that reach them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from gffpn.build.detector import build_detector, build_loss_and_decode
from gffpn.config.check import compose_checked
from gffpn.config.compose import image_size
from gffpn.data.tinyindus import example_scene
from gffpn.deploy.finished import finished_run
from gffpn.detector import Detector
from gffpn.pyramid import positions_read
from gffpn.task import LossFunction
from tinyindus.classes import CLASSES


@dataclass(frozen=True)
class Specimen:
    """A detector in eval mode and one labelled image."""

    name: str
    """The run's folder, or the overrides of an untrained detector."""
    trained: bool
    detector: Detector
    loss: LossFunction
    image: Tensor
    """uint8 (3, H, W)."""
    target: dict[str, Tensor]
    """`boxes` (M, 4) xyxy in pixels and `labels` (M,), without crowd regions."""
    mask: NDArray[np.bool_]
    """(H, W), true on the objects: their pixels if the data is simulated, otherwise their boxes."""

    @property
    def images(self) -> Tensor:
        """The image as the detector takes it, float32 (1, 3, H, W)."""
        return self.image[None].float() / 255

    def maps(self) -> dict[str, dict[int, Tensor]]:
        """Return the maps (C, H, W) by stride, of the backbone under `C` and of the neck under `P`."""
        with torch.no_grad():
            given, made, _ = self._stages()
        return {"C": {s: x[0] for s, x in given.items()}, "P": {s: x[0] for s, x in made.items()}}

    def gradients(self) -> dict[str, dict[int, float]]:
        """Return the norm of the loss's gradient with respect to each map, by stride, under `C` and `P`.

        A map on which the loss does not depend has 0.
        """
        with torch.enable_grad():
            given, made, raw = self._stages(leaves=True)
            total = torch.stack(list(self.loss(raw, [self.target], self._size).values())).sum()
            maps = [*given.values(), *made.values()]
            found = torch.autograd.grad(total, maps, allow_unused=True)
        norms = [0.0 if one is None else float(one.norm()) for one in found]
        return {
            "C": dict(zip(given, norms, strict=False)),
            "P": dict(zip(made, norms[len(given) :], strict=True)),
        }

    @property
    def _size(self) -> tuple[int, int]:
        return self.image.shape[-2], self.image.shape[-1]

    def _stages(self, *, leaves: bool = False) -> tuple[dict[int, Tensor], dict[int, Tensor], list[Tensor]]:
        """Return the maps that the neck reads and gives, (1, C, H, W) by stride, and the raw predictions.

        leaves: have gradients end at the maps that the neck reads, also if the backbone has none.
        """
        backbone, neck = self.detector.backbone, self.detector.neck
        features = backbone(self.images)
        read = [features[i] for i in positions_read(backbone.out_levels, neck)]
        if leaves:
            read = [x.detach().requires_grad_() for x in read]
        outputs = neck(list(read))
        strides = [level.stride for level in neck.out_levels]
        return (
            dict(zip(neck.in_strides, read, strict=True)),
            dict(zip(strides, outputs, strict=True)),
            self.detector.head(list(outputs)),
        )


def of_run(
    run: Path, *, position: int | None = None, overrides: Sequence[str] = (), allowed: Sequence[str] = ()
) -> Specimen:
    """Return a finished run's detector and an image of its test split; see `finished_run`.

    position: position of the image; None for the one with the most objects.
    """
    finished = finished_run(run, overrides, allowed=allowed)
    detector, _ = finished.detector()
    data = finished.data()
    data.setup("test")
    dataset = data.datasets["test"]
    if position is None:
        position = int(np.argmax([len(record.objects.labels) for record in dataset.records]))
    image, target = dataset[0, position]
    record, objects = dataset.records[position], ~target["crowd"]
    boxes, labels = target["boxes"][objects], target["labels"][objects]
    mask = boxes_mask(boxes, (image.shape[1], image.shape[2]))
    # the simulator draws at the network's size, so that its masks need no letterbox
    if data.index.simulated and (record.height, record.width) == mask.shape:
        mask = simulated_mask(record.path)
    loss = build_loss_and_decode(finished.config, detector.head)[0]
    return Specimen(run.name, True, detector, loss, image, {"boxes": boxes, "labels": labels}, mask)


def untrained(overrides: Sequence[str]) -> Specimen:
    """Return the untrained detector that overrides choose, and a simulated image.

    Its norms have the statistics of that image, as in a first step of training; with those of their
    constructor, the maps would shrink from layer to layer.
    """
    config = compose_checked(overrides)
    scene = example_scene(image_size(config))
    detector = build_detector(config, len(CLASSES))
    target = {"boxes": torch.from_numpy(scene.boxes), "labels": torch.from_numpy(scene.labels)}
    loss = build_loss_and_decode(config, detector.head)[0]
    image = torch.from_numpy(scene.pixels)
    specimen = Specimen(" ".join(overrides), False, detector, loss, image, target, scene.mask)
    for part in detector.modules():
        if isinstance(part, _BatchNorm):
            part.momentum = None  # a mean over all batches, here one
    with torch.no_grad():
        detector.train()(specimen.images)
    detector.eval()
    return specimen


def boxes_mask(boxes: Tensor, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return a mask of `size` (H, W) that is true on every pixel that boxes (M, 4) xyxy touch."""
    mask = np.zeros(size, np.bool_)
    for x1, y1, x2, y2 in boxes.tolist():
        mask[int(y1) : int(np.ceil(y2)), int(x1) : int(np.ceil(x2))] = True
    return mask


def simulated_mask(picture: Path) -> NDArray[np.bool_]:
    """Return the pixels (H, W) of the defects in a picture `<set>/images/<split>/<name>.png`.

    The simulator measures them and writes them beside the boxes.
    """
    split, folder = picture.parent.name, picture.parents[2]
    written = json.loads((folder / "annotations" / f"{split}.json").read_text(encoding="utf-8"))
    (image,) = [one for one in written["images"] if Path(one["file_name"]).name == picture.name]
    masks = [one["segmentation"] for one in written["annotations"] if one["image_id"] == image["id"]]
    found = np.zeros((image["height"], image["width"]), np.bool_)
    for mask in masks:
        found |= from_run_lengths(mask["counts"], (image["height"], image["width"]))
    return found


def from_run_lengths(counts: Sequence[int], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the mask (H, W) of COCO's uncompressed run lengths: column by column, zeros first."""
    values = np.arange(len(counts)) % 2 == 1
    return np.repeat(values, counts).reshape(size, order="F")
