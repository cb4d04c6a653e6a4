"""`export`: a finished run to one ONNX file."""

import argparse
from pathlib import Path

from gffpn.verbs.words import Verbs, add_allow


def add(verbs: "Verbs[argparse.ArgumentParser]") -> None:
    """Add the verb and its arguments to the command line."""
    verb = verbs.add_parser(
        "export",
        help="export a finished run to one ONNX file, and check it on the run's data",
        description="Writes a finished run, with the weights that were tested, as one ONNX file that maps "
        "uint8 images to detections, suppression included. The file is then compared with PyTorch on the "
        "run's data: detections, average precision by size, and latency. The comparison is printed and "
        "written next to the file (.json, .md).",
        epilog="example: python -m gffpn export runs/NAME --out detector.onnx data.root=/path/NEU-DET",
    )
    verb.add_argument("run", type=Path, help="the run's folder")
    verb.add_argument("--out", type=Path, help="the file to write (default: best.onnx in the run's folder)")
    verb.add_argument("--split", help="split to check on: test (default) or val")
    verb.add_argument(
        "--limit",
        type=int,
        help="number of images to check on, drawn at random from the split, the same ones at each call "
        "(default: all; 0: no check)",
    )
    add_allow(verb)
    verb.add_argument(
        "overrides",
        nargs="*",
        metavar="KEY=VALUE",
        help="where the data is now (data.root=...), or how to run: trainer.threads=1 ...",
    )
    verb.set_defaults(act=act)


def act(arguments: argparse.Namespace) -> None:
    """Export a finished run to one ONNX file, and check it on the run's data."""
    from gffpn.deploy.export import export

    if arguments.limit == 0 and arguments.split is not None:
        raise ValueError("--split: has no effect with --limit 0, which checks nothing; leave one of them out")
    path, page = export(
        arguments.run,
        arguments.out,
        arguments.overrides,
        split="test" if arguments.split is None else arguments.split,
        limit=arguments.limit,
        allowed=arguments.allow,
    )
    print(page)
    print(f"Export: {path}, .json, .md")
