"""`report`: the answer of finished runs, as a page, as tables and as data."""

import argparse
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from gffpn.verbs.words import Verbs

if TYPE_CHECKING:
    from gffpn.report.collect import Source
    from gffpn.report.facts import Facts
    from gffpn.stats.study import Study

RUNS = Path("runs")
_CSV = (b"study,", b"\n")  # without a row, there are no headers
TEXTS: Mapping[str, tuple[bytes, ...]] = {
    "report.md": (b"# Report\n",),
    **dict.fromkeys(("arms.csv", "contrasts.csv", "runs.csv"), _CSV),
}
PAGES: Mapping[str, tuple[bytes, ...]] = {
    "report.tex": (b"% needs \\usepackage{booktabs}\n",),
    "report.html": (
        b'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<meta name="viewport" '
        b'content="width=device-width, initial-scale=1">\n<meta http-equiv="Content-Security-Policy"',
    ),
}
"""Beginnings of files by which an earlier report is recognised; `--text` writes no `PAGES`."""


def add(verbs: "Verbs[argparse.ArgumentParser]") -> None:
    """Add the verb and its arguments to the command line."""
    verb = verbs.add_parser(
        "report",
        help="write what finished runs show: verdicts, tables, figures, the paper's claims",
        description="Writes a page, and the same as Markdown, CSV and LaTeX, of sweeps and runs: verdicts on "
        "each contrast, all figures, the paper's claims, where each run comes from, and what is missing with "
        "the command that fills it. Needs no data set and no GPU.",
        epilog="example: gffpn report runs/sweeps/table6   (without arguments: all that is in ./runs)",
    )
    verb.add_argument(
        "paths",
        nargs="*",
        type=Path,
        metavar="RUNS",
        help="folders of sweeps, of runs, or of single runs (default: runs), or one bundle (.zip)",
    )
    verb.add_argument(
        "--out", type=Path, default=Path("runs/report"), help="output folder (default: runs/report)"
    )
    verb.add_argument("--no-pictures", action="store_true", help="leave out the pictures of test images")
    verb.add_argument(
        "--text",
        action="store_true",
        help="write only report.md, CSV and three figures as SVG: small enough for a repository",
    )
    verb.add_argument(
        "--bundle",
        type=Path,
        metavar="FILE.zip",
        help="also write the predictions, records and verdicts with their hashes to one file; "
        "`gffpn report FILE.zip` computes everything again from it",
    )
    verb.set_defaults(act=act)


def act(arguments: argparse.Namespace) -> None:
    """Write the report; exit with 1 if something in a bundle does not follow from its predictions."""
    if arguments.text and arguments.no_pictures:
        raise ValueError("--no-pictures: --text writes no pictures of test images; leave one of them out")
    _check_outputs(arguments.out, arguments.bundle, TEXTS if arguments.text else {**TEXTS, **PAGES})
    paths: list[Path] = arguments.paths or [RUNS]
    zipped = [path for path in paths if path.suffix == ".zip" and not path.is_dir()]
    if zipped and (len(paths) > 1 or arguments.bundle):
        raise ValueError("got a bundle and other arguments, expected one bundle alone")
    if zipped:
        with tempfile.TemporaryDirectory(prefix="gffpn-") as folder:
            _report_bundle(zipped[0], Path(folder), arguments)
    else:
        _report(paths, arguments)


def _check_outputs(out: Path, bundle: Path | None, known: Mapping[str, tuple[bytes, ...]]) -> None:
    """Raise ValueError, before the work, if the results cannot be written where they are wanted."""
    from gffpn.files.writing import check_writable
    from gffpn.report.bundle import is_bundle

    check_writable(out, setting="--out FOLDER")
    for name, beginnings in known.items():
        path = out / name
        if path.is_file() and not path.read_bytes().startswith(beginnings):
            raise ValueError(
                f"--out: {path} is no file of a report and would be replaced; choose another folder"
            )
    if bundle is None:
        return
    if bundle.suffix != ".zip":  # `report` would take it for a folder of runs
        raise ValueError(f"--bundle: got {bundle}, expected a name that ends in .zip")
    if bundle.is_dir():
        raise ValueError(f"--bundle: got {bundle}, a folder, expected the name of a file")
    if bundle.is_file() and not is_bundle(bundle):
        raise ValueError(f"--bundle: {bundle} exists and is no bundle; remove it, or choose another name")
    check_writable(bundle.parent, setting="--bundle FILE.zip")


def _report(paths: list[Path], arguments: argparse.Namespace) -> None:
    from gffpn.report.bundle import write_bundle
    from gffpn.report.collect import collect

    sources = collect(paths)
    studies, facts = _read(sources)
    _write(studies, facts, arguments)
    if arguments.bundle:
        count = write_bundle(arguments.bundle, sources, studies)
        print(f"Bundle of {count} files: {arguments.bundle}")


def _report_bundle(path: Path, folder: Path, arguments: argparse.Namespace) -> None:
    from dataclasses import replace

    from gffpn.report.bundle import open_bundle
    from gffpn.report.collect import collect
    from gffpn.report.recheck import check_figures, check_verdicts, missing_verdicts

    manifest = open_bundle(path, folder)
    sources = collect([folder], alone=folder)
    figures = check_figures(sources)
    studies, facts = _read(sources)
    wrong = check_verdicts(manifest.verdicts, studies)
    missing = missing_verdicts(manifest.verdicts, studies)
    checks = (
        f"Bundle {path.name} of gffpn {manifest.gffpn}: the hashes of {len(manifest.files)} files agree.",
        f"{figures.agreeing} of {figures.count} figures of {figures.runs} runs follow from the predictions.",
        f"{len(manifest.verdicts) - len(wrong)} of {len(manifest.verdicts)} verdicts follow from the "
        "predictions.",
        *figures.faults,
        *wrong,
        *missing,
    )
    for line in checks:
        print(line)
    # the folder is gone when the report is read
    known = tuple(replace(one, source=f"{path}, {Path(one.source).name}") for one in facts.studies)
    _write(studies, replace(facts, studies=known, checks=checks), arguments)
    if figures.faults or wrong or missing:
        raise SystemExit(1)


def _read(sources: "list[Source]") -> "tuple[list[Study], Facts]":
    from gffpn.report.claims import claims
    from gffpn.report.facts import Facts
    from gffpn.report.gaps import study_facts

    studies = [source.study() for source in sources]
    known = tuple(study_facts(study, source) for study, source in zip(studies, sources, strict=True))
    return studies, Facts(known, tuple(claims(studies)))


def _write(studies: "list[Study]", facts: "Facts", arguments: argparse.Namespace) -> None:
    from gffpn.report.answer import answer_lines
    from gffpn.report.gaps import counts
    from gffpn.report.write import write_report, write_text

    for study, known in zip(studies, facts.studies, strict=True):
        finished = sum(run.status == "finished" for run in known.runs)
        missing = f" ({counts(known.gaps)})" if known.gaps else ""
        print(f"{study.name}: {finished} of {len(known.runs)} runs finished{missing}")
        for line in (*answer_lines(study), *(f"NOTE: {note}." for note in study.notes)):
            print(f"  {line}")
    if arguments.text:
        files = write_text(arguments.out, studies, facts)
    else:
        files = write_report(arguments.out, studies, facts, pictures=not arguments.no_pictures)
    print(f"Report: {next(iter(files.values()))}, and {', '.join(list(files)[1:])} beside it")
