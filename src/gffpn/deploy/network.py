"""A trained network that detects in letterboxed images: a finished run, or an exported ONNX file."""

import json
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gffpn.deploy.detections import Detections
from gffpn.deploy.finished import FinishedRun, finished_run
from gffpn.deploy.onnx_file import Arrays, Deployed, ExtraMissingError, detections, session
from gffpn.deploy.single_cores import SingleCores
from gffpn.files.content import content_digest
from gffpn.machine.devices import device, precision, without_tf32

T = TypeVar("T")


class Network(Protocol):
    """Detection in batches of images of one size."""

    classes: tuple[str, ...]
    image_size: tuple[int, int]
    """(height, width) of the input, in pixels."""
    operating_threshold: float | None
    """Score threshold with the best F1 on the run's val split; None if it is not known."""
    max_detections: int
    """Detections per input image at most."""
    digest: str
    """Digest of the file of weights."""
    precision: str
    """Lightning's name of the precision in which it computes."""

    def __call__(self, images: NDArray[np.uint8]) -> list[Detections]:
        """Return the detections in letterboxed images (N, 3, H, W), with boxes in pixels of the input."""

    def raw(self, images: NDArray[np.uint8]) -> Any:
        """Return what the network computes before its detections are selected, to measure that alone."""

    def skip_below(self, score: float) -> None:
        """Permit that detections with a lower score are left out, which saves time."""

    def return_up_to(self, detections: int) -> None:
        """Return this many detections per input if there are as many. Raises ValueError if it cannot."""


class TorchNetwork:
    """The network of a finished run in PyTorch; `folded` selects its inference form.

    `half` computes in bf16 if the device multiplies it in hardware, and otherwise in fp32.
    """

    def __init__(
        self, run: FinishedRun, on: torch.device, *, folded: bool = True, half: bool = False
    ) -> None:
        detector, decode = run.detector()
        self.classes = tuple(run.classes)
        self.image_size = run.image_size
        point = run.record.operating_point
        self.operating_threshold = point.threshold if point else None
        self.max_detections: int = decode.max_detections
        self.digest = content_digest(run.folder.checkpoints / "best.ckpt")
        self.precision = precision("auto", on.type) if half else "32-true"
        self._device = on
        self._cores = SingleCores()
        self._decode = decode
        self._network = detector.to(on)
        if folded:
            deployed = Deployed(detector, decode, run.image_size).to(on)
            # the faster order of memory on every device that docs/inference.md measures
            self._network = deployed.detector.to(memory_format=torch.channels_last)
        self._folded = folded

    def __call__(self, images: NDArray[np.uint8]) -> list[Detections]:
        found = self._map(lambda raw: _plain(self._decode(raw, self.image_size), self.classes), images)
        return [one for part in found for one in part]

    def raw(self, images: NDArray[np.uint8]) -> list[list[Tensor]]:
        return self._map(lambda raw: raw, images)

    def _map(self, work: Callable[[list[Tensor]], T], images: NDArray[np.uint8]) -> list[T]:
        """Return `work` of the network's output for each part of the batch."""
        layout = torch.channels_last if self._folded else torch.contiguous_format
        lower = self.precision != "32-true"

        def compute(part: NDArray[np.uint8]) -> T:
            x = torch.from_numpy(part).to(self._device).to(torch.float32, memory_format=layout) / 255
            autocast = torch.autocast(self._device.type, torch.bfloat16, enabled=lower)
            with torch.inference_mode(), autocast:  # for this thread only
                return work(self._network(x))

        # as it was trained, the network also computes as in training, in one part
        parts = self._cores.split(images) if self._folded and self._device.type == "cpu" else [images]
        with without_tf32():
            return self._cores.map(compute, parts)

    def skip_below(self, score: float) -> None:
        # the decoder keeps scores above its threshold, and `score` itself counts
        below = float(np.nextafter(np.float32(score), np.float32(0)))
        self._decode.score_threshold = max(self._decode.score_threshold, below)

    def return_up_to(self, detections: int) -> None:
        self.max_detections = self._decode.max_detections = max(self.max_detections, detections)


