"""Training speed compared with YOLOv8n by Ultralytics, in turns on one machine: GFLOP/s and images/s.

Ultralytics is licensed under the AGPL and is not part of this project. Install it in a separate environment;
its program is then called as a user would call it:

    python -m venv /tmp/ultra && /tmp/ultra/bin/pip install ultralytics
    python -m benchmarks.rival --yolo /tmp/ultra/bin/yolo data=neu_det data.root=/path image_size=224

Both train on the same images from random weights for `--epochs` epochs, with a validation after each epoch.
The time of Ultralytics is taken from its results.csv; ours runs from the call of fit to the end of the last
validation.
"""

import argparse
import csv
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gffpn.build.index import build_index
from gffpn.config.check import compose_checked
from gffpn.config.compose import image_size
from gffpn.config.overrides import refuse
from gffpn.data.index import DataIndex

MODEL = "yolov8n.yaml"
ITS_SIZE = 640
"""Image side in pixels for which Ultralytics reports its GFLOPs."""


def write_yolo_set(index: DataIndex, folder: Path) -> Path:
    """Write a data set in Ultralytics' format, with links to the images; return the path of its YAML file."""
    for split, records in index.splits.items():
        images, labels = (folder / kind / split for kind in ("images", "labels"))
        images.mkdir(parents=True)
        labels.mkdir(parents=True)
        for number, record in enumerate(records):
            link = images / f"{number}{record.path.suffix}"
            link.symlink_to(record.path.resolve())
            lines, objects = [], record.objects
            for (x1, y1, x2, y2), label in zip(objects.boxes.tolist(), objects.labels.tolist(), strict=True):
                sides = (record.width, record.height) * 2
                box = ((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1)
                shares = " ".join(f"{value / side:.6f}" for value, side in zip(box, sides, strict=True))
                lines.append(f"{label} {shares}\n")
            (labels / f"{number}.txt").write_text("".join(lines))
    content = {"path": str(folder), **{split: f"images/{split}" for split in index.splits}}
    page = folder / "data.yaml"
    page.write_text(json.dumps({**content, "names": dict(enumerate(index.classes))}))  # JSON is YAML
    return page


def rival_round(yolo: str, page: Path, config: Any, images: int, epochs: int) -> dict[str, float]:
    """Train once with Ultralytics and return images/s and GFLOP/s.

    Raises ValueError with the end of its output if the program fails.
    """
    size, batch = max(image_size(config)), config.batch_size
    with tempfile.TemporaryDirectory() as folder:
        asked = [f"data={page}", f"imgsz={size}", f"batch={batch}", f"epochs={epochs}", "device=cpu"]
        asked += ["plots=False", "pretrained=False", f"project={folder}", "name=run"]
        words = [yolo, "detect", "train", f"model={MODEL}", *asked]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ValueError(f"{yolo} failed:\n{done.stdout[-1000:]}{done.stderr[-1000:]}")
        with (Path(folder) / "run" / "results.csv").open() as file:
            seconds = float([row["time"] for row in csv.DictReader(file)][-1])
    found = re.search(r"([\d.]+) GFLOPs", done.stdout)
    assert found, done.stdout
    rate = epochs * images / seconds
    gflops = float(found[1]) * (size / ITS_SIZE) ** 2
    return {"images_per_second": rate, "gflops_per_second": 3 * gflops * rate}


def our_round(overrides: Sequence[str], epochs: int) -> dict[str, float]:
    """Train once with this project, in a separate process like the rival's, and return images/s and GFLOP/s.

    Raises ValueError with the end of its output if the training fails.
    """
    words = [sys.executable, "-m", "gffpn", "benchmark-train", "--json", f"--epochs={epochs}"]
    words += [*overrides, "trainer.accelerator=cpu"]  # the rival trains on the CPU
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(done.stderr[-1000:])
    printed = json.loads(done.stdout.splitlines()[-1])
    return {key: printed[key] for key in ("images_per_second", "gflops_per_second")}


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line and run the comparison."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rival", description=__doc__)
    parser.add_argument(
        "--yolo", required=True, help="path of the Ultralytics program, in its own environment"
    )
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sizes", default="n,s", help="sizes of our detector (default: n,s)")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="overrides as for train.py")
    arguments = parser.parse_args(argv)
    try:
        compare(arguments)
    except ValueError as error:
        refuse(error)


def compare(arguments: argparse.Namespace) -> None:
    """Print each round, then the medians and their ratios.

    Raises ValueError with a one-line message if the command or its data is wrong.
    """
    if shutil.which(arguments.yolo) is None:
        raise ValueError(f"--yolo: no program {arguments.yolo!r}")
    config = compose_checked(arguments.overrides)
    index = build_index(config)
    sizes = arguments.sizes.split(",")
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in ("YOLOv8n", *sizes)}
    with tempfile.TemporaryDirectory() as folder:
        page = write_yolo_set(index, Path(folder))
        images = len(index.splits["train"])
        for _ in range(arguments.rounds):
            rounds["YOLOv8n"].append(rival_round(arguments.yolo, page, config, images, arguments.epochs))
            for size in sizes:
                words = [*arguments.overrides, f"size={size}"]
                rounds[size].append(our_round(words, arguments.epochs))
            print(
                {name: {k: round(v, 1) for k, v in done[-1].items()} for name, done in rounds.items()},
                flush=True,
            )
    medians = {
        name: {key: statistics.median(one[key] for one in done) for key in done[0]}
        for name, done in rounds.items()
    }
    base = medians["YOLOv8n"]["gflops_per_second"]
    for name, figures in medians.items():
        rate, gflops = figures["images_per_second"], figures["gflops_per_second"]
        label = name if name == "YOLOv8n" else f"{config.choice.neck} {name}"
        print(f"{label:10} {rate:7.1f} images/s {gflops:8.1f} GFLOP/s  {gflops / base:.2f} x YOLOv8n")


if __name__ == "__main__":
    main()
