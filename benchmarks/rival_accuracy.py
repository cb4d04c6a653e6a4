"""Accuracy of YOLOv8n by Ultralytics after some minutes of training on this machine, on our splits.

Ultralytics is installed and called as in `benchmarks.rival`:

    python -m benchmarks.rival_accuracy --yolo /tmp/ultra/bin/yolo --minutes 5 \\
        data=coco data.root=/path/nuclei data.splits=splits image_size=512

It trains from random weights with its default settings, for a time instead of a number of epochs, validations
included. Its best weights then detect in the test images, and pycocotools computes the figures from its file
of detections, by the rule that this project follows too.
"""

import argparse
import contextlib
import csv
import io
import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from benchmarks.rival import MODEL, write_yolo_set
from gffpn.build.index import build_index
from gffpn.config.check import compose_checked
from gffpn.config.compose import image_size
from gffpn.config.overrides import refuse
from gffpn.data.index import ImageRecord


def called(yolo: str, *words: str) -> None:
    """Call the rival's program. Raises ValueError with the end of its output if it fails."""
    done = subprocess.run([yolo, "detect", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(f"{yolo} failed:\n{done.stdout[-1000:]}{done.stderr[-1000:]}")


def truth_of(records: Sequence[ImageRecord], classes: int) -> dict[str, Any]:
    """Return the objects of a split as a COCO document; images are numbered from 0, classes from 1."""
    document: dict[str, Any] = {"images": [], "annotations": []}
    document["categories"] = [{"id": number + 1} for number in range(classes)]
    for number, record in enumerate(records):
        document["images"].append({"id": number, "width": record.width, "height": record.height})
        boxes, labels, crowd = record.boxes.tolist(), record.labels.tolist(), record.crowd.tolist()
        for (x1, y1, x2, y2), label, is_crowd in zip(boxes, labels, crowd, strict=True):
            document["annotations"].append(
                {
                    "id": len(document["annotations"]) + 1,
                    "image_id": number,
                    "category_id": label + 1,
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": (x2 - x1) * (y2 - y1),
                    "iscrowd": int(is_crowd),
                }
            )
    return document


def average_precision(truth: dict[str, Any], detections: list[dict[str, Any]]) -> tuple[float, float]:
    """Return mAP50 and mAP50_95 by pycocotools."""
    with contextlib.redirect_stdout(io.StringIO()):
        known = COCO()
        known.dataset = truth
        known.createIndex()
        evaluation = COCOeval(known, known.loadRes(detections), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return float(evaluation.stats[1]), float(evaluation.stats[0])


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line, train the rival and print its figures on test."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rival_accuracy", description=__doc__)
    parser.add_argument(
        "--yolo", required=True, help="path of the Ultralytics program, in its own environment"
    )
    parser.add_argument("--minutes", type=float, required=True, help="time of its training")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="overrides as for train.py")
    arguments = parser.parse_args(argv)
    try:
        measure(arguments)
    except ValueError as error:
        refuse(error)


def measure(arguments: argparse.Namespace) -> None:
    """Train the rival and print its epochs, minutes, mAP50 and mAP50_95 on test.

    Raises ValueError with a one-line message if the command or its data is wrong.
    """
    if shutil.which(arguments.yolo) is None:
        raise ValueError(f"--yolo: no program {arguments.yolo!r}")
    config = compose_checked(arguments.overrides)
    index = build_index(config)
    with tempfile.TemporaryDirectory() as folder:
        page = write_yolo_set(index, Path(folder) / "set")
        common = [
            f"data={page}",
            f"imgsz={max(image_size(config))}",
            f"batch={config.batch_size}",
            "device=cpu",
        ]
        common += ["plots=False", f"project={folder}"]
        asked = ["pretrained=False", f"time={arguments.minutes / 60}", f"seed={arguments.seed}"]
        called(arguments.yolo, "train", f"model={MODEL}", "name=run", *asked, *common)
        with (Path(folder) / "run" / "results.csv").open() as file:
            epochs = list(csv.DictReader(file))
        weights = Path(folder) / "run" / "weights" / "best.pt"
        called(
            arguments.yolo, "val", f"model={weights}", "split=test", "save_json=True", "name=test", *common
        )
        found = json.loads((Path(folder) / "test" / "predictions.json").read_text())
        numbers = {one["category_id"] for one in found}
        if not numbers & {0, len(index.classes)}:
            raise ValueError(f"{arguments.yolo}: got the classes {sorted(numbers)}, from 0 or from 1 on?")
        shift = int(0 in numbers)
        detections = [
            {**one, "image_id": int(one["image_id"]), "category_id": one["category_id"] + shift}
            for one in found
        ]
        print(f"{len(epochs)} epochs in {float(epochs[-1]['time']) / 60:.1f} minutes")
        shares = average_precision(truth_of(index.splits["test"], len(index.classes)), detections)
    print("YOLOv8n on test: mAP50 {:.1f} %, mAP50_95 {:.1f} %".format(*(100 * share for share in shares)))


if __name__ == "__main__":
    main()
