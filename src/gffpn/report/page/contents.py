"""What the page shows of one study, ready for its templates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from gffpn.report.analyses import Analyses, one_class, read_analyses
from gffpn.report.answer import legend, margin_words
from gffpn.report.caption import caption, data_words, shortened
from gffpn.report.facts import RunFacts, StudyFacts
from gffpn.report.figures.canvas import inline_svg
from gffpn.report.figures.drawn import drawings, write_figures
from gffpn.report.figures.sizes import size_word
from gffpn.report.page.detection import detection_table
from gffpn.report.page.operating import confusions, gains_table, rates_table
from gffpn.report.page.pictures import pictures
from gffpn.report.page.tables import (
    arms_table,
    classes_table,
    contrasts_table,
    costs_table,
    exploratory_table,
)
from gffpn.report.page.verdicts import said, split
from gffpn.report.study_rows import root_of, rows_of
from gffpn.report.which import not_compared, which
from gffpn.runs.record import Record
from gffpn.runs.record import size_word as image_word
from gffpn.stats.question import OF_A_CLASS
from gffpn.stats.study import Study

HEADINGS = {
    "verdict": "Verdict",
    "differences": "Differences",
    "arms": "Arms",
    "sizes": "Size of the objects",
    "costs": "Cost",
    "learning": "Training",
    "operating": "Operating point",
    "errors": "Errors",
    "pictures": "Pictures",
    "telemetry": "Small objects in training",
    "runs": "Runs",
    "gaps": "Gaps",
}
_FIGURES = {
    "sizes": "sizes",
    "costs": "cost_",
    "learning": "learning_",
    "errors": "errors_",
    "telemetry": "unassigned_",
}
"""Section -> the start of the names of its figures."""


@dataclass(frozen=True)
class ShownFigure:
    """A figure as the template takes it."""

    title: str
    svg: Markup
    caption: str


@dataclass(frozen=True)
class ShownRun:
    """A run and the position of its arm."""

    at: int | None
    facts: RunFacts


def contents(
    key: str, study: Study, facts: StudyFacts | None, *, with_pictures: bool, figures_to: Path | None = None
) -> dict[str, Any]:
    """Return everything that the template of a study prints; `key` makes its ids unique in the page.

    The figures are also written as files below `figures_to`, if given.
    """
    analyses = read_analyses(study)
    finished = any(arm.records for arm in study.arms)
    drawn = drawings(study, analyses)
    if figures_to:
        write_figures(figures_to, drawn)
    found = {
        "key": key,
        "name": study.name,
        "claim": study.question.claim,
        "arms": [arm.name for arm in study.arms],
        **_simulated(study),
        "data": ", ".join(sorted({record.choice.data for arm in study.arms for record in arm.records})),
        "one_class": one_class(study),
        "basis": _basis(study),
        "data_lines": _data(study),
        "figures": {
            name: ShownFigure(one.title, Markup(inline_svg(one, f"{key}-{name}")), one.caption)
            for name, one in drawn.items()
        },
        "pictures": pictures(study, analyses) if with_pictures and finished else None,
        **_tables(study, analyses, finished=finished),
        **_facts(study, facts),
        **_words(study, analyses),
    }
    headings = _headings(found)
    return {**found, "headings": headings, "sections": list(headings.items())}


def _tables(study: Study, analyses: Analyses, *, finished: bool) -> dict[str, Any]:
    return {
        "contrasts": contrasts_table(study),
        "arms_table": arms_table(study) if finished else None,
        "classes": classes_table(study) if finished else None,
        "exploratory": exploratory_table(study, analyses),
        "costs": costs_table(study) if finished else None,
        "detection": detection_table(study, analyses),
        "rates": rates_table(study, analyses),
        "confusions": confusions(study, analyses),
        "gains": gains_table(study, analyses),
    }


def _facts(study: Study, facts: StudyFacts | None) -> dict[str, Any]:
    position = {arm.name: at for at, arm in enumerate(study.arms)}
    gaps = facts.gaps if facts else ()
    return {
        "runs": [ShownRun(position.get(one.arm), one) for one in facts.runs] if facts else [],
        "gaps": gaps,
        "missing": shortened([f"{gap.arm} seed {gap.seed} ({gap.cause})" for gap in gaps]),
        "command": facts.command if facts else "",
        "versions": _versions(facts.runs) if facts else [],
    }


def _words(study: Study, analyses: Analyses) -> dict[str, Any]:
    verdicts, undecided = split(list(said(study, analyses)))
    lines = caption(rows_of(study), unit="arm")
    setting = [line for line in lines if not line.startswith("NOTE")][:3]
    return {
        "which": which(study),
        "not_compared": not_compared(study),
        "verdicts": verdicts,
        "undecided": undecided,
        "legend": legend(study) if study.contrasts else [],
        "setting": setting,
        "notes": [*(line for line in lines if line not in setting), *study.notes, *analyses.notes],
    }


def _headings(found: Mapping[str, Any]) -> dict[str, str]:
    """Return the headings of the sections that have something to show."""
    drawn = found["figures"]
    present = {
        "verdict": True,
        "differences": found["contrasts"],
        "arms": found["arms_table"],
        "operating": found["rates"],
        **{part: found[part] for part in ("pictures", "runs", "gaps")},
        **{part: any(name.startswith(start) for name in drawn) for part, start in _FIGURES.items()},
    }
    return {part: heading for part, heading in HEADINGS.items() if present[part]}


def _basis(study: Study) -> str:
    """Return on what the verdicts rest: seeds, images, objects, data, endpoint and margin."""
    counts = [len(arm.records) for arm in study.arms]
    records = [record for arm in study.arms for record in arm.records]
    if not records:
        return "No run has finished."
    low, high = min(counts), max(counts)
    seeds = (
        f"{high} seed{'s' if high > 1 else ''} per arm" if low == high else f"{low} to {high} seeds per arm"
    )
    tests = {(one.test.images, one.test.objects) for one in records}
    images = " or ".join(
        f"{images:,} test images with {objects:,} objects" for images, objects in sorted(tests)
    )
    endpoint = study.question.primary_endpoint
    at_half = endpoint == "mAP50" or endpoint.startswith(OF_A_CLASS)
    return (
        f"{seeds}, {images}. Primary endpoint {endpoint} (average precision at IoU "
        f"{'0.5' if at_half else '0.50 to 0.95'}); a difference "
        f"matters from {margin_words(study.question.margin)} points on.{_against(study)}"
    )


def _against(study: Study) -> str:
    """Return with which arm each one is compared if no contrasts were declared; empty without contrasts."""
    seconds = {one.b.name for one in study.contrasts}
    if study.question.contrasts or not seconds:
        return ""
    if len(seconds) == 1:
        return f" Each other arm is compared with {seconds.pop()}."
    return " Each arm is compared with the first one from which it differs in one setting."


def _simulated(study: Study) -> dict[str, str]:
    """Return the names of the simulated data sets, and how to call the study's data, empty if all is real."""
    sets = {record.choice.data: record.data.simulated for arm in study.arms for record in arm.records}
    names = sorted(name for name, simulated in sets.items() if simulated)
    word = "simulated data" if len(names) == len(sets) else "partly simulated data"
    return {"simulated": word if names else "", "simulated_sets": ", ".join(names)}


