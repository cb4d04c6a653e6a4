"""A detector as one ONNX file that maps uint8 images to detections.

The file suppresses boxes by the same rule as PyTorch.
"""

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
    """Raised if a library of the extra `export` is not installed."""


class Deployed(nn.Module):
    """A detector and its decoding in inference form, which return tensors of fixed size.

    Each image has D rows of detections: max_detections, or the number of candidates if that is smaller.
    Images are uint8 (N, 3, H, W), RGB, as cameras and files give them. That takes a quarter of the bytes of
    float32 and leaves no scaling for callers to get wrong.
    """

    def __init__(self, detector: Detector, decode: Decode[Any], image_size: tuple[int, int]) -> None:
        super().__init__()
        self.detector = inference_form(detector)
        self.decode = decode
        self.image_size = image_size

    def raw(self, images: Tensor) -> list[Tensor]:
        """Return the head's raw predictions."""
        return self.detector(images.float() / 255)

    def detect(self, images: Tensor) -> list[dict[str, Tensor]]:
        """Return the detections in the format of `Decode`."""
        return self.decode(self.raw(images), self.image_size)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return `boxes` (N, D, 4), `scores` (N, D) and `labels` (N, D), best first, and `counts` (N,).

        The first `counts` rows of an image are its detections. In the other rows boxes and scores are 0 and
        labels are -1.
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
        """Select the best P of the R reports on A boxes per image.

        Returns boxes (N, P, 4), scores (N, P) and labels (N, P), best first. Boxes are clipped to the image;
        a box that is empty after clipping gets the score -1.
        """
        a_box = scores.shape[1] // boxes.shape[1]
        scores, best = scores.topk(min(self.decode.max_candidates, scores.shape[1]), dim=1)
        boxes = clip_boxes_to_image(_rows(boxes, best // a_box), self.image_size)
        within = (boxes[..., 2:] > boxes[..., :2]).all(-1)
        return boxes, scores.where(within, -1), labels.gather(1, best)


def _rows(boxes: Tensor, index: Tensor) -> Tensor:
    """Gather boxes (N, P, 4) from boxes (N, A, 4) at the indices (N, P)."""
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
    """Return scores (N, P) after class-wise suppression: unchanged, or -1 where suppressed.

    This is a custom operator because ONNX has its own operator for suppression, which replaces it in the file
    and keeps at most `limit` boxes per class.
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
    """Write one self-contained ONNX file with `about` as its metadata.

    The file accepts any batch size and one image size. Raises ExtraMissingError if a library of the extra
    `export` is missing.
    """
    program = exported(deployed.eval(), torch.zeros(2, 3, *deployed.image_size, dtype=torch.uint8), OUTPUTS)
    program.model.metadata_props.update(about)
    with whole_file(path) as draft:
        program.save(draft, external_data=False)


@torch.no_grad()
def exported(module: nn.Module, images: Tensor, outputs: Sequence[str]) -> Any:
    """Return the ONNX program of `module(images)` with a free first axis, the batch."""
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
    """Return an ONNX Runtime session on the CPU.

    Raises ExtraMissingError if ONNX Runtime is not installed.
    """
    runtime = required("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    given = model if isinstance(model, bytes) else str(model)
    return runtime.InferenceSession(given, options, providers=["CPUExecutionProvider"])


def detections(arrays: Arrays) -> list[dict[str, Tensor]]:
    """Convert the outputs of the ONNX file (`OUTPUTS`) to the format of `Decode`."""
    boxes, scores, labels, counts = (torch.from_numpy(array) for array in arrays)
    return [
        {"boxes": boxes[image, :count], "scores": scores[image, :count], "labels": labels[image, :count]}
        for image, count in enumerate(counts.tolist())
    ]


def require_all() -> None:
    """Raise ExtraMissingError unless all libraries for writing and running a file are installed."""
    for library in ("onnx", "onnxscript", "onnxruntime"):
        required(library)


def required(library: str) -> Any:
    """Import a library of the extra `export` and return it.

    Raises ExtraMissingError if it is not installed.
    """
    try:
        return __import__(library)
    except ModuleNotFoundError as error:
        raise ExtraMissingError(
            f"{error.name} is not installed; install the extra `export`: pip install -e '.[export]'"
        ) from None


def _translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """Return ONNX translations of the operators that the exporter does not support."""
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
        # rows of image, class, box; ONNX's boxes are y, x and ours x, y, which does not change the IoU
        best = op.NonMaxSuppression(boxes, by_class, *limits, constant([score_threshold], np.float32))
        place = op.Gather(best, constant([0, 2], np.int64), axis=1)
        blank = op.Expand(nothing, op.Shape(scores))
        return op.ScatterND(blank, place, op.GatherND(scores, place))

    def adaptive_max_pool2d(x: Any, output_size: Sequence[int]) -> tuple[Any, Any]:
        # patches may be unequal, such as 8 patches of 12 cells: gather each one's cells, repeating the last
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
    """Return the cell indices of each of `count` patches of adaptive pooling, (count, longest patch).

    Shorter patches repeat their last cell.
    """
    first = np.arange(count) * length // count
    behind = -(-(np.arange(count) + 1) * length // count)
    most = int((behind - first).max())
    return np.minimum(first[:, None] + np.arange(most), behind[:, None] - 1)
