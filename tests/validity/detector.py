"""Validity test 7: average precision falls with the defects' side and with their contrast.

One detector with the plain `fpn` neck is trained on defects with log-uniform sides and tested on twins: the
same scenes with every defect at one side, and with every defect at one contrast. Sides are in pixels of the
network's input, which has a size of 320. The simulator's twins go up to 48 pixels at an image size of 640,
which is 24 here; larger sides (BEYOND) are shown, but have no bound. AP falls again there. The likely reason,
which was not isolated, is that such defects outgrow tubes and rims, are cut off and overlap each other. The
dials (TRAINED) are easier than the default ones; otherwise a detector trained for minutes would find nothing.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr

from gffpn.build.detector import build_data, build_task
from gffpn.build.index import build_index
from gffpn.build.trainer import build_trainer
from gffpn.config.compose import compose_config
from gffpn.metrics.average_precision import average_precision
from gffpn.metrics.detection import DetectionMetric
from gffpn.metrics.matching import Matches
from gffpn.runs.folder import RunFolder
from gffpn.task import size_of
from validity.finding import Finding, Floats, Ints, interval
from validity.scenes import SEED

SIDES = (4, 6, 8, 12, 16, 24)
BEYOND = (32, 48)
"""SIDES and BEYOND are in pixels of the network's input."""
CONTRASTS = (0.25, 0.5, 1.0, 2.0, 4.0)
RESAMPLES = 60
TRAINED = {
    "contrast": 2.5,
    "noise": 0.7,
    "lookalike_density": 0.3,
    "light_variation": 0.5,
    "empty_share": 0.1,
    "defects_per_image": [3, 6],
    "class_shares": "equal",
}


def overrides(train: int, scenes: int, side: int, epochs: int, folder: Path) -> list[str]:
    """Return the run's overrides for train.py; its test split consists of the twins."""
    at_640 = 640 / side
    entries = [f"{{side_range:[{s * at_640:g},{s * at_640:g}]}}" for s in (*SIDES, *BEYOND)]
    entries += [f"{{contrast:{c:g}}}" for c in CONTRASTS]
    dials = {**TRAINED, "side_range": [SIDES[0] * at_640, BEYOND[-1] * at_640]}
    return [
        "neck=fpn",
        "data=tinyindus_sim",
        "augment=light",
        f"data.seed={SEED}",
        f"data.train_images={train}",
        f"data.val_images={max(train // 8, 8)}",
        f"data.test_images={scenes}",
        *(f"data.{name}={_yaml(value)}" for name, value in dials.items()),
        f"data.test_dials=[{','.join(entries)}]",
        f"image_size={side}",
        "batch_size=8",
        "optim.lr=0.003",
        "optim.warmup_epochs=1",
        f"trainer.max_epochs={epochs}",
        "loader.workers=0",
        "loader.cache=ram",
        "logger.wandb=off",
        "logger.pictures=0",
        f"paths.cache={folder}/cache",
        f"paths.runs={folder}/runs",
    ]


def _yaml(value: Any) -> str:
    return f"[{','.join(map(str, value))}]" if isinstance(value, list) else str(value)


def tested(words: Sequence[str], folder: Path) -> tuple[Matches, Ints, Ints]:
    """Train and test; return the matches, and the entry of `test_dials` and the scene of each test image."""
    config = compose_config(words)
    index = build_index(config)
    data = build_data(config, index)
    task = build_task(config, data)
    run = RunFolder(folder / "run")
    build_trainer(config, run, []).fit(task, data)
    best = torch.load(run.checkpoints / "best.ckpt", weights_only=True)
    task.load_state_dict(best["state_dict"])
    task.eval()
    data.setup("test")
    metric = DetectionMetric(index.classes)
    with torch.no_grad():
        for batch in data.test_dataloader():
            images = task.images(batch)
            metric.update(task.decode(task.detector(images), size_of(images)), batch["targets"])
    names = [Path(record.name).stem.split("-") for record in index.splits["test"]]
    return metric.matches(), np.array([int(n[1]) for n in names]), np.array([int(n[0]) for n in names])


def mean_ap50(matches: Matches, weights: Floats) -> float:
    """Return the mean AP50 of the classes that have an object."""
    return float(np.nanmean(average_precision(matches, weights)[:, 0]))


def findings(matches: Matches, entry: Ints, scene: Ints) -> list[Finding]:
    """Return mAP50 by side and by contrast, its rank correlation with them, and its rise from end to end."""
    bounded, beyond = len(SIDES), len(SIDES) + len(BEYOND)

    def ap(k: int, weights: Floats) -> float:
        return mean_ap50(matches, weights * (entry == k))

    def line(k: int, what: str) -> Finding:
        objects = int(np.isin(matches.object_image, np.flatnonzero(entry == k)).sum())
        low, high = interval(lambda w: ap(k, w), scene, resamples=RESAMPLES)
        return Finding(f"mAP50 at {what}", ap(k, np.ones(len(entry))), f"{objects} objects", low, high)

    found = []
    for word, unit, values, first in (("side", " px", SIDES, 0), ("contrast", "", CONTRASTS, beyond)):
        last = first + len(values) - 1
        lines = [line(k, f"{word} {v:g}{unit}") for k, v in enumerate(values, start=first)]
        n = f"{len(values)} twins of {len(np.unique(scene))} scenes"
        rank = float(spearmanr(values, [f.value for f in lines]).statistic)
        found.append(Finding(f"rank correlation of mAP50 and {word}", rank, n, at_least=0.9))
        low, high = interval(lambda w, a=first, b=last: ap(b, w) - ap(a, w), scene, resamples=RESAMPLES)
        what = f"mAP50 at {word} {values[-1]:g}{unit} less that at {values[0]:g}{unit}"
        found.append(Finding(what, lines[-1].value - lines[0].value, n, low, high, at_least=0.05))
        found += lines
        if word == "side":
            found += [
                line(k, f"side {v} px, beyond the twins' range") for k, v in enumerate(BEYOND, start=bounded)
            ]
    return found


def measure(*, train: int = 500, scenes: int = 80, side: int = 320, epochs: int = 9) -> list[Finding]:
    """Run test 7."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        return findings(*tested(overrides(train, scenes, side, epochs, folder), folder))
