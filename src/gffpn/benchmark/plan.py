"""Subjects of a benchmark: its necks, their common setting, and errors for necks that cannot be built."""

import hashlib
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gffpn.build.detector import build_detector, build_loss_and_decode
from gffpn.choice import choose
from gffpn.config.check import compose_checked
from gffpn.config.compose import image_size
from gffpn.config.overrides import choices, got, unwrapped
from gffpn.config.resolve import resolved
from gffpn.detector import Detector
from gffpn.files.writing import check_writable
from gffpn.heads.postprocess import Decode
from gffpn.machine.devices import device, device_name
from gffpn.pyramid import check_image_size, size_multiple
from gffpn.runs.identity import image_size_word
from gffpn.task import LossFunction

# trainer.precision -> dtype of autocast; None: float32 without autocast
AUTOCAST: dict[str, torch.dtype | None] = {
    "32-true": None,
    "bf16-mixed": torch.bfloat16,
    "16-mixed": torch.float16,
}
# images per step by kind of device, so that a step of the largest detector at 640 px fits a common one
BATCH = {"cpu": 2}
GPU_BATCH = 8
LONGEST_WORD = 60
"""Letters of the overrides in a file's name, which has other words too."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Command-line options other than the overrides."""

    out: Path
    classes: int
    rounds: int
    seconds: float
    batch: int | None
    training: bool

    def __post_init__(self) -> None:
        for name, value, least in (("classes", self.classes, 1), ("rounds", self.rounds, 1)):
            if value < least:
                raise ValueError(f"--{name}: got {value}, expected {least} or more")
        if self.batch is not None and self.batch < 1:
            raise ValueError(f"--batch: got {self.batch}, expected 1 or more")
        if not 0 <= self.seconds < float("inf"):
            raise ValueError(f"--seconds: got {self.seconds}, expected 0 or more")
        check_writable(self.out, setting="--out")


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Setting that all necks of a benchmark share."""

    size: str
    backbone: str
    head: str
    image_size: tuple[int, int]
    image_size_word: str
    classes: int
    device: torch.device
    device_name: str
    threads: int
    precision: str
    channels_last: bool
    batch: int

    @property
    def memory_format(self) -> torch.memory_format:
        """Memory format of images and convolutions."""
        return torch.channels_last if self.channels_last else torch.contiguous_format

    def autocast(self) -> torch.autocast:
        """Return the autocast context in which a trainer of this precision computes."""
        dtype = AUTOCAST[self.precision]
        return torch.autocast(self.device.type, dtype, enabled=dtype is not None)


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A neck in its detector, built on the CPU, with the loss and the decoder of its predictions.

    It is timed on `images`, uint8 (N, 3, H, W), or on noise if there are none.
    """

    setting: Setting
    detector: Detector
    loss: LossFunction
    decode: Decode[Any]
    images: Tensor | None = None


class SizeRefusedError(ValueError):
    """Raised if the neck does not accept the image size, but only multiples of `multiple` pixels."""

    def __init__(self, message: str, multiple: int) -> None:
        super().__init__(message)
        self.multiple = multiple


def parted(overrides: Sequence[str], *, only: Collection[str] | None = None) -> tuple[list[str], list[str]]:
    """Split overrides into the necks that `neck=a,b` names (without it, all necks) and the other overrides.

    With `only`, return just the necks that it contains, in its order. Raises ValueError for an unknown neck,
    and if no neck is left.
    """
    named = [word.removeprefix("neck=") for word in overrides if word.startswith("neck=")]
    known = choices("neck", overrides)
    asked = named[-1] if named else "glob(*)"  # Hydra's syntax for all choices
    necks = known if asked == "glob(*)" else list(dict.fromkeys(asked.split(",")))
    for neck in necks:
        if neck not in known:
            raise ValueError(got("neck", neck, known))
    if only is not None:
        for neck in (neck for neck in only if neck not in known):
            print(f"{neck}: in the paper, but not in conf/neck/", flush=True)
        necks = [neck for neck in only if neck in necks]
    if not necks:
        raise ValueError(f"neck: got {','.join(named)!r}, expected some of {list(only or known)}")
    return necks, [word for word in overrides if not word.startswith("neck=")]


def network_changes(overrides: Sequence[str]) -> list[str]:
    """Return the overrides that change the network, beyond its size and the parts that are chosen by name."""
    inside = ("neck.", "backbone.", "head.", "size.", "ablation", "experiments")
    return [word for word in overrides if word.lstrip("+~").startswith(inside)]


def changes_word(changes: Sequence[str]) -> str:
    """Return overrides as a part of a file's name: the words themselves, or a digest of many."""
    word = re.sub(r"[^A-Za-z0-9.=]+", "-", "_".join(changes)).strip("-")
    return word if len(word) <= LONGEST_WORD else hashlib.sha256(word.encode()).hexdigest()[:10]


def subject(neck: str, overrides: Sequence[str], options: Options) -> Subject:
    """Compose the configuration of a neck and build its detector.

    Raises ValueError for an invalid override, and SizeRefusedError if the neck does not accept the size.
    """
    config = compose_checked([f"neck={neck}", *overrides])
    setting = setting_of(resolved(config), image_size(config), options)
    try:
        detector = build_detector(config, options.classes)
        loss, decode = build_loss_and_decode(config, detector.head)
    except Exception as error:
        raise unwrapped(error) from None
    multiple = size_multiple(detector.neck)
    try:
        check_image_size(setting.image_size, multiple, neck=neck)
    except ValueError as error:
        raise SizeRefusedError(str(error), multiple) from error
    detector = detector.to(memory_format=setting.memory_format)
    return Subject(setting=setting, detector=detector, loss=loss, decode=decode)


def setting_of(plain: dict[str, Any], image_size: tuple[int, int], options: Options) -> Setting:
    """Return the setting that a resolved configuration describes, and set its number of CPU threads.

    Raises ValueError for an unknown precision or accelerator.
    """
    trainer = plain["trainer"]
    where = device(trainer["accelerator"])
    precision = str(trainer["precision"])
    choose("trainer.precision", precision, AUTOCAST)
    if trainer["threads"] is not None:
        torch.set_num_threads(trainer["threads"])
    return Setting(
        size=plain["size"]["name"],
        backbone=plain["choice"]["backbone"],
        head=plain["choice"]["head"],
        image_size=image_size,
        image_size_word=image_size_word(plain["image_size"]),
        classes=options.classes,
        device=where,
        device_name=device_name(where),
        threads=torch.get_num_threads(),
        precision=precision,
        channels_last=trainer["channels_last"],
        batch=options.batch or BATCH.get(where.type, GPU_BATCH),
    )
