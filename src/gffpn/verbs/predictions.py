"""`predictions` and `verify`: what a finished run detected, and whether its figures follow from it."""

import argparse
import json
from pathlib import Path

from gffpn.choice import choose
from gffpn.verbs.words import Verbs


def add(verbs: "Verbs[argparse.ArgumentParser]") -> None:
    """Add the verbs and their arguments to the command line."""
    verb = verbs.add_parser(
        "predictions",
        help="write the detections of a finished run as COCO files",
        description="Writes the detections of a finished run as COCO results JSON, which pycocotools and "
        "FiftyOne read, and with --truth also the annotations of the same images. Boxes are [x, y, width, "
        "height] in pixels of the image files. Images and categories are numbered from 1: categories in the "
        "order of the classes, images in the order of the split; the truth has their names.",
        epilog="example: gffpn predictions runs/NAME --coco detections.json --truth truth.json",
    )
    verb.add_argument("run", type=Path, help="the run's folder")
    verb.add_argument("--coco", type=Path, required=True, metavar="FILE", help="file for the detections")
    verb.add_argument("--truth", type=Path, metavar="FILE", help="file for the annotations")
    verb.add_argument("--split", default="test", help="test (default) or val")
    verb.set_defaults(act=write_coco)
    checking = verbs.add_parser(
        "verify",
        help="compute the figures of a finished run again from its predictions",
        description="Computes every figure of metrics.json again from predictions.npz alone. Prints each "
        "difference over 1e-9 and exits with 1 if there is one.",
        epilog="example: gffpn verify runs/NAME",
    )
    checking.add_argument("run", type=Path, help="the run's folder")
    checking.set_defaults(act=verify)


def write_coco(arguments: argparse.Namespace) -> None:
    """Write the detections of one split, and its truth if asked."""
    from gffpn.files.writing import check_file, check_not_replaced, write_atomically
    from gffpn.runs.coco import coco_results, coco_truth
    from gffpn.runs.folder import RunFolder, check_no_run_file
    from gffpn.runs.predictions import SPLITS, read_predictions

    choose("--split", arguments.split, dict.fromkeys(SPLITS))
    files = {f"--{name}": getattr(arguments, name) for name in ("coco", "truth") if getattr(arguments, name)}
    for setting, path in files.items():
        check_no_run_file(path, setting=setting)
        check_file(path, setting=setting)
    if len({path.resolve() for path in files.values()}) < len(files):
        raise ValueError(f"--truth: got {arguments.truth}, as for --coco, expected another file")
    folder = RunFolder(arguments.run)
    if not folder.predictions.is_file():
        folder.finished()  # says what the folder is, if it is no finished run
    predictions = read_predictions(folder.predictions)[arguments.split]
    rows, truth = coco_results(predictions), coco_truth(predictions)
    texts = {"--coco": json.dumps(rows) + "\n", "--truth": json.dumps(truth) + "\n"}
    for setting, path in files.items():
        check_not_replaced(path, texts[setting], setting=setting)
    for setting, path in files.items():
        write_atomically(path, texts[setting])
    print(f"{len(rows)} detections in {len(predictions.names)} images: {arguments.coco}")
    if arguments.truth:
        print(f"{len(truth['annotations'])} objects: {arguments.truth}")


def verify(arguments: argparse.Namespace) -> None:
    """Print each figure that does not follow from the predictions; exit with 1 if there is one."""
    from gffpn.runs.folder import RunFolder
    from gffpn.runs.predictions import read_predictions
    from gffpn.runs.verify import differences

    folder = RunFolder(arguments.run)
    count, lines = differences(folder.finished(), read_predictions(folder.predictions))
    for line in lines:
        print(line)
    if lines:
        print(f"{len(lines)} of {count} values differ")
        raise SystemExit(1)
    print(f"{count} values of metrics.json follow from predictions.npz")
