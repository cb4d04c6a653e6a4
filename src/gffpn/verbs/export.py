"""`export`: a finished run as one ONNX file."""

import argparse
from pathlib import Path

from gffpn.verbs.words import Verbs, add_allow


def add(verbs: "Verbs[argparse.ArgumentParser]") -> None:
    """The verb's words."""
    verb = verbs.add_parser(
        "export",
        help="a finished run to one ONNX file, checked on its data",
        description="Writes the tested weights of a finished run as one ONNX file: uint8 images in, "
        "detections out, suppression within. Then holds it against PyTorch on the run's data: the same "
        "detections, average precision by size, latency; printed, and written beside the file (.json, .md).",
        epilog="example: python -m gffpn export runs/NAME --out detector.onnx data.root=/path/NEU-DET",
    )
    verb.add_argument("run", type=Path, help="the run's folder")
    verb.add_argument("--out", type=Path, help="the file to write (default: best.onnx in the run's folder)")
    verb.add_argument("--split", default="test", help="check on this split: test (default) or val")
    verb.add_argument("--limit", type=int, help="check on so many images (default: all; 0: no check)")
    add_allow(verb)
    verb.add_argument(
        "overrides", nargs="*", metavar="KEY=VALUE", help="where the data is now: data.root=..."
    )
    verb.set_defaults(act=act)


def act(arguments: argparse.Namespace) -> None:
    """A finished run to one ONNX file, checked on its data."""
    from gffpn.deploy.export import export

    path, page = export(
        arguments.run,
        arguments.out,
        arguments.overrides,
        split=arguments.split,
        limit=arguments.limit,
        allowed=arguments.allow,
    )
    print(page)
    print(f"Export: {path}, .json, .md")