def _data(study: Study) -> list[str]:
    """Return for each data set its name, whether it is real, its classes, its images and its test objects."""
    lines: dict[str, str] = {}
    tested: dict[str, dict[str, None]] = {}
    for run in (run for arm in study.arms for run in arm.finished):
        record = run.record
        assert record
        facts = record.data
        count = len(facts.classes)
        images = ", ".join(f"{number:,} {split}" for split, number in facts.images.items())
        lines[facts.fingerprint] = (
            f"{data_words(record, root_of(run))}; {'' if facts.simulated else 'real images; '}"
            f"{count} class{'es' if count > 1 else ''}: {shortened(facts.classes)}; images: {images}."
        )
        tested.setdefault(facts.fingerprint, {})[_objects(record)] = None
    return [" ".join([line, *tested[name]]) for name, line in lines.items()]


def _objects(record: Record) -> str:
    """Return the number of test objects, and of those of each size."""
    known = [one for one in record.test.network_bins if one.objects]
    sizes = ", ".join(f"{one.objects:,} of {size_word(one)} px" for one in known)
    by_side = f": {sizes}, by side in the network's input of {image_word(record.image_size)} px"
    return f"{record.test.objects:,} test objects{by_side if known else ''}."


def _versions(runs: Sequence[RunFacts]) -> list[str]:
    """Return the versions of Python and the libraries, once for all runs that share them."""
    found: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for run in runs:
        if run.versions:
            found.setdefault(run.versions, []).append(f"{run.arm} seed {run.seed}")
    lines = []
    for versions, names in found.items():
        who = "all runs" if len(found) == 1 else shortened(names)
        lines.append(f"Versions ({who}): {', '.join(f'{name} {version}' for name, version in versions)}.")
    return lines
