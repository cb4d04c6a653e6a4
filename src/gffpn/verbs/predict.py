"""`predict`: the detections of a finished run or an ONNX file in a user's images."""

import argparse
import sys
from pathlib import Path

from gffpn.verbs.words import Verbs, add_allow, add_slices

DEFAULT_OUTPUTS = "pictures,coco,csv"
UNREADABLE, DETECTED = 1, 3
"""Exit codes."""


def add(verbs: "Verbs[argparse.ArgumentParser]") -> None:
    """Add the verb and its arguments to the command line."""
    verb = verbs.add_parser(
        "predict",
        help="detect in images, folders or videos, and write pictures, COCO JSON, CSV, ...",
        description="Detects in images and writes the results to a folder. Prints a line per image: "
        "`OK NAME`, or `NG NAME` with its detections. A call that was interrupted goes on when it is "
        "repeated. Exit code: 0; 1 if a file could not be read (it is named, and the rest goes on); 2 for a "
        "wrong argument; 3 with --fail-on-detection if there is a detection.",
        epilog="example: gffpn predict runs/NAME photos/ --out found --conf 0.3",
    )
    verb.add_argument("run", type=Path, help="a finished run's folder, or a file of gffpn export (.onnx)")
    verb.add_argument(
        "sources",
        nargs="+",
        metavar="SOURCE",
        help="image, folder (with its subfolders), 'glob', .txt file with a path per line, video, camera:0",
    )
    verb.add_argument(
        "--out", type=Path, default=Path("predictions"), help="output folder (default: predictions)"
    )
    verb.add_argument(
        "--write",
        default=DEFAULT_OUTPUTS,
        metavar="LIST",
        help=f"outputs among pictures,coco,csv,yolo,crops, or none (default: {DEFAULT_OUTPUTS})",
    )
    _add_options(verb)
    add_slices(verb)
    add_allow(verb)
    verb.set_defaults(act=act)


def _add_options(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--conf", type=float, help="lowest score (default: the run's operating point, best F1 on val)"
    )
    verb.add_argument("--classes", nargs="+", metavar="NAME", help="names of the classes to report")
    verb.add_argument("--max-det", type=int, help="detections per image at most")
    verb.add_argument("--device", default="auto", help="auto (default), cpu, gpu ...")
    verb.add_argument(
        "--half", action="store_true", help="compute in bf16 if the device multiplies it in hardware: faster"
    )
    verb.add_argument("--batch", type=int, default=16, help="images or slices per batch (default: 16)")
    verb.add_argument(
        "--overwrite", action="store_true", help="start over, instead of continuing the predictions in --out"
    )
    verb.add_argument("--quiet", action="store_true", help="print no line per image")
    verb.add_argument("--fail-on-detection", action="store_true", help="exit with 3 if anything is detected")


def act(arguments: argparse.Namespace) -> None:
    """Detect in all images; exit with 1 if one could not be read, with 3 if asked and one is NG."""
    from gffpn.deploy.detector import load_detector
    from gffpn.deploy.predict import predict
    from gffpn.deploy.sources import images
    from gffpn.verbs.words import slicing

    found = images(arguments.sources, without=arguments.out)  # first, because it takes no time
    detector = load_detector(
        arguments.run,
        threshold=arguments.conf,
        classes=arguments.classes,
        max_detections=arguments.max_det,
        slicing=slicing(arguments),
        device=arguments.device,
        half=arguments.half,
        allowed=arguments.allow,
    )
    print(f"Scores from {detector.threshold:.3g} ({detector.threshold_origin})", file=sys.stderr)
    side, input_side = detector.slicing and detector.slicing.side, min(detector.network.image_size)
    if side and 2 * side < input_side:
        print(
            f"--slice {side}: each slice is enlarged to the network's {input_side} px, and there are many; "
            "choose slices in which objects have the size of training",
            file=sys.stderr,
        )
    summary = predict(
        detector,
        found,
        arguments.out,
        write=[] if arguments.write == "none" else arguments.write.split(","),
        batch=arguments.batch,
        overwrite=arguments.overwrite,
        quiet=arguments.quiet,
    )
    before = f", {summary.before} of them by an earlier call" if summary.before else ""
    print(
        f"{summary.images} images{before}: {summary.images - summary.flawed} OK, {summary.flawed} NG with "
        f"{summary.detections} detections, {len(summary.unreadable)} not readable; "
        f"{summary.images_per_second:.1f} images/s: {arguments.out}",
        file=sys.stderr,
    )
    if summary.interrupted:
        raise KeyboardInterrupt
    if summary.unreadable:
        raise SystemExit(UNREADABLE)
    if arguments.fail_on_detection and summary.flawed:
        raise SystemExit(DETECTED)
