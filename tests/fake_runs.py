"""Finished run folders with invented figures, for tests that read runs back."""

import csv
from dataclasses import asdict, replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import yaml

from gffpn.figures import BinFigures, ClassFigures, Cost, Figures, OperatingPoint, Rates, Speed
from gffpn.metrics.evaluated import Evaluated
from gffpn.metrics.matching import Boxes
from gffpn.runs.folder import RunFolder
from gffpn.runs.predictions import Predictions, write_predictions
from gffpn.runs.provenance import Provenance
from gffpn.runs.record import Choice, DataFacts, Record, Settings, Training, write_record
from gffpn.runs.verify import results
from gffpn.stats.replicates import kept_replicates

BINS = {"0_8": 0, "8_16": 12, "16_32": 40, "32_96": 81, "96_up": 5}
EDGES = (0.0, 8.0, 16.0, 32.0, 96.0, None)


def figures(mAP50: float = 0.5, classes: tuple[str, ...] = ("pock", "flaw")) -> Figures:
    """Return invented figures that rise with the size and with the position of the class."""
    bins = tuple(
        BinFigures(f"{prefix}{name}", low, high, bool(prefix), n, mAP50 * (0.2 + 0.2 * i) if n else None)
        for prefix in ("", "native_")
        for i, ((name, n), (low, high)) in enumerate(zip(BINS.items(), pairwise(EDGES), strict=True))
    )
    shares = {name: mAP50 * (0.8 + 0.4 * i / len(classes)) for i, name in enumerate(classes)}
    return Figures(
        images=4,
        objects=sum(BINS.values()),
        mAP50=mAP50,
        mAP50_95=mAP50 / 2,
        AP50_paper=mAP50,
        classes=tuple(ClassFigures(name, 69, share, share) for name, share in shares.items()),
        bins=bins,
    )


def record(
    neck: str = "fpn",
    *,
    seed: int = 0,
    ablation: str | None = None,
    data: str = "tinyindus_sim",
    classes: tuple[str, ...] = ("pock", "flaw"),
    mAP50: float = 0.5,
    epochs: int = 3,
) -> Record:
    """Return the record of an invented run."""
    counts = {"train": 8, "val": 4, "test": 4}
    rates = Rates(0.75, 0.5, 0.6)
    return Record(
        choice=Choice("cspdarknet", neck, "tal", data, ablation, "basic"),
        size="n",
        seed=seed,
        image_size=(320, 320),
        settings=Settings(epochs, 16, "adamw", 0.002, "32-true"),
        data=DataFacts(
            fingerprint=f"{len(data):012x}",
            origin="",
            simulated=data == "tinyindus_sim",
            classes=classes,
            images=counts,
            objects=dict.fromkeys(counts, sum(BINS.values())),
            tiny_boxes=dict.fromkeys(counts, 0),
        ),
        provenance=Provenance("0" * 40, False, "3.11.7", {"torch": "2.15.0"}),
        training=Training(
            processes=1,
            threads=(2,),
            devices=("a processor",),
            minutes=12.5,
            chosen_epoch=epochs,
            trained_epochs=epochs,
            still_improving=False,
        ),
        size_edges=(8.0, 16.0, 32.0, 96.0),
        max_detections=100,
        test=figures(mAP50, classes),
        val=figures(mAP50, classes),
        operating_point=OperatingPoint(0.25, rates, rates, dict.fromkeys(classes, rates)),
        cost=Cost(
            image_size=(320, 320),
            params=1_000_000,
            params_backbone=500_000,
            params_neck=300_000,
            params_head=200_000,
            params_m=1.0 + len(neck) / 10,
            gflops=2.0 + len(neck) / 5,
            gflops_backbone=1.0,
            gflops_neck=0.5,
            gflops_head=0.5,
            uncounted=("aten.silu",),
            rule="2 x MAC",
        ),
        reads=(8, 16, 32),
        gives=((8, 64), (16, 128), (32, 256)),
        speed=Speed(
            latency_forward_ms=32.0,
            latency_forward_p95_ms=33.0,
            latency_end_to_end_ms=40.0,
            latency_end_to_end_p95_ms=50.0,
            rounds=10,
            images=4,
            device="a processor",
            threads=2,
            dtype="float32",
            tf32=False,
            channels_last=True,
        ),
    )


