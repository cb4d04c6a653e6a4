"""`benchmark`: what each neck costs."""

import argparse

from gffpn.config.overrides import refuse
from gffpn.verbs.words import Verbs, add_classes, add_overrides, add_timing


def add(verbs: "Verbs[argparse.ArgumentParser]") -> None:
    """The verb's words."""
    verb = verbs.add_parser(
        "benchmark",
        help="what each neck costs: parameters, GFLOPs, memory, times",
        description="Every neck of conf/neck/, or those of neck=a,b,c, in the same detector, as trained and "
        "in its inference form: levels, parameters, GFLOPs, activation memory, forward passes, end to end, "
        "and a training step, in interleaved rounds on the device of trainer.accelerator. Writes a CSV, a "
        "Markdown and a PNG file. A neck that does not take the image size is a row that says so; one that "
        "fails is a row with its error, and the exit code is 1. Ctrl-C writes what was measured so far.",
        epilog="example: python -m gffpn benchmark neck=fpn,panet,gffpn size=l head=yolov5 image_size=640",
    )
    add_timing(verb, "inference, and then training,")
    verb.add_argument(
        "--batch",
        type=int,
        help="images of a training step and of the larger forward pass (default: 8, CPU 2)",
    )
    verb.add_argument("--no-training", action="store_true", help="no training steps")
    verb.add_argument(
        "--paper", action="store_true", help="of the necks only those of the paper's Table 5 (paper.yaml)"
    )
    add_classes(verb)
    add_overrides(verb)
    verb.set_defaults(act=act)


def act(arguments: argparse.Namespace) -> None:
    """Measure what each neck costs; exit code 1 if a neck fails, 130 after Ctrl-C."""
    from gffpn.benchmark.plan import Options
    from gffpn.benchmark.run import benchmark
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
    print(page.read_text())
    print(f"Benchmark: {page}, .csv, .png")
    if record.partial:
        raise SystemExit(130)
    if record.failed:
        refuse(f"failed: {', '.join(entry.neck for entry in record.failed)}", code=1)
