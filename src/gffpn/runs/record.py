"""The record of a finished run, metrics.json: everything that is known about it, as typed values."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gffpn.figures import Cost, Figures, OperatingPoint, Speed
from gffpn.files.sources import code_digest
from gffpn.files.typed_json import UnknownFieldError, from_json, parsed
from gffpn.files.writing import write_atomically
from gffpn.runs.provenance import Provenance

VERSION = 2
"""Version of metrics.json; files without one are from before its fields were typed."""
READABLE = (1, 2)
"""Versions that this one reads: in the first, the speed of every run is that at the end of its training."""
SHARING_LAUNCHERS = ("joblib", "submitit_local")
"""Launchers that run several jobs of a sweep on one machine at the same time."""
OF_MACHINE = ("threads", "devices")
"""Fields of the training that get `trained_` before their columns' names, as the speed has some too."""
TEST_PRECISION = "32-true"
"""The precision of every final test, whatever the precision of the training."""


class OtherVersionError(ValueError):
    """Raised for a metrics.json of another version of gffpn.

    One with a field that is `unknown` is newer, too: fields are added without a new version.
    """

    def __init__(self, path: Path, version: object, *, unknown: str = "") -> None:
        self.newer = bool(unknown) or (isinstance(version, int) and version > VERSION)
        cure = (
            "a newer gffpn wrote it: use that one"
            if self.newer
            else "an older gffpn wrote it: the run's command tests it again, and trains it if code changed"
        )
        fault = unknown or f"got version {version or 'none'}, expected {VERSION}"
        super().__init__(f"{path}: {fault}; {cure}")


@dataclass(frozen=True)
class Choice:
    """The options that were chosen by name."""

    backbone: str
    neck: str
    head: str
    data: str
    ablation: str | None
    launcher: str

    @property
    def shares_machine(self) -> bool:
        """True if other runs may have used the machine at the same time."""
        return self.launcher in SHARING_LAUNCHERS


@dataclass(frozen=True)
class Settings:
    """The settings of training that a table prints."""

    epochs: int
    batch_size: int
    optimizer: str
    lr: float
    """The peak learning rate."""
    precision: str
    accumulate_grad_batches: int = 1

    @property
    def batch(self) -> str:
        """Images per step of the optimiser: `16`, or `16 x 4` if the gradients of 4 batches are added."""
        batches = self.accumulate_grad_batches
        return f"{self.batch_size} x {batches}" if batches > 1 else str(self.batch_size)

    @property
    def words(self) -> str:
        """The settings in words, without the precision."""
        return f"{self.epochs} epochs, batch {self.batch}, {self.optimizer} lr {self.lr:g}"


@dataclass(frozen=True)
class DataFacts:
    """The data set, by split where a split is named."""

    fingerprint: str
    origin: str
    """Origin of the pixels if it is known (the version and dials of a simulator), else empty."""
    simulated: bool
    classes: tuple[str, ...]
    """In the order of the labels."""
    images: dict[str, int]
    objects: dict[str, int]
    tiny_boxes: dict[str, int]
    """Number of boxes that are too thin at this image size."""


@dataclass(frozen=True)
class Training:
    """What training took, and which epoch was tested."""

    processes: int
    threads: tuple[int, ...]
    """Numbers of CPU threads of the first process with which a step was trained, over all attempts."""
    minutes: float
    """Minutes of training and validation, over all attempts."""
    chosen_epoch: int
    """The epoch with the best val mAP50, counted from 1, whose weights were tested."""
    trained_epochs: int
    """Fewer than the setting if training stopped early."""
    still_improving: bool
    """True if val mAP50 rose by over 1 point in the last fifth of the epochs."""
    devices: tuple[str, ...] = ()
    """Models of the first process's GPUs or processors with which a step was trained, over all attempts;
    empty in a record that is older than this field."""
    minutes_others: float = 0.0
    """Share of the cores that other processes took in these minutes, while none was free."""


