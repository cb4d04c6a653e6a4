"""A finished run, restored with its configuration, data and best weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gffpn.build.detector import build_data, build_detector, build_loss_and_decode
from gffpn.build.index import build_index
from gffpn.config.compose import image_size
from gffpn.config.overrides import WRONG_OVERRIDE, explain, unwrapped
from gffpn.config.resolve import resolved
from gffpn.config.stored import stored_config
from gffpn.data.datamodule import DetectionData
from gffpn.data.index import DataError
from gffpn.detector import Detector
from gffpn.heads.postprocess import Decode
from gffpn.pyramid import check_image_size, size_multiple
from gffpn.runs.folder import RunFolder
from gffpn.runs.record import Record
from gffpn.weights import read_tensors


@dataclass(frozen=True)
class FinishedRun:
    """The contents of a finished run's folder."""

    folder: RunFolder
    config: Any
    """The configuration as composed, a DictConfig."""
    record: Record

    @property
    def image_size(self) -> tuple[int, int]:
        """Size (H, W) of the network's input, in pixels."""
        return image_size(self.config)

    @property
    def classes(self) -> list[str]:
        """Class names, in the order of the labels."""
        return list(self.record.data.classes)

    @property
    def resolved(self) -> dict[str, Any]:
        """The configuration as plain values."""
        return resolved(self.config)

    def detector(self) -> tuple[Detector, Decode[Any]]:
        """Return the detector in eval mode with the weights that were tested, and its decoding.

        Raises ValueError if the configuration or the weights do not fit this version.
        """
        try:
            detector = build_detector(self.config, len(self.classes))
            decode: Decode[Any] = build_loss_and_decode(self.config, detector.head)[1]
        except WRONG_OVERRIDE as error:
            raise ValueError(f"{self.folder.config}: {explain(unwrapped(error))}") from error
        check_image_size(self.image_size, size_multiple(detector.neck), neck=self.config.choice.neck)
        best = self.folder.checkpoints / "best.ckpt"
        own = "detector."
        weights = {key.removeprefix(own): x for key, x in read_tensors(best).items() if key.startswith(own)}
        try:
            detector.load_state_dict(weights)
        except RuntimeError as error:
            first = (
                str(error).splitlines()[1].strip()
            )  # the first line is a title; each of the others lists tensors
            raise ValueError(
                f"{best}: the weights do not fit this version's network; train it again: {first:.120}..."
            ) from error
        return detector.eval(), decode

    def data(self) -> DetectionData:
        """Return the data set that the run used.

        Raises DataError if it is not where the run found it, or has changed since.
        """
        index = build_index(self.config)
        expected = self.record.data.fingerprint
        if index.fingerprint != expected:
            raise DataError(
                f"data: got fingerprint {index.fingerprint}, but the run {self.folder.path} used {expected}"
            )
        return build_data(self.config, index)


def finished_run(path: Path, overrides: Sequence[str] = (), *, allowed: Sequence[str] = ()) -> FinishedRun:
    """Open a run's folder; `stored_config` describes `overrides` and `allowed`.

    Raises ValueError with a one-line message if the run is not finished, if its best weights are missing, or
    if its configuration would construct anything that is neither of this project nor allowed.
    """
    folder = RunFolder(path)
    record = folder.finished()
    for needed in (folder.config, folder.checkpoints / "best.ckpt"):
        if not needed.is_file():
            raise ValueError(
                f"{needed}: missing, but every finished run has it; "
                "the run's command with rerun=all trains the run again"
            )
    config = stored_config(folder.config, overrides, allowed=allowed)
    return FinishedRun(folder, config, record)
