"""`speed`: which form of one detector is the fastest."""

import argparse
from pathlib import Path

from gffpn.verbs.words import Verbs, add_allow, add_classes, add_overrides, add_timing


def add(verbs: "Verbs[argparse.ArgumentParser]") -> None:
    """The verb's words."""
    verb = verbs.add_parser(
        "speed",
        help="which form of one detector is the fastest here",
        description="One detector as trained and folded, channels first and last, in fp32 and in half "
        "precision, eager, as a CUDA graph, compiled, in ONNX Runtime: what this machine has. Times at batch "
        "1 and at a larger one, in interleaved rounds, with the share of decoding and NMS. Writes a CSV and "
        "a Markdown file.",
        epilog="example: python -m gffpn speed neck=gffpn size=l image_size=640",
    )
    verb.add_argument("--run", type=Path, help="a finished run's folder: its detector, with its weights")
    add_allow(verb)
    verb.add_argument("--compile", action="store_true", help="torch.compile too (a minute or more)")
    verb.add_argument("--batch", type=int, help="images of the larger batch (default: 16)")
    add_timing(verb, "they")
    add_classes(verb)
    add_overrides(verb)
    verb.set_defaults(act=act)


def act(arguments: argparse.Namespace) -> None:
    """Which form of one detector is the fastest here."""
    from gffpn.benchmark.plan import Options
    from gffpn.benchmark.speed import BATCH, contestant, speed

    options = Options(
        out=arguments.out,
        classes=arguments.classes,
        rounds=arguments.rounds,
        seconds=arguments.seconds,
        batch=BATCH if arguments.batch is None else arguments.batch,
        training=False,
    )
    asked = contestant(arguments.overrides, options, run=arguments.run, allowed=arguments.allow)
    page, path = speed(asked, options, compiled=arguments.compile)
    print(page)
    print(f"Speed: {path}, .csv")
