"""All figures of a study, for the page and as files."""

import re
from collections.abc import Mapping
from pathlib import Path

from gffpn.files.writing import whole_file
from gffpn.report.analyses import Analyses, error_differences, read_analyses
from gffpn.report.figures.canvas import Drawing, inline_svg, save
from gffpn.report.figures.costs import COSTS, cost
from gffpn.report.figures.errors import error_figure
from gffpn.report.figures.forest import forest
from gffpn.report.figures.learning import learning, logged_sizes, unassigned
from gffpn.report.figures.rates import detection, precision_recall
from gffpn.report.figures.sizes import by_size, differences_by_size
from gffpn.stats.study import Study

ERRORS_OF = 3
"""Errors are drawn for the first contrasts only, this many."""


def drawings(study: Study, analyses: Analyses | None = None) -> dict[str, Drawing]:
    """Return the figures of a study by name, in the order of the page; those without data are left out."""
    analyses = analyses or read_analyses(study)
    logged = analyses.logged
    found: dict[str, Drawing | None] = {
        "forest": forest(study),
        "sizes": by_size(study),
        "size_differences": differences_by_size(study, analyses),
        "detection": detection(study, analyses),
        **{f"cost_{kind}": cost(study, kind) for kind in COSTS},
        "learning_mAP50": learning(study, logged, "val/mAP50", label="val mAP50, percent", scale=100),
        "learning_loss": learning(study, logged, "train/loss", label="training loss"),
        "precision_recall": precision_recall(study, analyses),
    }
    position = {arm.name: at for at, arm in enumerate(study.arms)}
    for number, contrast in enumerate(study.contrasts[:ERRORS_OF], start=1):
        a, b = position[contrast.a.name], position[contrast.b.name]
        compared = error_differences(analyses, a, b)
        # a part of a file's name, which may have 255 bytes
        words = re.sub(r"[^A-Za-z0-9]+", "-", contrast.name)[:80].strip("-")
        found[f"errors_{number}_{words}"] = error_figure(study, a, b, compared) if compared else None
    for size in logged_sizes(logged):
        found[f"unassigned_{size}"] = unassigned(study, logged, size)
    return {name: one for name, one in found.items() if one}


def figures(study: Study) -> dict[str, str]:
    """Return the figures of a study by name, as SVG elements for an HTML page."""
    return {name: inline_svg(one, name) for name, one in drawings(study).items()}


def write_figures(folder: Path, drawn: Mapping[str, Drawing]) -> list[Path]:
    """Write the figures of a study as NAME.svg and NAME.pdf below `folder`, and return their paths."""
    paths = []
    for name, one in drawn.items():
        for kind in ("svg", "pdf"):
            path = folder / f"{name}.{kind}"
            with whole_file(path) as draft:
                save(one, draft, kind)
            paths.append(path)
    return paths
