"""Evaluation of a finished run on another data set, whose classes are matched by name."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from time import monotonic

import numpy as np
import torch

from gffpn.build.index import build_index
from gffpn.choice import choose
from gffpn.config.stored import other_data
from gffpn.data.index import SPLITS, DataError, DataIndex, ImageRecord
from gffpn.data.letterbox import Letterbox
from gffpn.data.readers.images import read_image
from gffpn.deploy.detections import Detections
from gffpn.deploy.detector import ImageDetector
from gffpn.deploy.finished import FinishedRun, finished_run
from gffpn.deploy.network import TorchNetwork
from gffpn.deploy.pipeline import native_detections
from gffpn.deploy.progress import Progress
from gffpn.deploy.slices import Slicing
from gffpn.deploy.sources import Item
from gffpn.files.content import stamp
from gffpn.machine.devices import device, device_name
from gffpn.metrics.detection import DetectionMetric
from gffpn.metrics.operating_point import rates
from gffpn.runs.evaluation import Evaluation, SliceFacts
from gffpn.runs.provenance import provenance

ALL = "all"


@dataclass(frozen=True)
class Known:
    """Images of a data set with the labels of a run."""

    records: tuple[ImageRecord, ...]
    absent: tuple[str, ...]
    """Classes of the run that the data set does not have."""
    unknown: dict[str, int]
    """Objects of other classes, which are left out, by class."""


def evaluate(
    folder: Path,
    overrides: Sequence[str],
    *,
    split: str = "test",
    slicing: Slicing | None = None,
    on: str = "auto",
    batch: int = 16,
    allowed: Sequence[str] = (),
) -> Evaluation:
    """Evaluate a run's detector, in the form in which it was tested, on a split of a data set or on `all`.

    `overrides` choose the data set as for train.py (`data=voc data.root=...`); without `data=`, it is the
    run's own, and they may give its present location.

    Raises ValueError with a one-line message if the run is not finished or an override is wrong, and
    DataError for a faulty data set and for one that has no class of the run.
    """
    choose("--split", split, dict.fromkeys((*SPLITS, ALL)))
    if batch < 1:
        raise ValueError(f"--batch: got {batch}, expected 1 or more")
    chosen = any(word.lstrip("+").startswith("data=") for word in overrides)
    if idle := [word for word in overrides if word.startswith(("trainer.", "loader."))]:
        raise ValueError(f"{idle[0]}: has no effect on an evaluation; leave it out (--device: the device)")
    run = finished_run(folder, () if chosen else overrides, allowed=allowed)
    if chosen:
        run = replace(run, config=other_data(run.config, overrides))
    return _evaluation(run, build_index(run.config), split, slicing, device(on, setting="--device"), batch)


def _evaluation(
    run: FinishedRun,
    index: DataIndex,
    split: str,
    slicing: Slicing | None,
    target: torch.device,
    batch: int,
) -> Evaluation:
    known = known_to(run.classes, index, split)
    # at the decoder's own threshold, because average precision needs the low scores
    detector = ImageDetector(TorchNetwork(run, target, folded=False), threshold=0.0, slicing=slicing)
    start = monotonic()
    metric = DetectionMetric(
        run.classes, size_edges=run.record.size_edges, max_detections=run.record.max_detections
    )
    _fill(metric, detector, known.records, batch)
    seconds = monotonic() - start
    evaluated = metric.evaluated()
    point = run.record.operating_point
    return Evaluation(
        run=run.folder.path.resolve().name,
        data=run.config.choice.data,
        fingerprint=index.fingerprint,
        same_data=index.fingerprint == run.record.data.fingerprint,
        split=split,
        classes=tuple(run.classes),
        absent=known.absent,
        unknown=known.unknown,
        slices=SliceFacts(**asdict(slicing)) if slicing else None,
        figures=metric.figures(evaluated),
        threshold=point.threshold if point else None,
        rates=rates(metric.matches(), point.threshold) if point else None,
        ms_per_image=1e3 * seconds / len(known.records),
        device=device_name(target),
        provenance=provenance(),
    )


def known_to(classes: Sequence[str], index: DataIndex, split: str) -> Known:
    """Return the images of a split (or of all) with the labels of a run that has these classes.

    Classes are matched by name. Raises DataError if no class is known, or if there is no image.
    """
    shared = [name for name in index.classes if name in classes]
    if not shared:
        raise DataError(
            f"data: has the classes {list(index.classes)}, none of the run's {list(classes)}; "
            "classes are matched by name, and data.classes gives the names of some formats"
        )
    chosen = SPLITS if split == ALL else (split,)
    records = tuple(chain.from_iterable(index.splits[one] for one in chosen))
    if not records:
        raise DataError(f"data: the {split} split is empty; --split all takes every image")
    # the run's label for each label of the data set, or -1
    labels = np.array([classes.index(name) if name in classes else -1 for name in index.classes])
    left_out: Counter[str] = Counter()
    for record in records:
        left_out.update(index.classes[label] for label in record.labels[labels[record.labels] < 0].tolist())
    return Known(
        tuple(_relabelled(record, labels[record.labels]) for record in records),
        absent=tuple(name for name in classes if name not in index.classes),
        unknown=dict(left_out),
    )


def _relabelled(record: ImageRecord, labels: "np.typing.NDArray[np.int64]") -> ImageRecord:
    kept = labels >= 0
    return replace(record, boxes=record.boxes[kept], labels=labels[kept], crowd=record.crowd[kept])


def _fill(
    metric: DetectionMetric, detector: ImageDetector, records: Sequence[ImageRecord], batch: int
) -> None:
    progress = Progress(len(records))
    for position, found in enumerate(native_detections(detector, _items(records), batch=batch)):
        record = records[position]
        fit = Letterbox.fit((record.height, record.width), detector.network.image_size)
        metric.update([_tensors(found, fit)], [_truth(record, position, fit)])
        progress.step()
    progress.close()


def _items(records: Sequence[ImageRecord]) -> Iterator[Item]:
    for record in records:
        yield Item(record.name, record.name, stamp(record.path), partial(read_image, record.path))


def _tensors(found: Detections, fit: Letterbox) -> dict[str, torch.Tensor]:
    return {
        "boxes": torch.from_numpy(fit.to_network(found.boxes)),
        "scores": torch.from_numpy(found.scores),
        "labels": torch.from_numpy(found.labels),
    }


def _truth(record: ImageRecord, position: int, fit: Letterbox) -> dict[str, object]:
    return {
        "boxes": torch.from_numpy(fit.to_network(record.boxes)),
        "labels": torch.from_numpy(record.labels),
        "crowd": torch.from_numpy(record.crowd),
        "image_index": position,
        "scale": fit.scale,
    }
