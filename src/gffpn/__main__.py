"""`python -m gffpn VERB`: what can be asked without training."""

import argparse
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

from gffpn.data.index import DataError
from gffpn.suite.overrides import WRONG_OVERRIDE, refuse, unwrapped


def cost_verb(arguments: argparse.Namespace) -> None:
    """Parameters and GFLOPs of the detector that the overrides choose."""
    from gffpn.build import build_detector, compose_config, image_size
    from gffpn.cost import cost
    from gffpn.suite.settings import check

    config = compose_config(arguments.overrides)
    check(config)
    height, width = image_size(config)
    price = dataclasses.asdict(cost(build_detector(config, arguments.classes), (height, width)))
    told = {
        "neck": config.choice.neck,
        "backbone": config.choice.backbone,
        "head": config.choice.head,
        "size": config.size.name,
        "classes": arguments.classes,
        **price,
        "image_size": height if height == width else [height, width],
    }
    if not arguments.json:
        for key, value in told.items():
            print(f"{key:18} {value}")
    print(json.dumps(told))


def benchmark_verb(arguments: argparse.Namespace) -> None:
    """Measure what each neck costs; exit code 1 if a neck fails, 130 after Ctrl-C."""
    from gffpn.benchmark.plan import Options
    from gffpn.benchmark.run import benchmark
    from gffpn.suite.paper import paper_costs

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


def benchmark_train_verb(arguments: argparse.Namespace) -> None:
    """Time a training of a few epochs and its parts."""
    from gffpn.benchmark.fit import training_speed
    from gffpn.processes import is_lead

    if arguments.epochs < 1:
        raise ValueError(f"--epochs: got {arguments.epochs}, expected 1 or more")
    speed = training_speed(arguments.overrides, epochs=arguments.epochs)
    if is_lead():  # of the processes of trainer=ddp
        print(json.dumps(speed.told()) if arguments.json else speed.table())


def speed_verb(arguments: argparse.Namespace) -> None:
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
    asked = contestant(arguments.overrides, options, run=arguments.run)
    page, path = speed(asked, options, compiled=arguments.compile)
    print(page)
    print(f"Speed: {path}, .csv")


def match_verb(arguments: argparse.Namespace) -> None:
    """The width at which a neck costs what another costs; exit code 1 if none comes within 2 %."""
    from gffpn.benchmark.match import match

    own = ("neck=", "to=", "by=")
    asked = dict(word.split("=", 1) for word in arguments.overrides if word.startswith(own))
    if not {"neck", "to"} <= set(asked):
        raise ValueError("match: expected neck=NECK and to=NECK")
    rest = [word for word in arguments.overrides if not word.startswith(own)]
    found = match(asked["neck"], asked["to"], asked.get("by", "params"), rest, classes=arguments.classes)
    print(json.dumps(found.told()) if arguments.json else found.table())
    if not found.close:
        raise SystemExit(1)


def export_verb(arguments: argparse.Namespace) -> None:
    """A finished run to one ONNX file, checked on its data."""
    from gffpn.export.run import export

    path, page = export(
        arguments.run, arguments.out, arguments.overrides, split=arguments.split, limit=arguments.limit
    )
    print(page)
    print(f"Export: {path}, .json, .md")


def check_verb(arguments: argparse.Namespace) -> None:
    """Read and check the data set; exit code 1 and every fault if there is one."""
    from gffpn.build import build_index, compose_config
    from gffpn.data.faults import FaultyData
    from gffpn.suite.settings import check

    config = compose_config(arguments.overrides)
    check(config)
    if "on_error" in config.data:
        config.data.on_error = "raise"  # to skip a fault is to hide it
    try:
        index = build_index(config)
    except FaultyData as error:
        print(error.told())
        raise SystemExit(1) from None
    parts = [f"{split} {len(records)}" for split, records in index.splits.items()]
    images = sum(len(records) for records in index.splits.values())
    boxes = sum(len(record.boxes) for records in index.splits.values() for record in records)
    mended = "".join(f"; {what}: {number}" for what, number in index.mended.items())
    print(
        f"no fault: {images} images ({', '.join(parts)}), {boxes} boxes, {len(index.classes)} classes{mended}"
    )


def card_verb(arguments: argparse.Namespace) -> None:
    """What a data set holds, and what is doubtful about it."""
    from rich.console import Console

    from gffpn.build import build_index, compose_config, image_size
    from gffpn.data.card import card
    from gffpn.data.card_text import print_card
    from gffpn.metrics.matching import SIZE_EDGES, size_ranges
    from gffpn.suite.settings import check

    config = compose_config(arguments.overrides)
    check(config)
    told = card(build_index(config), image_size(config), size_ranges(SIZE_EDGES))
    if arguments.json:
        print(json.dumps(told))
    else:
        print_card(told, Console())


