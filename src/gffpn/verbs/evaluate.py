"""`evaluate`: the figures of a finished run on another data set."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from gffpn.verbs.words import Verbs, add_allow, add_slices

if TYPE_CHECKING:
    from gffpn.figures import BinFigures, Figures
    from gffpn.runs.evaluation import Evaluation


def add(verbs: "Verbs[argparse.ArgumentParser]") -> None:
    """Add the verb and its arguments to the command line."""
    verb = verbs.add_parser(
        "evaluate",
        help="evaluate a finished run on another data set, or in slices",
        description="Evaluates the weights that were tested on a split of another data set. Classes are "
        "matched by name: objects of other classes are left out and counted. Prints the figures beside those "
        "of the run's own test, and writes a record to evaluations/ in the run's folder.",
        epilog="example: gffpn evaluate runs/NAME data=voc data.root=/path/of/set --split all",
    )
    verb.add_argument("run", type=Path, help="the run's folder")
    verb.add_argument("--split", default="test", help="test (default), val, train or all")
    verb.add_argument("--device", default="auto", help="auto (default), cpu, gpu ...")
    verb.add_argument("--batch", type=int, default=16, help="images or slices per batch (default: 16)")
    add_slices(verb)
    add_allow(verb)
    verb.add_argument(
        "overrides",
        nargs="*",
        metavar="KEY=VALUE",
        help="the data set, as for train.py: data=voc data.root=...; without data=, that of the run",
    )
    verb.set_defaults(act=act)


def act(arguments: argparse.Namespace) -> None:
    """Evaluate, print the figures and write the record."""
    from gffpn.deploy.evaluate import evaluate
    from gffpn.runs.evaluation import write_evaluation
    from gffpn.runs.folder import RunFolder
    from gffpn.verbs.words import slicing

    found = evaluate(
        arguments.run,
        arguments.overrides,
        split=arguments.split,
        slicing=slicing(arguments),
        on=arguments.device,
        batch=arguments.batch,
        allowed=arguments.allow,
    )
    record = RunFolder(arguments.run).read()
    assert record is not None  # it was opened
    print(page(found, record.test))
    print(f"Evaluation: {write_evaluation(arguments.run, found)}")


def page(found: "Evaluation", own: "Figures") -> str:
    """Return the figures beside those of the run's own test, with what was left out."""
    from gffpn.files.tables import markdown_table
    from gffpn.report.table import decimals

    percent = decimals(2)
    here, there = found.figures.columns(), own.columns()
    counts = dict.fromkeys(("mAP50", "mAP50_95"), found.figures.objects)
    counts |= {f"AP_{size.name}": size.objects for size in _bins(found.figures)}
    counts |= {f"AP50/{one.name}": one.objects for one in found.figures.classes}
    body = [
        [name, str(count), percent(_times_100(here[name])), percent(_times_100(there.get(name)))]
        for name, count in counts.items()
    ]
    lines = [
        f"{found.run} on {found.data} ({found.split}): {found.figures.images} images, "
        f"{found.ms_per_image:.1f} ms/image with reading on {found.device}",
        markdown_table(["percent", "objects", "here", "own test"], body),
    ]
    if found.same_data and found.split in ("train", "all"):
        lines.append("NOTE: the run was trained on images of this split; new images may give other figures.")
    if found.rates and found.threshold is not None:
        values = (found.rates.precision, found.rates.recall, found.rates.F1)
        p, r, f1 = (percent(_times_100(value)) for value in values)
        lines.append(
            f"At the run's operating point (scores from {found.threshold:.3g}): P {p}, R {r}, F1 {f1}."
        )
    if found.unknown:
        listed = ", ".join(f"{name}: {count}" for name, count in found.unknown.items())
        lines.append(f"Left out, because the run does not know their classes: {listed}.")
    if found.absent:
        lines.append(f"Classes of the run without objects here: {', '.join(found.absent)}.")
    return "\n\n".join(lines)


def _bins(figures: "Figures") -> list["BinFigures"]:
    """Return the bins in network pixels and, if the images were scaled, those in native pixels."""
    native = [size for size in figures.bins if size.native]
    network = list(figures.network_bins)
    same = [size.objects for size in native] == [size.objects for size in network]
    return network if same else [*network, *native]


def _times_100(share: float | None) -> float | None:
    return None if share is None else 100 * share
