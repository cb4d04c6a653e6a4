"""`parts`: figures on parts of the test images, such as those of one camera."""

import argparse
from pathlib import Path

from gffpn.verbs.words import Verbs


def add(verbs: "Verbs[argparse.ArgumentParser]") -> None:
    """Add the verb and its arguments to the command line."""
    verb = verbs.add_parser(
        "parts",
        help="compare finished runs on parts of their test images",
        description="Computes mAP50 on parts of the test images of finished runs, which their names give: "
        "the images of a camera, or the twins of a simulated scene. Prints each arm and each contrast with "
        "intervals, and with two parts the gap between them. Nothing is trained; the predictions suffice.",
        epilog="example: gffpn parts runs/sweeps/NAME --part 'left=/cam1_' --part 'right=/cam2_'",
    )
    verb.add_argument("runs", type=Path, nargs="+", help="folders of sweeps, of runs, or of single runs")
    verb.add_argument(
        "--part",
        action="append",
        required=True,
        metavar="NAME=PATTERN",
        help="name of a part, and a regular expression that is found in the names of its images; repeat it "
        "for each part. Images of no part are left out",
    )
    verb.add_argument("--out", type=Path, default=Path("runs/parts"), help="folder (default: runs/parts)")
    verb.set_defaults(act=act)


def act(arguments: argparse.Namespace) -> None:
    """Print the tables of each study, and write them with their figure."""
    from gffpn.files.writing import check_writable
    from gffpn.report.collect import collect
    from gffpn.report.page.document import folder_names
    from gffpn.report.parts import caption, part_cells, parts_of, write_parts
    from gffpn.report.seeds import data_line, naming, with_seeds
    from gffpn.report.table import print_cells

    patterns = _patterns(arguments.part)
    check_writable(arguments.out, setting="--out FOLDER")
    studies = with_seeds([source.study() for source in collect(arguments.runs)])
    for study, name in zip(studies, folder_names(studies), strict=True):
        with naming(study):
            found = parts_of(study, patterns)
        for title, cells in zip(("arms", "contrasts"), part_cells(found), strict=True):
            print_cells(*cells, title=f"{study.name}: {title}", left=1)
        print(caption(found), data_line(study))
        folder = arguments.out / name if len(studies) > 1 else arguments.out
        print(f"Tables and figure: {', '.join(map(str, write_parts(folder, study, found)))}")


def _patterns(words: list[str]) -> dict[str, str]:
    """Return the regular expression of each part. Raises ValueError for a word that is no NAME=PATTERN."""
    found: dict[str, str] = {}
    for word in words:
        name, equals, pattern = word.partition("=")
        if not name.strip() or not equals or not pattern:
            raise ValueError(f"--part: got {word!r}, expected NAME=PATTERN")
        if name in found:
            raise ValueError(f"--part: got {name} twice")
        if name == "gap":
            raise ValueError("--part: got gap, which is the name of the difference; choose another name")
        found[name] = pattern
    return found
