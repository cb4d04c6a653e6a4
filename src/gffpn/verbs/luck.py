"""`luck`: how far two runs differ by luck on a small test set."""

import argparse
import math
from pathlib import Path

from gffpn.verbs.words import Verbs

PAPER_OBJECTS = 169
"""About a tenth of the 1,686 instances of the GF-FPN paper's set, and so those of its test split."""
PAPER_GAINS = "8.1,1.7"
"""Points by which the paper's GF-FPN is ahead of PANet, and its product ahead of its sum."""


def add(verbs: "Verbs[argparse.ArgumentParser]") -> None:
    """Add the verb and its arguments to the command line."""
    verb = verbs.add_parser(
        "luck",
        help="show how far two runs differ by luck on a small test set",
        description="Draws small test sets from the large one of finished runs, and computes on each of them "
        "how far two seeds of one arm, and the two arms of each contrast, differ in mAP50: what a single "
        "comparison on so few objects is worth. Nothing is trained; the predictions of the runs suffice.",
        epilog="example: gffpn luck runs/sweeps/table3 --objects 169 --marks 8.1,1.7",
    )
    verb.add_argument("runs", type=Path, nargs="+", help="folders of sweeps, of runs, or of single runs")
    verb.add_argument(
        "--objects",
        type=int,
        default=PAPER_OBJECTS,
        help=f"objects of a small test set (default: {PAPER_OBJECTS}, those of the GF-FPN paper)",
    )
    verb.add_argument("--sets", type=int, default=1000, help="number of small test sets (default: 1000)")
    verb.add_argument(
        "--marks",
        default=PAPER_GAINS,
        metavar="POINTS",
        help=f"differences in percent points to be marked (default: {PAPER_GAINS}, those of the paper)",
    )
    verb.add_argument("--out", type=Path, default=Path("runs/luck"), help="folder (default: runs/luck)")
    verb.set_defaults(act=act)


def act(arguments: argparse.Namespace) -> None:
    """Print the table of each study, and write it with its figure."""
    from gffpn.files.writing import check_writable
    from gffpn.report.collect import collect
    from gffpn.report.luck import caption, luck_cells, luck_of, write_luck
    from gffpn.report.page.document import folder_names
    from gffpn.report.seeds import data_line, naming, with_seeds
    from gffpn.report.table import print_cells

    marks = _marks(arguments.marks)
    if arguments.sets < 1:
        raise ValueError(f"--sets: got {arguments.sets}, expected 1 or more")
    check_writable(arguments.out, setting="--out FOLDER")
    studies = [source.study() for source in collect(arguments.runs)]
    able = with_seeds(studies)
    for study, name in zip(able, folder_names(able), strict=True):
        with naming(study):
            found = luck_of(study, objects=arguments.objects, sets=arguments.sets)
        print_cells(*luck_cells(found, marks), title=study.name, left=1)
        print(caption(arguments.objects, arguments.sets), data_line(study))
        folder = arguments.out / name if len(able) > 1 else arguments.out
        files = write_luck(folder, study, found, objects=arguments.objects, sets=arguments.sets, marks=marks)
        print(f"Table and figure: {', '.join(map(str, files))}")


def _marks(text: str) -> list[float]:
    """Return percent points as shares. Raises ValueError for what is no number above 0."""
    try:
        marks = [float(word) / 100 for word in text.split(",")]
    except ValueError:
        marks = [0.0]
    if not all(0 < mark < math.inf for mark in marks):
        raise ValueError(f"--marks: got {text}, expected percent points above 0, such as 8.1,1.7")
    return marks
