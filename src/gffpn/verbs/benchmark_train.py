"""`benchmark-train`: how fast a training is, and where its time goes."""

import argparse
import json

from gffpn.verbs.words import Verbs, add_json, add_overrides


def add(verbs: "Verbs[argparse.ArgumentParser]") -> None:
    """The verb's words."""
    verb = verbs.add_parser(
        "benchmark-train",
        help="how fast a training is, and where its time goes",
        description="Trains as train.py would with the same words, for a few epochs, and keeps nothing: "
        "images/s and GFLOP/s from end to end, the share of the machine's measured matmul peak; then one "
        "more epoch whose time is shared out among its parts, and what a step would take at those limits.",
        epilog="example: python -m gffpn benchmark-train neck=gffpn size=s data=neu_det "
        "data.root=/path/NEU-DET image_size=224",
    )
    verb.add_argument("--epochs", type=int, default=2, help="epochs that are not watched (default: 2)")
    add_json(verb, "one JSON line in place of the table")
    add_overrides(verb)
    verb.set_defaults(act=act)


def act(arguments: argparse.Namespace) -> None:
    """Time a training of a few epochs and its parts."""
    from gffpn.benchmark.fit import training_speed
    from gffpn.machine.processes import is_lead

    if arguments.epochs < 1:
        raise ValueError(f"--epochs: got {arguments.epochs}, expected 1 or more")
    speed = training_speed(arguments.overrides, epochs=arguments.epochs)
    if is_lead():  # of the processes of trainer=ddp
        print(json.dumps(speed.told()) if arguments.json else speed.table())
