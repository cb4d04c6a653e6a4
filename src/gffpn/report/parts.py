"""Figures on parts of the test images: the tables and the figure of `gffpn parts`."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from gffpn.files.tables import markdown_table
from gffpn.files.writing import write_atomically
from gffpn.report.answer import interval, points
from gffpn.report.figures.canvas import save
from gffpn.report.figures.parts import part_figure
from gffpn.report.seeds import check_equal_images, data_line, note_lines, tested
from gffpn.report.which import difference_name
from gffpn.stats.draws import draws
from gffpn.stats.estimate import Estimate
from gffpn.stats.parts import FEWEST, Parts, compared, part_figures, parts_by_name
from gffpn.stats.runs import distinct
from gffpn.stats.study import Study

CAPTION = (
    "mAP50 in percent with 95 % intervals, over seeds and test images; each is about one figure by itself. "
    "These comparisons are exploratory."
)
GAP = "The gap is the first part minus the second."
Cells = tuple[list[str], list[list[str]]]


def parts_of(study: Study, patterns: Mapping[str, str]) -> Parts:
    """Return the figures of a study's arms on each part, which a regular expression in image names gives.

    Raises ValueError for a wrong expression, for a part without objects or of few images, and if the runs
    were tested on different images.
    """
    check_equal_images(study)
    found = {arm.name: list(tested(arm)) for arm in study.arms}
    first = next(of_arm[0][0] for of_arm in found.values() if of_arm)
    masks = parts_by_name(first.names, patterns)
    weights = draws(first.groups)
    true = first.evaluated.objects.image[~first.evaluated.crowd]
    objects = {part: int(np.count_nonzero(mask[true])) for part, mask in masks.items()}
    for part, mask in masks.items():
        groups = len({first.groups[number] for number in np.flatnonzero(mask)})
        if not objects[part] or groups < FEWEST:
            raise ValueError(
                f"--part {part}: got {objects[part]} objects in {groups} independent images, expected some "
                f"objects and at least {FEWEST} images"
            )
    return compared(
        {
            name: [part_figures(test, masks, weights, max_detections=limit) for test, limit in of_arm]
            for name, of_arm in found.items()
        },
        [(one.a.name, one.b.name) for one in study.contrasts],
        objects,
        pooled=[arm.name for arm in distinct(study.arms)],
    )


def part_cells(found: Parts) -> list[Cells]:
    """Return the table of arms and that of contrasts."""
    names = list(next(iter(found.arms.values())))
    head = [f"{part} (n={found.objects[part]})" if part in found.objects else part for part in names]
    arms = [[name, *(_cell(one[part]) for part in names)] for name, one in found.arms.items()]
    contrasts = [
        [difference_name(*pair), *(_cell(one[part], sign=True) for part in names)]
        for pair, one in found.contrasts.items()
    ]
    return [(["arm", *head], arms), (["contrast", *head], contrasts)]


def _cell(one: Estimate, *, sign: bool = False) -> str:
    return f"{points(one.delta, sign=sign)} ({interval(*one.interval())})"


def caption(found: Parts) -> str:
    """Return what the tables show."""
    return f"{CAPTION} {GAP}" if len(found.objects) == 2 else CAPTION


def write_parts(folder: Path, study: Study, found: Parts) -> list[Path]:
    """Write the tables as Markdown and the figure as SVG; return the files."""
    tables = [markdown_table(head, rows) for head, rows in part_cells(found)]
    title = f"# {study.name}: parts of the test images"
    page = "\n\n".join([title, caption(found), data_line(study), *note_lines(study), *tables])
    files = [folder / "parts.md", folder / "parts.svg"]
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(files[0], page + "\n")
    save(part_figure(found), files[1], "svg")
    return files
