"""`benchmark-train`: the speed of training, and the time of its parts."""

import argparse
import json

from gffpn.verbs.words import Verbs, add_json, add_overrides


def add(verbs: "Verbs[argparse.ArgumentParser]") -> None:
    """Add the verb and its arguments to the command line."""
    verb = verbs.add_parser(
        "benchmark-train",
        help="measure how fast training is and where its time goes",
        description="Trains as train.py would with the same overrides, for a few epochs, and keeps nothing. "
        "Shows images/s and GFLOP/s from end to end and the share of the machine's measured matmul peak; "
        "then, for one more epoch, the time of each part, and what a step would take at the machine's "
        "limits.",
        epilog="example: python -m gffpn benchmark-train neck=gffpn size=s data=neu_det "
        "data.root=/path/NEU-DET image_size=224",
    )
    verb.add_argument("--epochs", type=int, default=2, help="epochs without the timing of parts (default: 2)")
    add_json(verb, "print one JSON line instead of the table")
    add_overrides(verb)
    verb.set_defaults(act=act)


def act(arguments: argparse.Namespace) -> None:
    """Time a few epochs of training, and its parts."""
    from gffpn.benchmark.training_speed import training_speed
    from gffpn.machine.processes import is_lead

    if arguments.epochs < 1:
        raise ValueError(f"--epochs: got {arguments.epochs}, expected 1 or more")
    speed = training_speed(arguments.overrides, epochs=arguments.epochs)
    if is_lead():  # with trainer=ddp, there are several processes
        print(json.dumps(speed.record()) if arguments.json else speed.table())