def finished_run(runs: Path, neck: str, **facts: Any) -> Path:
    """Write `config.yaml`, `metrics.json` and one attempt's log of a run, and return its folder.

    `facts` are those of `record`.
    """
    made = record(neck, **facts)
    choice = asdict(made.choice)
    run = runs / f"{neck}_{made.choice.ablation or 'plain'}_{made.choice.data}_s{made.seed}"
    neck_config = {"name": neck, "ablation": made.choice.ablation}
    config = {"seed": made.seed, "choice": choice, "neck": neck_config, "data": {"n": 1}}
    mAP50, epochs = made.test.mAP50, made.settings.epochs
    assert mAP50 is not None
    logged: list[dict[str, object]] = [
        {
            "epoch": epoch,
            "step": 10 * epoch + 9,
            "train/loss": 9 / (epoch + 1) + mAP50,
            "val/loss": 10 / (epoch + 1) + mAP50,
            "val/mAP50": mAP50 * (1 - 0.5 ** (epoch + 1)),
            "train/minutes": 0.5 * (epoch + 1),
        }
        for epoch in range(epochs)
    ]
    write_log(run, attempt=0, rows=logged)
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    write_record(run / "metrics.json", made)
    return run


def predictions(skill: float, *, seed: int = 0, images: int = 12, classes: tuple[str, ...]) -> Predictions:
    """Return invented detections: of each object with probability `skill`, and one false one per image.

    The objects are the same for every `skill` and `seed`.
    """
    truth, luck = np.random.default_rng(7), np.random.default_rng([seed, int(1000 * skill)])
    image = np.repeat(np.arange(images), 4)
    corner = truth.uniform(0, 250, (len(image), 2))
    xyxy = np.concatenate([corner, corner + truth.uniform(6, 60, (len(image), 2))], axis=1)
    label = truth.integers(len(classes), size=len(image))
    found = luck.random(len(image)) < skill
    false = luck.uniform(0, 200, (images, 2))
    boxes = np.concatenate([xyxy[found] + 1, np.concatenate([false, false + 20], axis=1)])
    position = np.concatenate([image[found], np.arange(images)])
    order = np.argsort(position, kind="stable")
    labels = np.concatenate([label[found], luck.integers(len(classes), size=images)])
    scores = np.concatenate([luck.uniform(0.4, 1, found.sum()), luck.uniform(0, 0.6, images)])
    names = tuple(f"{number:03d}.png" for number in range(images))
    return Predictions(
        classes=classes,
        names=names,
        groups=names,
        sizes=np.full((images, 2), 320),
        evaluated=Evaluated(
            np.arange(images),
            np.ones((images, 2)),
            Boxes(position[order], labels[order], boxes[order]),
            scores[order].astype(np.float32).astype(np.float64),
            Boxes(image, label, xyxy),
            np.zeros(len(image), bool),
        ),
    )


@cache
def found(
    skill: float, seed: int, classes: tuple[str, ...]
) -> tuple[dict[str, Predictions], dict[str, Figures], OperatingPoint | None]:
    """Return the invented detections of a run, and the figures and the operating point that follow."""
    splits = {
        split: predictions(skill, seed=seed + 100 * (split == "val"), classes=classes)
        for split in ("val", "test")
    }
    return splits, *results(splits)


@cache
def kept(skill: float, seed: int, classes: tuple[str, ...]) -> bytes:
    """Return the file of the replicates of such a run, which take half of a test's time to compute."""
    with TemporaryDirectory() as folder:
        run = RunFolder(Path(folder))
        write_predictions(run.predictions, found(skill, seed, classes)[0])
        kept_replicates(run)
        return (run.path / "replicates.npz").read_bytes()


def predicted_run(runs: Path, neck: str, *, skill: float, **facts: Any) -> Path:
    """Write a finished run with invented predictions, from which its figures follow; return its folder."""
    made = record(neck, **facts)
    splits, figures, point = found(skill, made.seed, made.data.classes)
    facts["mAP50"] = figures["test"].mAP50
    run = finished_run(runs, neck, **facts)
    write_predictions(run / "predictions.npz", splits)
    if not (replicates := run / "replicates.npz").exists():
        replicates.write_bytes(kept(skill, made.seed, made.data.classes))
    counts = {"train": 8, "val": 12, "test": 12}
    done = replace(made, test=figures["test"], val=figures["val"], operating_point=point)
    write_record(run / "metrics.json", replace(done, data=replace(made.data, images=counts)))
    return run


def write_log(run: Path, *, attempt: int, rows: list[dict[str, object]]) -> None:
    """Write `logs/attempt_N/metrics.csv`; columns missing from a row stay empty, as in Lightning's logs."""
    path = run / "logs" / f"attempt_{attempt}" / "metrics.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(key for row in rows for key in row)))
        writer.writeheader()
        writer.writerows(rows)
