"""`benchmark`: the cost of each neck."""

import argparse

from gffpn.config.overrides import refuse
from gffpn.verbs.words import Verbs, add_classes, add_overrides, add_timing


def add(verbs: "Verbs[argparse.ArgumentParser]") -> None:
    """Add the verb and its arguments to the command line."""
    verb = verbs.add_parser(
        "benchmark",
        help="measure the cost of each neck: parameters, GFLOPs, memory, times",
        description="Compares every neck of conf/neck/, or those of neck=a,b,c, in the same detector, as "
        "trained and in its inference form: levels, parameters, GFLOPs, activation memory, and the times of "
        "forward passes, of detection end to end and of a training step, in interleaved rounds on the device "
        "of trainer.accelerator. Writes a CSV, a Markdown and a PNG file. A neck that does not accept the "
        "image size gets a row that says so. One that fails gets a row with its error, and the exit code is "
        "1. Ctrl-C writes the results so far.",
        epilog="example: python -m gffpn benchmark neck=fpn,panet,gffpn size=l head=yolov5 image_size=640",
    )
    add_timing(verb, "inference, and then training,")
    verb.add_argument(
        "--batch",
        type=int,
        help="images per training step and per larger forward pass (default: 8; on a CPU: 2)",
    )
    verb.add_argument("--no-training", action="store_true", help="do not measure training steps")
    verb.add_argument(
        "--paper", action="store_true", help="only the necks of the paper's Table 5 (paper.yaml)"
    )
    add_classes(verb)
    add_overrides(verb)
    verb.set_defaults(act=act)


def act(arguments: argparse.Namespace) -> None:
    """Measure the cost of each neck; exit with code 1 if a neck fails, and with 130 after Ctrl-C."""
    from gffpn.benchmark.neck_table import benchmark
    from gffpn.benchmark.plan import Options
    from gffpn.report.paper import paper_costs

    options = Options(
        out=arguments.out,
        classes=arguments.classes,
        rounds=arguments.rounds,
        seconds=arguments.seconds,
        batch=arguments.batch,
        training=not arguments.no_training,
    )
    record, page = benchmark(arguments.overrides, options, only=paper_costs() if arguments.paper else None)
    print(page.read_text(encoding="utf-8"))
    print(f"Benchmark: {page}, .csv, .png")
    if record.partial:
        raise SystemExit(130)
    if record.failed:
        refuse(f"failed: {', '.join(entry.neck for entry in record.failed)}", code=1)
