"""A detector as one ONNX file: uint8 images in, detections out, by the same rule of suppression."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchvision.ops import batched_nms, clip_boxes_to_image

from gffpn.detector import Detector
from gffpn.files.writing import whole_file
from gffpn.fold import inference_form
from gffpn.heads.postprocess import Decode

OUTPUTS = ("boxes", "scores", "labels", "counts")
Arrays = list[NDArray[Any]]


class ExtraMissingError(ValueError):
    """A library of the extra `export` is not installed."""


class Deployed(nn.Module):
    """Images to detections in tensors of one size, D = max_detections (or the candidates, if fewer) an image.

    The detector and its decoding in their inference form. Images are uint8 (N, 3, H, W), RGB: what cameras
    and files give, a quarter of the bytes of float32, and no scale that a caller could get wrong.
    """

    def __init__(self, detector: Detector, decode: Decode[Any], image_size: tuple[int, int]) -> None:
        super().__init__()
        self.detector = inference_form(detector)
        self.decode = decode
        self.image_size = image_size

    def raw(self, images: Tensor) -> list[Tensor]:
        """The head's raw predictions."""
        return self.detector(images.float() / 255)

    def detect(self, images: Tensor) -> list[dict[str, Tensor]]:
        """The detections, as `Decode` gives them."""
        return self.decode(self.raw(images), self.image_size)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """`boxes` (N, D, 4), `scores` (N, D), `labels` (N, D), best first, of which `counts` (N,) are found.

        Behind them boxes and scores are 0 and labels -1.
        """
        decode = self.decode
        predicted, scores = decode.predict(self.raw(images))
        classes = scores.shape[-1]
        boxes, scores, labels = self._candidates(predicted, *decode.per_report(scores))
        scores = kept(
            boxes,
            scores,
            labels,
            classes=classes,
            score_threshold=decode.score_threshold,
            iou_threshold=decode.iou_threshold,
            limit=decode.max_detections,
        )
        scores, best = scores.topk(min(decode.max_detections, scores.shape[1]), dim=1)
        found = scores > decode.score_threshold
        boxes = _rows(boxes, best).where(found[..., None], 0)
        return boxes, scores.where(found, 0), labels.gather(1, best).where(found, -1), found.sum(1)

    def _candidates(self, boxes: Tensor, scores: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The best of R reports on A boxes an image: boxes (N, P, 4), scores and labels (N, P), best first.

        Boxes are clipped to the image; one that has no area there scores -1.
        """
        a_box = scores.shape[1] // boxes.shape[1]
        scores, best = scores.topk(min(self.decode.max_candidates, scores.shape[1]), dim=1)
        boxes = clip_boxes_to_image(_rows(boxes, best // a_box), self.image_size)
        within = (boxes[..., 2:] > boxes[..., :2]).all(-1)
        return boxes, scores.where(within, -1), labels.gather(1, best)


def _rows(boxes: Tensor, index: Tensor) -> Tensor:
    """Boxes (N, P, 4) of (N, A, 4) at (N, P)."""
    return boxes.gather(1, index[..., None].expand(-1, -1, 4))


@torch.library.custom_op("gffpn::kept", mutates_args=())
def kept(
    boxes: Tensor,
    scores: Tensor,
    labels: Tensor,
    *,
    classes: int,
    score_threshold: float,
    iou_threshold: float,
    limit: int,
) -> Tensor:
    """Scores (N, P) after class-wise suppression: as they were, or -1 for what is suppressed.

    An operator of our own, for which the ONNX file has one of its own, which keeps at most `limit` a class.
    """
    after = torch.full_like(scores, -1)
    for image in range(len(boxes)):
        chosen = (scores[image] > score_threshold).nonzero().squeeze(1)
        best = chosen[
            batched_nms(boxes[image, chosen], scores[image, chosen], labels[image, chosen], iou_threshold)
        ]
        after[image, best] = scores[image, best]
    return after


@kept.register_fake
def _(boxes: Tensor, scores: Tensor, labels: Tensor, **rule: float) -> Tensor:
    return torch.empty_like(scores)


def write_onnx(deployed: Deployed, path: Path, about: Mapping[str, str]) -> None:
    """Write one self-contained file; `about` becomes its metadata. Any batch, images of one size.

    Raises ExtraMissingError without the libraries of the extra `export`.
    """
    program = exported(deployed.eval(), torch.zeros(2, 3, *deployed.image_size, dtype=torch.uint8), OUTPUTS)
    program.model.metadata_props.update(about)
    with whole_file(path) as draft:
        program.save(draft, external_data=False)


@torch.no_grad()
def exported(module: nn.Module, images: Tensor, outputs: Sequence[str]) -> Any:
    """The ONNX program of `module(images)` in which the first axis, the batch, is free."""
    required("onnxscript")
    return torch.onnx.export(
        module,
        (images,),
        input_names=["images"],
        output_names=list(outputs),
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        custom_translation_table=_translations(),
        dynamo=True,
        verbose=False,
    )


def session(model: Path | bytes, *, threads: int) -> Any:
    """An ONNX Runtime session on the CPU.

    Raises ExtraMissingError without ONNX Runtime.
    """
    runtime = required("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    given = model if isinstance(model, bytes) else str(model)
    return runtime.InferenceSession(given, options, providers=["CPUExecutionProvider"])


def detections(arrays: Arrays) -> list[dict[str, Tensor]]:
    """What the ONNX file gives (`OUTPUTS`) as `Decode` gives it."""
    boxes, scores, labels, counts = (torch.from_numpy(array) for array in arrays)
    return [
        {"boxes": boxes[image, :count], "scores": scores[image, :count], "labels": labels[image, :count]}
        for image, count in enumerate(counts.tolist())
    ]


def require_all() -> None:
    """Raise ExtraMissingError unless all that writing and running a file takes is installed."""
    for library in ("onnx", "onnxscript", "onnxruntime"):
        required(library)


def required(library: str) -> Any:
    """Import a library of the extra `export`; raises ExtraMissingError."""
    try:
        return __import__(library)
    except ModuleNotFoundError as error:
        raise ExtraMissingError(
            f"{error.name} is not installed: the extra `export` has it (pip install -e '.[export]')"
        ) from None


def _translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """Operators that the exporter does not know, in ONNX."""
    from onnx.numpy_helper import from_array
    from onnxscript import opset18 as op

    def constant(values: Any, dtype: type) -> Any:
        return op.Constant(value=from_array(np.array(values, dtype)))

    def suppressed(
        boxes: Any,
        scores: Any,
        labels: Any,
        classes: int,
        score_threshold: float,
        iou_threshold: float,
        limit: int,
    ) -> Any:
        of_class = op.Equal(
            op.Unsqueeze(labels, constant([1], np.int64)),
            constant(np.arange(classes)[None, :, None], np.int64),
        )
        nothing = constant(-1, np.float32)
        by_class = op.Where(of_class, op.Unsqueeze(scores, constant([1], np.int64)), nothing)
        limits = (constant([limit], np.int64), constant([iou_threshold], np.float32))
        # rows of image, class, box; an IoU does not mind that ONNX says y, x where these boxes say x, y
        best = op.NonMaxSuppression(boxes, by_class, *limits, constant([score_threshold], np.float32))
        place = op.Gather(best, constant([0, 2], np.int64), axis=1)
        blank = op.Expand(nothing, op.Shape(scores))
        return op.ScatterND(blank, place, op.GatherND(scores, place))

    def adaptive_max_pool2d(x: Any, output_size: Sequence[int]) -> tuple[Any, Any]:
        # patches of unequal sides, as of 12 cells in 8: each as a row of its cells, the last one repeated
        for axis, length, count in zip((2, 3), x.shape[2:], output_size, strict=True):
            cells = _patches(length, count)
            x = op.ReduceMax(
                op.Gather(x, constant(cells, np.int64), axis=axis), constant([axis + 1], np.int64), keepdims=0
            )
        return x, x

    return {
        torch.ops.gffpn.kept.default: suppressed,
        torch.ops.aten.adaptive_max_pool2d.default: adaptive_max_pool2d,
    }


def _patches(length: int, count: int) -> NDArray[np.int64]:
    """The cells of each of `count` patches of adaptive pooling, (count, most); a shorter one's last again."""
    first = np.arange(count) * length // count
    behind = -(-(np.arange(count) + 1) * length // count)
    most = int((behind - first).max())
    return np.minimum(first[:, None] + np.arange(most), behind[:, None] - 1)
