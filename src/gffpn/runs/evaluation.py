"""Record of the evaluation of a finished run on another data set, kept in the run's folder."""

import dataclasses
import json
import re
from dataclasses import dataclass
from pathlib import Path

from gffpn.figures import Figures, Rates
from gffpn.files.typed_json import from_json, parsed
from gffpn.files.writing import write_atomically
from gffpn.runs.provenance import Provenance

VERSION = 1


@dataclass(frozen=True)
class SliceFacts:
    """Slices in which the images were searched, besides the whole images."""

    side: int | None
    """Native pixels; None if a slice is as large as the network's input."""
    overlap: float
    merge: str


@dataclass(frozen=True)
class Evaluation:
    """Figures of a run's detector on a split of a data set."""

    run: str
    """Name of the run's folder."""
    data: str
    """Choice of `data`."""
    fingerprint: str
    """Fingerprint of that data set, which says whether two evaluations saw the same images."""
    same_data: bool
    """True if it is the data set with which the run was trained."""
    split: str
    classes: tuple[str, ...]
    """Classes of the run, in the order of its labels."""
    absent: tuple[str, ...]
    """Classes of the run that the data set does not have."""
    unknown: dict[str, int]
    """Objects of classes that the run does not know, by class; they are left out."""
    slices: SliceFacts | None
    figures: Figures
    threshold: float | None
    """The run's operating point, chosen on its own val split."""
    rates: Rates | None
    """Precision, recall and F1 at this threshold; None without one."""
    ms_per_image: float
    """From the file to the detections, reading included."""
    device: str
    provenance: Provenance
    version: int = VERSION

    @property
    def name(self) -> str:
        """Name of the record: equal for evaluations of the same images in the same way."""
        views = ""
        if self.slices:
            side = self.slices.side or "auto"
            views = f"_slice{side}-{self.slices.overlap:g}-{self.slices.merge}"
        data = re.sub(r"\W", "-", self.data)[:60]  # of a run that may come from elsewhere: no path
        return f"{data}_{self.fingerprint}_{self.split}{views}"


def write_evaluation(run: Path, evaluation: Evaluation) -> Path:
    """Write the record to `evaluations/` in a run's folder and return its path."""
    path = run / "evaluations" / f"{evaluation.name}.json"
    write_atomically(path, json.dumps(dataclasses.asdict(evaluation), indent=1, allow_nan=False) + "\n")
    return path


def read_evaluation(path: Path) -> Evaluation:
    """Read a record. Raises ValueError with one line for a damaged one or one of another version."""
    try:
        content = parsed(path.read_text(encoding="utf-8"))
        version = content.get("version") if isinstance(content, dict) else None
        if version != VERSION:
            raise ValueError(f"got version {version}, expected {VERSION}")
        return from_json(Evaluation, content)
    except ValueError as error:
        raise ValueError(f"{path}: damaged: {error}") from error