def parser() -> argparse.ArgumentParser:
    """The command line of `python -m gffpn`."""
    top = argparse.ArgumentParser(prog="python -m gffpn", description=__doc__)
    verbs = top.add_subparsers(metavar="VERB", required=True)
    cost = verbs.add_parser(
        "cost",
        help="parameters and GFLOPs",
        description="Parameters and GFLOPs (2 x MAC, batch 1) of backbone, neck and head. "
        "One JSON object stands on the last line.",
        epilog="example: python -m gffpn cost neck=gffpn head=yolov5 size=l image_size=640",
    )
    cost.add_argument("--json", action="store_true", help="print the JSON line only")
    cost.set_defaults(act=cost_verb)
    timing = _benchmark_parser(verbs)
    training = verbs.add_parser(
        "benchmark-train",
        help="how fast a training is, and where its time goes",
        description="Trains as train.py would with the same words, for a few epochs, and keeps nothing: "
        "images/s and GFLOP/s from end to end, the share of the machine's measured matmul peak; then one "
        "more epoch whose time is shared out among its parts, and what a step would take at those limits.",
        epilog="example: python -m gffpn benchmark-train neck=gffpn size=s data=neu_det "
        "data.root=/path/NEU-DET image_size=224",
    )
    training.add_argument("--epochs", type=int, default=2, help="epochs that are not watched (default: 2)")
    training.add_argument("--json", action="store_true", help="one JSON line in place of the table")
    training.set_defaults(act=benchmark_train_verb)
    racing = _speed_parser(verbs)
    matching = verbs.add_parser(
        "match",
        help="the width at which a neck costs what another one costs",
        description="Finds the width at which one neck alone, without backbone and head, has the parameters "
        "or the GFLOPs of another: a control for a comparison, since a neck may win by its width alone. "
        "to=NECK is the other one, by=params (default) or by=gflops the cost. "
        "Further overrides are for both, those of neck.* and ablation for the first. "
        "Exit code 1 if no width comes within 2 %%.",
        epilog="example: python -m gffpn match neck=panet to=gffpn by=gflops size=l image_size=640",
    )
    matching.add_argument("--json", action="store_true", help="print one JSON line")
    matching.set_defaults(act=match_verb)
    exporting = _export_parser(verbs)
    data = verbs.add_parser("data", help="check a data set, or tell what it holds")
    data_verbs = data.add_subparsers(metavar="check|card", required=True)
    checking = data_verbs.add_parser(
        "check",
        help="every fault of a data set",
        description="Read a data set as a run would: every folder, list, annotation and box, and each image "
        "decoded once. Prints one line and exits with 0, or prints all faults by kind and exits with 1; what "
        "data.on_error=skip would drop is a fault here.",
        epilog="example: python -m gffpn data check data=voc data.root=/path/to/set data.annotations=xml",
    )
    checking.set_defaults(act=check_verb)
    telling = data_verbs.add_parser(
        "card",
        help="what a data set holds",
        description="Counts by class, by size bin (of the metrics, in network and in native pixels) and by "
        "split; images without boxes; boxes too thin at image_size; near-duplicate images across splits and "
        "within; near-duplicates with different labels; boxes of two classes in one place.",
        epilog="example: python -m gffpn data card data=neu_det data.root=/path/NEU-DET image_size=224",
    )
    telling.add_argument("--json", action="store_true", help="print one JSON object that lists everything")
    telling.set_defaults(act=card_verb)
    for verb in (cost, timing, racing, matching):
        verb.add_argument("--classes", type=int, default=9, help="number of classes (default: 9, TinyIndus)")
    exporting.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="where the data is now")
    for verb in (cost, timing, training, racing, matching, checking, telling):
        verb.add_argument(
            "overrides", nargs="*", metavar="KEY=VALUE", help="as for train.py: neck=panet data=voc ..."
        )
    return top


def _speed_parser(
    verbs: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> argparse.ArgumentParser:
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
    verb.add_argument("--compile", action="store_true", help="torch.compile too (a minute or more)")
    verb.add_argument("--batch", type=int, help="images of the larger batch (default: 16)")
    verb.add_argument("--rounds", type=int, default=10, help="rounds at least (default: 10)")
    verb.add_argument(
        "--seconds",
        type=float,
        default=20.0,
        help="go on with rounds until they took that long (default: 20)",
    )
    verb.add_argument(
        "--out", type=Path, default=Path("runs/benchmark"), help="folder (default: runs/benchmark)"
    )
    verb.set_defaults(act=speed_verb)
    return verb


def _export_parser(
    verbs: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> argparse.ArgumentParser:
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
    verb.set_defaults(act=export_verb)
    return verb


def _benchmark_parser(
    verbs: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> argparse.ArgumentParser:
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
    verb.add_argument("--rounds", type=int, default=10, help="rounds at least (default: 10)")
    verb.add_argument(
        "--seconds",
        type=float,
        default=20.0,
        help="go on with rounds until inference, and then training, took that long (default: 20)",
    )
    verb.add_argument(
        "--batch",
        type=int,
        help="images of a training step and of the larger forward pass (default: 8, CPU 2)",
    )
    verb.add_argument("--no-training", action="store_true", help="no training steps")
    verb.add_argument(
        "--paper", action="store_true", help="of the necks only those of the paper's Table 5 (paper.yaml)"
    )
    verb.add_argument(
        "--out", type=Path, default=Path("runs/benchmark"), help="folder (default: runs/benchmark)"
    )
    verb.set_defaults(act=benchmark_verb)
    return verb


def main(argv: Sequence[str] | None = None) -> None:
    """Run a verb; a wrong value is one line on stderr and exit code 2, a faulty data set exit code 1."""
    # overrides may stand before and after options; argparse takes one run of them only
    arguments, rest = parser().parse_known_args(argv)
    if unknown := [word for word in rest if word.startswith("-")]:
        parser().error(f"unrecognized arguments: {' '.join(unknown)}")
    arguments.overrides += rest
    try:
        arguments.act(arguments)
    except (ValueError, *WRONG_OVERRIDE) as raised:
        error = unwrapped(raised)
        if not isinstance(error, ValueError):
            raise
        refuse(error, code=1 if isinstance(error, DataError) else 2)


if __name__ == "__main__":
    main()
