"""Speed of a real training run: images per second from end to end, and the time of each part of an epoch."""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.utils.data import DataLoader

from gffpn.benchmark.limits import Limits, Roofline, measure_limits
from gffpn.benchmark.plan import AUTOCAST
from gffpn.build.detector import build_data, build_task, train_size
from gffpn.build.index import build_index
from gffpn.build.trainer import build_trainer
from gffpn.callbacks.part_clock import PartClock
from gffpn.choice import choose
from gffpn.config.check import compose_checked
from gffpn.config.resolve import resolved
from gffpn.cost import cost
from gffpn.data.dataset import Item
from gffpn.machine.devices import device, device_name, synchronizer
from gffpn.runs.folder import RunFolder
from gffpn.suite.fit import hush
from gffpn.task import DetectionTask, size_of


@dataclass(frozen=True)
class TrainingSpeed:
    """Speed of a training run, and the time of its parts."""

    setting: dict[str, object]
    images: int
    """Images trained in `seconds`."""
    seconds: float
    """Time from the call of `fit` to the end of validation in the last epoch without the timing of parts."""
    gflops_forward: float
    """Of one training image, or of one crop."""
    limits: Limits
    """Peaks of the device of one process."""
    processes: int
    parts: dict[str, float]
    """Seconds that each part of one epoch takes."""
    step_roofline: tuple[float, float]
    """Seconds per step of operators bound by arithmetic and by memory, each at the machine's limit."""
    steps: int
    """Training steps per epoch."""

    @property
    def images_per_second(self) -> float:
        """Training images per second, of a time that includes validation."""
        return self.images / self.seconds

    @property
    def gflops_per_second(self) -> float:
        """GFLOP/s at three forward passes per image: the backward pass counts as two."""
        return 3 * self.gflops_forward * self.images_per_second

    @property
    def peak_gflops(self) -> float:
        """Peak rate of matrix products on the devices of all processes, GFLOP/s."""
        return self.processes * self.limits.matmul_gflops

    def record(self) -> dict[str, object]:
        """Return all figures, for a JSON file."""
        arithmetic, memory = self.step_roofline
        return {
            **self.setting,
            "images_per_second": self.images_per_second,
            "gflops_forward": self.gflops_forward,
            "gflops_per_second": self.gflops_per_second,
            "matmul_peak_gflops_per_second": self.peak_gflops,
            "share_of_matmul_peak": self.gflops_per_second / self.peak_gflops,
            "copy_gbytes_per_second": self.limits.copy_gbytes,
            "roofline_step_ms": {"arithmetic": 1e3 * arithmetic, "memory": 1e3 * memory},
            "step_ms": {part: 1e3 * seconds / self.steps for part, seconds in self.parts.items()},
        }

    def table(self) -> str:
        """Return the figures as text for a terminal."""
        s, whole = self.setting, sum(self.parts.values())
        peak = self.peak_gflops
        pixels = f"{s['image_size']} px" + (f" in crops of {s['crop']} px" if s["crop"] else "")
        lines = [
            f"{s['neck']}, size {s['size']}, {pixels}, batch {s['batch_size']}, {s['precision']}",
            f"  on {s['device']}, {s['threads']} CPU threads",
            f"  {self.images_per_second:8.1f} images/s, validation and checkpoints of every epoch included",
            f"  {self.gflops_per_second:8.1f} GFLOP/s trained (3 x {self.gflops_forward:.3f} per image)",
            f"  {100 * self.gflops_per_second / peak:8.1f} % of the measured matmul peak, {peak:.0f} GFLOP/s",
            "",
            "  one epoch          seconds  share  ms / step",
        ]
        for part, seconds in sorted(self.parts.items(), key=lambda item: -item[1]):
            share, step_ms = 100 * seconds / whole, 1e3 * seconds / self.steps
            lines.append(f"  {part:17} {seconds:8.2f} {share:5.1f} % {step_ms:9.2f}")
        arithmetic, memory = (1e3 * seconds for seconds in self.step_roofline)
        lines += [
            "",
            f"  at the machine's limits, the operators of a step would take {arithmetic + memory:.1f} ms:",
            f"  {arithmetic:.1f} arithmetic, {memory:.1f} memory at {self.limits.copy_gbytes:.0f} GB/s",
        ]
        return "\n".join(lines)


def training_speed(overrides: Sequence[str], *, epochs: int) -> TrainingSpeed:
    """Train as train.py would, without loggers, for `epochs` epochs and one more in which parts are timed.

    No files are kept. Raises ValueError for an invalid override.
    """
    # a fixed number, since a run that chooses it would be timed with two
    fixed = f"trainer.threads={torch.get_num_threads()}"
    own = [
        "trainer.minutes=null",
        "trainer.check_val_every_n_epoch=1",
        f"trainer.max_epochs={epochs + 1}",
        "logger.wandb=off",
    ]
    config = compose_checked([fixed, *overrides, *own])
    plain = resolved(config)
    if plain["trainer"]["threads"] is not None:
        torch.set_num_threads(plain["trainer"]["threads"])
    dtype = choose("trainer.precision", plain["trainer"]["precision"], AUTOCAST)
    where = device(plain["trainer"]["accelerator"])
    data = build_data(config, build_index(config))
    task = build_task(config, data)
    clock = PartClock(epochs, synchronizer(where))
    for part in ("backbone", "neck", "head"):
        clock.watch(task.detector.get_submodule(part), part)
    hush()
    with tempfile.TemporaryDirectory() as folder:
        trainer = build_trainer(config, RunFolder(Path(folder)), [], profiler=clock)
        start = time.perf_counter()
        try:
            trainer.fit(task, data)
        except SystemExit:  # Lightning turns Ctrl-C into SystemExit, without a message
            raise KeyboardInterrupt from None
    assert clock.began is not None
    steps = int(trainer.num_training_batches)
    limits = measure_limits(where, dtype or torch.float32)
    return TrainingSpeed(
        setting={
            **{key: plain["choice"][key] for key in ("neck", "backbone", "head", "data")},
            "size": plain["size"]["name"],
            "image_size": plain["image_size"],
            "crop": plain["augment"].get("crop"),
            "batch_size": plain["batch_size"],
            "precision": plain["trainer"]["precision"],
            "device": device_name(where),
            "threads": torch.get_num_threads(),
            "epochs": epochs,
        },
        images=epochs * min(steps * plain["batch_size"], len(data.index.splits["train"])),
        seconds=clock.began - start,
        gflops_forward=cost(task.detector, train_size(config)).gflops,
        limits=limits,
        processes=trainer.world_size,
        parts=dict(clock.seconds),
        step_roofline=_roofline(task.to(where), data.train_dataloader(), limits, dtype),
        steps=steps,
    )


def _roofline(
    task: DetectionTask, batches: DataLoader[Item], limits: Limits, dtype: torch.dtype | None
) -> tuple[float, float]:
    """Return the seconds (arithmetic, memory) of forward pass, loss and backward pass of one batch."""
    batch = task.transfer_batch_to_device(next(iter(batches)), task.device, 0)
    images = task.images(batch)
    task.train()
    with Roofline(limits) as roofline:
        with torch.autocast(images.device.type, dtype, enabled=dtype is not None):
            parts = task.loss(task.detector(images), batch["targets"], size_of(images))
            total = torch.stack(list(parts.values())).sum()
        total.backward()  # type: ignore[no-untyped-call]
    return roofline.arithmetic, roofline.memory