@dataclass(frozen=True)
class Record:
    """A finished run: what was asked, what it computed on, and what came out."""

    choice: Choice
    size: str
    seed: int
    image_size: tuple[int, int]
    """(height, width) of the network's input, in pixels."""
    settings: Settings
    data: DataFacts
    provenance: Provenance
    training: Training
    size_edges: tuple[float, ...]
    """Sides in pixels that separate the size bins."""
    max_detections: int
    """Detections per image and class that average precision counts."""
    test: Figures
    val: Figures
    """At the chosen epoch, in the precision of the test."""
    operating_point: OperatingPoint | None
    """None if no detection on val is true."""
    cost: Cost
    reads: tuple[int, ...]
    """Strides of the levels that the neck reads."""
    gives: tuple[tuple[int, int], ...]
    """(stride, channels) of the levels that the neck returns."""
    speed: Speed | None
    """Of the inference form, with norms folded. None until it is measured: other runs share the machine."""
    test_precision: str = TEST_PRECISION
    version: int = VERSION

    @property
    def partial(self) -> bool:
        """True if only a part of the test split was tested."""
        return self.test.images < self.data.images["test"]

    @property
    def devices(self) -> tuple[str, ...]:
        """The devices of training; if they are unknown, that on which FPS was measured."""
        return self.training.devices or ((self.speed.device,) if self.speed else ())

    def columns(self) -> dict[str, Any]:
        """Return all values under the names of the columns of results.csv."""
        values = dataclasses.asdict
        trained = values(self.training)
        return {
            **values(self.choice),
            "size": self.size,
            "seed": self.seed,
            "image_size": size_word(self.image_size),
            **values(self.settings),
            "test_precision": self.test_precision,
            "simulated": self.data.simulated,
            "data_origin": self.data.origin,
            "data_fingerprint": self.data.fingerprint,
            "images": self.data.images,
            "objects": self.data.objects,
            "tiny_boxes": self.data.tiny_boxes,
            **values(self.provenance),
            "code": code_digest(self.provenance.code),
            **{f"test/{name}": figure for name, figure in self.test.columns().items()},
            **{f"val/{name}": figure for name, figure in self.val.columns().items()},
            **(self.operating_point.columns() if self.operating_point else {}),
            **self.model_columns(),
            "reads": self.reads,
            "gives": self.gives,
            **{(f"trained_{name}" if name in OF_MACHINE else name): one for name, one in trained.items()},
        }

    def model_columns(self) -> dict[str, Any]:
        """Return cost and, once it is measured, speed under the names of their columns."""
        cost = {name: value for name, value in dataclasses.asdict(self.cost).items() if name != "image_size"}
        if self.speed is None:
            return cost
        speed = dataclasses.asdict(self.speed)
        timed = {f"timed_{name}": speed.pop(name) for name in ("images", "dtype", "others")}
        rates = {"fps_forward": self.speed.fps_forward, "fps_end_to_end": self.speed.fps_end_to_end}
        return {**cost, **rates, **speed, **timed}


def size_word(image_size: tuple[int, int]) -> str:
    """Return an image size (height, width) as one word: `320`, or `480x640` if it is not square."""
    height, width = image_size
    return str(height) if height == width else f"{height}x{width}"


def write_record(path: Path, record: Record) -> None:
    """Write metrics.json completely or not at all. Raises ValueError if a figure is NaN or infinite."""
    write_atomically(path, json.dumps(dataclasses.asdict(record), indent=1, allow_nan=False) + "\n")


def read_record(path: Path) -> Record:
    """Read metrics.json.

    Raises OtherVersionError for a file of another version, ValueError with one line for a damaged one, and
    FileNotFoundError.
    """
    try:
        content = parsed(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: damaged: {error}") from error
    version = content.get("version") if isinstance(content, dict) else None
    if version not in READABLE:
        raise OtherVersionError(path, version)
    try:
        return from_json(Record, content)
    except UnknownFieldError as error:
        raise OtherVersionError(path, version, unknown=str(error)) from error
    except ValueError as error:
        raise ValueError(f"{path}: damaged: {error}") from error
