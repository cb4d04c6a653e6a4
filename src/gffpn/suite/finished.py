"""A finished run, as it was: its configuration, its data, its best weights."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf

from gffpn import build
from gffpn.data.datamodule import DetectionData
from gffpn.data.index import DataError
from gffpn.detector import Detector
from gffpn.heads.postprocess import Decode
from gffpn.pyramid import check_image_size
from gffpn.suite.folder import RunFolder
from gffpn.suite.overrides import WRONG_OVERRIDE, told, unwrapped
from gffpn.suite.reading import classes
from gffpn.suite.settings import check_least_or_null

MOVABLE = (
    "data.root",
    "data.splits",
    "paths.cache",
    "loader.cache",
    "trainer.threads",
    "trainer.accelerator",
)
"""What determines no result, and may be elsewhere or otherwise than in the run."""


@dataclass(frozen=True)
class FinishedRun:
    """What a run's folder holds."""

    folder: RunFolder
    config: DictConfig
    metrics: dict[str, Any]

    @property
    def image_size(self) -> tuple[int, int]:
        """(H, W) of the network's input."""
        return build.image_size(self.config)

    @property
    def classes(self) -> list[str]:
        """Names, in the order of the labels."""
        return classes([self.metrics])

    @property
    def resolved(self) -> dict[str, Any]:
        """The configuration as plain values."""
        return build.resolved(self.config)

    def detector(self) -> tuple[Detector, Decode[Any]]:
        """The detector in eval mode with the weights that were tested, and what reads its predictions."""
        try:
            detector = build.build_detector(self.config, len(self.classes))
            decode: Decode[Any] = build.build_loss_and_decode(self.config, detector.head)[1]
        except WRONG_OVERRIDE as error:
            raise ValueError(f"{self.folder.config}: {told(unwrapped(error))}") from error
        size_multiple = getattr(detector.neck, "size_multiple", 1)
        check_image_size(self.image_size, size_multiple, neck=self.config.choice.neck)
        best = self.folder.checkpoints / "best.ckpt"
        state = torch.load(best, map_location="cpu", weights_only=True)["state_dict"]
        own = "detector."
        weights = {key.removeprefix(own): x for key, x in state.items() if key.startswith(own)}
        try:
            detector.load_state_dict(weights)
        except RuntimeError as error:
            first = str(error).splitlines()[1].strip()  # below a title; each line lists its tensors
            raise ValueError(
                f"{best}: not the weights of this version's network, so train it again: {first:.120}..."
            ) from error
        return detector.eval(), decode

    def data(self) -> DetectionData:
        """The data set that the run saw.

        Raises DataError if it is not where the run found it, or is another by now.
        """
        index = build.build_index(self.config)
        expected = self.metrics["data_fingerprint"]
        if index.fingerprint != expected:
            raise DataError(
                f"data: fingerprint {index.fingerprint}, the run {self.folder.path} saw {expected}"
            )
        config = OmegaConf.merge(self.config, {"loader": {"workers": 0}})  # nothing is loaded by batches
        assert isinstance(config, DictConfig)
        return build.build_data(config, index)


def _is_ours(target: str) -> bool:
    if not target.startswith("gffpn."):
        return False
    try:
        found = get_object(target)
    except (ImportError, ValueError, AttributeError):
        return False
    # a module of ours has names of others in it: gffpn.build.os.system
    return str(getattr(found, "__module__", "")).startswith("gffpn.")


def _targets(node: object) -> Iterator[str]:
    """Everything that a configuration would construct."""
    if isinstance(node, dict):
        if "_target_" in node:
            yield str(node["_target_"])
        node = list(node.values())
    for part in node if isinstance(node, list) else ():
        yield from _targets(part)


def finished_run(path: Path, overrides: Sequence[str] = ()) -> FinishedRun:
    """Open a run's folder; `overrides` of `MOVABLE` alone say what lies elsewhere now.

    Raises ValueError, in one line, unless the run is finished and its best weights are there, and if its
    configuration would construct what is not of this project.
    """
    folder = RunFolder(path)
    if folder.status == "missing":
        raise ValueError(f"{path}: no run, expected a folder with config.yaml and metrics.json")
    metrics = folder.read_metrics()
    if metrics is None:
        raise ValueError(f"{path}: the run is {folder.status}, expected a finished one")
    for needed in (folder.config, folder.checkpoints / "best.ckpt"):
        if not needed.is_file():
            raise ValueError(f"{needed}: missing, a finished run has it")
    config = OmegaConf.load(folder.config)
    assert isinstance(config, DictConfig)
    for target in _targets(OmegaConf.to_container(config, resolve=True)):
        # what a file says is constructed: one that comes from elsewhere could name anything
        if not _is_ours(target):
            raise ValueError(f"{folder.config}: _target_ {target!r}, expected one of gffpn's own")
    for word in overrides:
        key, sign, value = word.partition("=")
        if not sign or key not in MOVABLE:
            raise ValueError(f"{word}: expected KEY=VALUE with KEY one of {list(MOVABLE)}")
        OmegaConf.update(config, key, OmegaConf.from_dotlist([f"value={value}"]).value)
    check_least_or_null(config)
    return FinishedRun(folder, config, metrics)
