"""gffpn: a fair comparison of feature-pyramid necks for small-defect detection.

In your own code: `load` for a trained detector, `neck` and `backbone_with_neck` for a neck in a network of
another library. docs/library.md shows them.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from torch import nn

    from gffpn.build.plug import BackboneWithNeck
    from gffpn.deploy.detector import ImageDetector
    from gffpn.pyramid import Neck

# the functions import when they are called, so that importing gffpn imports no torch


def load(path: "str | Path", **options: Any) -> "ImageDetector":
    """Return the detector of a finished run's folder, or of an ONNX file of `gffpn export`.

    `load("runs/NAME")(image)` returns the detections in an image. The options are those of
    `gffpn.deploy.detector.load_detector`: `threshold`, `classes`, `max_detections`, `slicing`, `device`,
    `half`, `allowed`.
    """
    from gffpn.deploy.detector import load_detector
    from gffpn.deploy.slices import Slicing

    slicing = options.get("slicing")
    if not isinstance(slicing, Slicing | None):
        raise ValueError(f"slicing: got {slicing!r}, expected Slicing(SIDE) of gffpn.deploy.slices, or None")
    return load_detector(path, **options)


def neck(name: str, in_levels: "Iterable[tuple[int, int]]", overrides: "Iterable[str]" = ()) -> "Neck":
    """Build a neck of `conf/neck/`; see `gffpn.build.plug.neck_on`."""
    from gffpn.build.plug import neck_on

    return neck_on(name, in_levels, overrides)


def backbone_with_neck(
    body: "nn.Module",
    in_levels: "Iterable[tuple[int, int]]",
    name: str = "gffpn",
    overrides: "Iterable[str]" = (),
) -> "BackboneWithNeck":
    """Put a neck on a backbone, for torchvision's detectors; see `gffpn.build.plug.BackboneWithNeck`."""
    from gffpn.build.plug import BackboneWithNeck, neck_on

    levels = list(in_levels)
    return BackboneWithNeck(body, levels, neck_on(name, levels, overrides))
