"""`speed`: the fastest form of one detector."""

import argparse
from pathlib import Path

from gffpn.verbs.words import CLASSES, Verbs, add_allow, add_classes, add_overrides, add_timing


def add(verbs: "Verbs[argparse.ArgumentParser]") -> None:
    """Add the verb and its arguments to the command line."""
    verb = verbs.add_parser(
        "speed",
        help="find the fastest form of one detector on this machine",
        description="Times one detector in every form that this machine supports: as trained and folded, "
        "with channels first and last, in fp32 and in half precision, eager, as a CUDA graph, compiled (with "
        "--compile), and in ONNX Runtime. Uses batch 1 and a larger batch, in interleaved rounds, and shows "
        "the share of decoding and NMS. Writes a CSV and a Markdown file.",
        epilog="example: python -m gffpn speed neck=gffpn size=l image_size=640",
    )
    verb.add_argument("--run", type=Path, help="folder of a finished run whose detector and weights to use")
    add_allow(verb)
    verb.add_argument(
        "--compile", action="store_true", help="also time torch.compile (takes a minute or more)"
    )
    verb.add_argument("--batch", type=int, help="images in the larger batch (default: 16)")
    add_timing(verb, "the rounds")
    add_classes(verb)
    add_overrides(verb)
    verb.set_defaults(act=act, classes=None)


def act(arguments: argparse.Namespace) -> None:
    """Time every form of one detector on this machine."""
    from gffpn.benchmark.plan import Options
    from gffpn.benchmark.speed import BATCH, contestant, speed

    if arguments.run and arguments.classes is not None:
        raise ValueError("--classes: the run has its own number of classes")
    if arguments.allow and not arguments.run:
        raise ValueError("--allow: has no effect without a run; add --run FOLDER")
    options = Options(
        out=arguments.out,
        classes=CLASSES if arguments.classes is None else arguments.classes,
        rounds=arguments.rounds,
        seconds=arguments.seconds,
        batch=BATCH if arguments.batch is None else arguments.batch,
        training=False,
    )
    asked = contestant(arguments.overrides, options, run=arguments.run, allowed=arguments.allow)
    page, path = speed(asked, options, compiled=arguments.compile)
    print(page)
    print(f"Speed: {path}, .csv")
