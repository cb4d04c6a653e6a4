"""Comparison of an ONNX file with the trained detector: detections, average precision, latency."""

from collections.abc import Iterator
from dataclasses import asdict
from itertools import cycle
from typing import Any

import torch
from torch import Tensor

from gffpn.data.datamodule import DetectionData
from gffpn.data.dataset import collate
from gffpn.data.sampler import random_positions
from gffpn.deploy.compare import Agreement
from gffpn.deploy.finished import FinishedRun
from gffpn.deploy.onnx_file import Deployed, detections
from gffpn.detector import Detector
from gffpn.heads.postprocess import Decode
from gffpn.machine.devices import device_name
from gffpn.machine.timing import side_by_side
from gffpn.metrics.detection import DetectionMetric

SPLITS = {"test": "test", "val": "validate"}
"""Lightning's name of the stage that uses each split."""
CPU = torch.device("cpu")


@torch.inference_mode()
def check(
    run: FinishedRun,
    data: DetectionData,
    trained: tuple[Detector, Decode[Any]],
    deployed: Deployed,
    session: Any,
    *,
    split: str,
    limit: int | None,
) -> dict[str, Any]:
    """Compare PyTorch and ONNX Runtime on `limit` random images of a split (None: all).

    Returns the agreement of their detections, and the figures and the latency of both. `trained` is the
    detector in the form in which it was trained, computing in float32; `deployed` is the network that the
    session runs as ONNX.
    """
    agreement = Agreement()
    metrics = {name: DetectionMetric(run.classes) for name in ("torch", "onnx")}
    detector, decode = trained
    for images, targets in _batches(data, split, limit):
        found = {
            "torch": decode(detector(images.float() / 255), run.image_size),
            "onnx": detections(session.run(None, {"images": images.numpy()})),
        }
        agreement.add(found["torch"], found["onnx"])
        for name, metric in metrics.items():
            metric.update(found[name], targets)
    figures = {name: metric.figures(metric.evaluated()) for name, metric in metrics.items()}
    return {
        "split": split,
        "agreement": agreement.summary(),
        "figures": {name: found.columns() for name, found in figures.items()},
        "bins": [size.name for size in figures["torch"].network_bins],
        "latency": latencies(deployed, session, data.sample(split)),
    }


def latencies(deployed: Deployed, session: Any, images: Tensor) -> dict[str, Any]:
    """Measure the latency from a uint8 image to its detections at batch 1, for both in the same rounds.

    Each round takes the next of the images (N, 3, H, W). Returns the median and the 95th percentile in ms.
    """
    tensors = cycle(image[None] for image in images)
    arrays = cycle(image[None].numpy() for image in images)
    ours, theirs = side_by_side(
        lambda: deployed.detect(next(tensors)),
        lambda: session.run(None, {"images": next(arrays)}),
        device=CPU,
        rounds=20,
        budget_s=4.0,
    )
    return {
        "torch": asdict(ours),
        "onnx": asdict(theirs),
        "images": len(images),
        "threads": torch.get_num_threads(),
        "device": device_name(CPU),
    }


def _batches(data: DetectionData, split: str, limit: int | None) -> Iterator[tuple[Tensor, list[Any]]]:
    data.setup(SPLITS[split])
    dataset = data.datasets[split]
    positions = random_positions(len(dataset), limit, 0, "export")
    for first in range(0, len(positions), data.batch_size):
        batch = collate([dataset[0, position] for position in positions[first : first + data.batch_size]])
        yield batch["images"], list(batch["targets"])
