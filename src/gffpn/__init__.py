"""gffpn: a fair comparison of feature-pyramid necks for small-defect detection."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from gffpn.deploy.detector import ImageDetector


def load(path: "str | Path", **options: Any) -> "ImageDetector":
    """Return the detector of a finished run's folder, or of an ONNX file of `gffpn export`.

    `load("runs/NAME")(image)` returns the detections in an image. The options are those of
    `gffpn.deploy.detector.load_detector`: `threshold`, `classes`, `max_detections`, `slicing`, `device`,
    `allowed`.
    """
    from gffpn.deploy.detector import load_detector  # here, so that importing gffpn imports no torch

    return load_detector(path, **options)