class OnnxNetwork:
    """The network of a file that `gffpn export` wrote, in ONNX Runtime on the CPU.

    Raises ValueError for any other file.
    """

    precision = "32-true"

    def __init__(self, path: Path) -> None:
        self._cores = SingleCores()
        self._lowest = np.float32(0)
        self._path = path
        self._session = _opened(path, self._cores.threads)
        try:
            about = self._session.get_modelmeta().custom_metadata_map
            self.classes = tuple(json.loads(about["classes"]))
            height, width = json.loads(about["image_size"])
            self.max_detections = int(about["max_detections"])
        except KeyError as error:
            raise ValueError(
                f"{path}: has no {error} in its metadata, expected a file of gffpn export"
            ) from None
        self.image_size = (height, width)
        self.operating_threshold = json.loads(about.get("operating_threshold", "null"))
        self.digest = content_digest(path)

    def __call__(self, images: NDArray[np.uint8]) -> list[Detections]:
        found = [one for part in self.raw(images) for one in _plain(detections(part), self.classes)]
        return [one[one.scores >= self._lowest] for one in found]

    def raw(self, images: NDArray[np.uint8]) -> list[Arrays]:
        """Return the outputs of the file, because suppression is a part of it."""
        parts = self._cores.split(images)
        runtime = self._session if len(parts) == 1 else self._one_core

        def compute(part: NDArray[np.uint8]) -> Arrays:
            arrays: Arrays = runtime.run(None, {"images": part})
            return arrays

        return self._cores.map(compute, parts)

    @cached_property
    def _one_core(self) -> Any:
        return session(self._path, threads=1)

    def skip_below(self, score: float) -> None:
        # the file selects by its own threshold, and hundreds of unwanted detections in each slice would take
        # a fifth of the network's time to merge
        self._lowest = np.float32(score)

    def return_up_to(self, detections: int) -> None:
        if detections > self.max_detections:
            raise ValueError(
                f"--max-det: got {detections}, expected at most {self.max_detections}, which {self._path} "
                "returns for one input; the run's folder returns more, and so do slices"
            )


def open_network(path: Path, on: str = "auto", *, allowed: Sequence[str] = (), half: bool = False) -> Network:
    """Open a finished run's folder or an ONNX file on the device `on`.

    An ONNX file runs on the CPU, in fp32.

    Raises ValueError with a one-line message if it is neither; see also `finished_run`.
    """
    if path.suffix == ".onnx":
        if not path.is_file():
            raise ValueError(f"{path}: no such file")
        if on not in ("auto", "cpu"):
            raise ValueError(f"--device: got {on!r}, expected 'cpu' for an ONNX file")
        if half:
            raise ValueError("--half: an ONNX file computes in fp32; a run's folder can compute in bf16")
        if allowed:
            raise ValueError("--allow: an ONNX file constructs no classes; leave the option out")
        return OnnxNetwork(path)
    return TorchNetwork(finished_run(path, allowed=allowed), device(on, setting="--device"), half=half)


def _opened(path: Path, threads: int) -> Any:
    try:
        return session(path, threads=threads)
    except ExtraMissingError:
        raise
    except Exception as error:  # ONNX Runtime has an exception of its own for each fault
        raise ValueError(f"{path}: not readable as ONNX: {' '.join(str(error).split())[:200]}") from error


def _plain(found: list[dict[str, Tensor]], classes: tuple[str, ...]) -> list[Detections]:
    def array(x: Tensor) -> Any:
        return x.cpu().numpy()

    return [
        Detections(
            array(one["boxes"]).astype(np.float32), array(one["scores"]), array(one["labels"]), classes
        )
        for one in found
    ]
