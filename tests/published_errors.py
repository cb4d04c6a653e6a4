"""Write published_errors.yaml: error types by two published programs, on random detections.

tidecv 1.0.1 is TIDE itself, hotcoco 1.3.0 an independent program in Rust. Both are under the MIT licence and
no dependencies of this project. In an environment of their own:

    pip install tidecv==1.0.1 hotcoco==1.3.0 numpy pyyaml filelock
    PYTHONPATH=src:tests python tests/published_errors.py

Without crowd regions, both count errors alike. Their gains are defined alike for the types that are corrected
by removing a detection; for the others hotcoco makes every such detection true in its own class, also several
of one object, and adds a detection for a missed object. So its gains of these types are not written. With
crowd regions, hotcoco takes overlap with a region for a localisation error, so only tidecv is written; this
release of it also lists detections that it ignores as errors, and they are left out here.
"""

import contextlib
import importlib
import io
import json
import tempfile
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from gffpn.runs.predictions import Predictions
from hand_predictions import erring_detector

SCENES = [{"seed": 0, "crowd": 0.0}, {"seed": 1, "crowd": 0.0}, {"seed": 2, "crowd": 0.25}]
NAMES = {
    "Cls": "classification",
    "Loc": "localisation",
    "Both": "both",
    "Dupe": "duplicate",
    "Bkg": "background",
    "Miss": "missed",
}
REMOVED = ("both", "duplicate", "background")


def by_tidecv(made: Predictions) -> dict[str, Any]:
    """Return mAP50 and the gains, 0..1, and the counts of tidecv."""
    tidecv, data = importlib.import_module("tidecv"), importlib.import_module("tidecv.data")
    truth, found = data.Data("truth"), data.Data("found")
    evaluated = made.evaluated
    for label, name in enumerate(made.classes):
        truth.add_class(label, name)
    for image in range(len(made.names)):
        truth.add_image(image, made.names[image])
    for (image, label, xyxy), crowd in zip(
        zip(*evaluated.objects, strict=True), evaluated.crowd, strict=True
    ):
        add = truth.add_ignore_region if crowd else truth.add_ground_truth
        add(int(image), int(label), box=xywh(xyxy))
    for (image, label, xyxy), score in zip(
        zip(*evaluated.detections, strict=True), evaluated.scores, strict=True
    ):
        found.add_detection(int(image), int(label), float(score), box=xywh(xyxy))
    run = tidecv.TIDE().evaluate(truth, found, mode=tidecv.TIDE.BOX)
    return {
        "mAP50": float(run.ap) / 100,
        "counts": {
            NAMES[kind.short_name]: sum(not ignored(error) for error in errors)
            for kind, errors in run.error_dict.items()
        },
        "gains": {NAMES[kind.short_name]: float(g) / 100 for kind, g in run.fix_main_errors().items()},
    }


def ignored(error: Any) -> bool:
    """Return whether an error of tidecv is that of a detection in a crowd region."""
    return hasattr(error, "pred") and error.pred["info"]["used"] is None


def by_hotcoco(made: Predictions) -> dict[str, Any]:
    """Return mAP50, the gains that are defined as tidecv's, 0..1, and the counts of hotcoco."""
    hotcoco = importlib.import_module("hotcoco")
    evaluated, number = made.evaluated, count(1)
    annotations = [
        {**row(*one), "id": next(number), "iscrowd": int(crowd)}
        for *one, crowd in zip(*evaluated.objects, evaluated.crowd, strict=True)
    ]
    rows = [
        {**row(*one), "score": float(score)}
        for *one, score in zip(*evaluated.detections, evaluated.scores, strict=True)
    ]
    truth = {
        "images": [
            {"id": k + 1, "width": 640, "height": 640, "file_name": n} for k, n in enumerate(made.names)
        ],
        "annotations": annotations,
        "categories": [{"id": label + 1, "name": name} for label, name in enumerate(made.classes)],
    }
    with tempfile.TemporaryDirectory() as folder:
        path, found = Path(folder) / "truth.json", Path(folder) / "found.json"
        path.write_text(json.dumps(truth))
        found.write_text(json.dumps(rows))
        objects = hotcoco.COCO(str(path))
        evaluation = hotcoco.COCOeval(objects, objects.load_res(str(found)), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        errors = evaluation.tide_errors(pos_thr=0.5, bg_thr=0.1)
    gains = {NAMES[kind]: float(gain) for kind, gain in errors["delta_ap"].items() if kind in NAMES}
    return {
        "mAP50": float(evaluation.stats[1]),
        "counts": {NAMES[kind]: int(n) for kind, n in errors["counts"].items()},
        "gains": {kind: gains[kind] for kind in REMOVED},
    }


def xywh(xyxy: np.ndarray) -> list[float]:
    return [float(value) for value in (*xyxy[:2], *(xyxy[2:] - xyxy[:2]))]


def row(image: int, label: int, xyxy: np.ndarray) -> dict[str, Any]:
    box = xywh(xyxy)
    return {"image_id": int(image) + 1, "category_id": int(label) + 1, "bbox": box, "area": box[2] * box[3]}


def main() -> None:
    scenes: list[dict[str, Any]] = []
    for scene in SCENES:
        made = erring_detector(int(scene["seed"]), crowd=scene["crowd"])
        with contextlib.redirect_stdout(io.StringIO()):
            programs = {"tidecv": by_tidecv(made)}
            if not scene["crowd"]:
                programs["hotcoco"] = by_hotcoco(made)
        scenes.append({**scene, **programs})
    text = "# By tests/published_errors.py, whose docstring has the versions and the command.\n"
    path = Path(__file__).with_name("published_errors.yaml")
    path.write_text(text + yaml.safe_dump({"scenes": scenes}, sort_keys=False))


if __name__ == "__main__":
    main()
