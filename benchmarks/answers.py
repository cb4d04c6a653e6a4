"""Writes the answers so far into README.md, docs/answers.svg, docs/choosing.md and the list of all results.

All of it comes from the files in experiments/results/, most of which `gffpn report --text` wrote.
Run: python -m benchmarks.answers   (make answers)
"""

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks import choosing
from gffpn.files.tables import markdown_table
from gffpn.files.writing import write_atomically
from gffpn.report.answer import interval, points
from gffpn.report.figures.canvas import STYLE, Drawing, save
from gffpn.report.figures.palette import BAND, INK, QUIET, colour
from gffpn.report.which import difference_name

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "experiments" / "results"
SIMULATED = "SIMULATED, 160 px"
Asked = tuple[str, str, str]
"""A study, which is a folder of experiments/results/, and two of its arms."""


def _ladder(a: str, b: str, *, on_nuclei: Asked | None = None) -> dict[str, list[Asked]]:
    """Return a contrast of the ladders; one with more seeds on nuclei goes first."""
    nuclei = [on_nuclei] if on_nuclei else []
    return {"nuclei": [*nuclei, ("ladder_nuclei", a, b)], SIMULATED: [("ladder_small", a, b)]}


def _necks(a: str, b: str) -> dict[str, list[Asked]]:
    return _ladder(a, b, on_nuclei=("plain_necks_nuclei", a, b))


QUESTIONS: Mapping[str, Mapping[str, Sequence[Asked]]] = {
    "Does GF-FPN find more than FPN?": _necks("gffpn", "fpn"),
    "... than an FPN of the same cost (wider)?": _ladder("gffpn", "fpn x1.184"),
    "... than PANet?": _necks("gffpn", "panet"),
    "... than an FPN that reads C2 too?": _necks("gffpn", "fpn_c2"),
    "... than a PANet that reads C2 too?": _ladder("gffpn", "panet_c2"),
    "Does it help FPN to add a map from C2 to P3?": _ladder("C2 to P3", "fpn"),
    "... then from P3 to P4 and from P4 to P5?": _ladder("on to P4 and P5", "C2 to P3"),
    "... then LSAM in place of strided convolutions?": _ladder("LSAM", "on to P4 and P5"),
    "... then FCCFM, the attention over channels?": _ladder("FCCFM", "LSAM"),
    "... then the gate (sigmoid)?": _ladder("gate", "FCCFM"),
    "... then the product (star) in place of the sum?": _ladder(
        "star", "gate", on_nuclei=("table6_nuclei", "star", "add")
    ),
    "... then the residual, which makes it GF-FPN?": _ladder(
        "gffpn", "star", on_nuclei=("table6_nuclei", "star_residual", "star")
    ),
    "With the residual: does star beat add?": _ladder(
        "gffpn", "add_residual", on_nuclei=("table6_nuclei", "star_residual", "add_residual")
    ),
    "Do these images need a neck (FPN against none)?": _necks("fpn", "none"),
}
"""The contrasts that answer a question, by data set; the first that has an estimate counts."""
OTHERS = {
    "nuclei/results.md": "GF-FPN and FPN on nuclei, five minutes a run ([recipe](../../docs/recipe.md))",
    "neu_det/results.md": "GF-FPN and FPN on NEU-DET, half an hour a run ([recipe](../../docs/recipe.md))",
    "yolov8n/results.md": "GF-FPN and YOLOv8n in equal time, two data sets ([recipe](../../docs/recipe.md))",
    "slices_nuclei.csv": "FPN on nuclei with slices at test (`gffpn evaluate runs/NAME --slice 128`)",
    "twins_small/sizes_of_twins.md": "the same defects in four sizes, SIMULATED data",
    "twins_small/lookalikes.md": "the same defects beside look-alikes of two kinds, SIMULATED data",
    "luck_simulated/luck.md": "how far two seeds differ by luck on 169 objects, SIMULATED data",
    "simulated_laptop": "FPN on the SIMULATED preset `laptop`, three seeds ([data](../../docs/data.md))",
    "demo.md": "the table of `make demo`, SIMULATED data, one seed",
    "calibration_fpn_n_320_seed0.json": "FPN on the SIMULATED preset `paper`, version 2",
    "benchmark_AMD-EPYC_2t_cspdarknet-n_tal_320_bf16-mixed.md": "what the necks cost at size n, 320 pixels",
    "benchmark_AMD-EPYC_2t_cspdarknet-l_yolov5_640_bf16-mixed.md": "the same at size l, 640 pixels (Table 5)",
    "recipe_search.csv": "the search for the recipe, judged on val",
    "verdict_errors.csv": "how often rules for verdicts err ([statistics](../../docs/statistics.md))",
    "variance_ratio.csv": "the same for unequal arms, many of them",
}
"""Results that are no study, by file or folder."""
MARGIN = 1.0
"""Points below which a difference does not matter, as in the studies."""


@dataclass(frozen=True)
class Contrast:
    """A line of contrasts.csv, in shares of 1."""

    pair: tuple[str, str]
    primary: bool
    delta: float
    low: float
    high: float
    verdict: str
    detectable: float
    seeds: tuple[int, int]


@dataclass(frozen=True)
class Question:
    """A row of the table."""

    text: str
    cells: dict[str, Contrast | None]
    """By data set; None where the study is missing."""


def contrasts(folder: Path) -> Iterator[Contrast]:
    """Yield the contrasts of a study that have an estimate."""
    with (folder / "contrasts.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            if row.get("low"):  # a study without any estimate lacks the column
                yield Contrast(
                    (row["a"], row["b"]),
                    row["family"] == "primary",
                    float(row["delta"]),
                    float(row["low"]),
                    float(row["high"]),
                    row["verdict"],
                    float(row["detectable"]),
                    (int(row["seeds_a"]), int(row["seeds_b"])),
                )


def studies(results: Path = RESULTS) -> dict[str, list[Contrast]]:
    """Return the contrasts of each study, by the name of its folder."""
    return {
        file.parent.name: list(contrasts(file.parent)) for file in sorted(results.glob("*/contrasts.csv"))
    }


def answered(found: Mapping[str, Sequence[Contrast]]) -> list[Question]:
    """Return the questions with their answers."""
    return [
        Question(text, {data: _first(found, asked) for data, asked in of_sets.items()})
        for text, of_sets in QUESTIONS.items()
    ]


def _first(found: Mapping[str, Sequence[Contrast]], asked: Sequence[Asked]) -> Contrast | None:
    return next(
        (
            one
            for study, *pair in asked
            for one in found.get(study, [])
            if one.primary and one.pair == tuple(pair)
        ),
        None,
    )


def table(rows: Sequence[Question]) -> str:
    """Return the questions as a Markdown table, with a last row for what the studies can detect."""
    sets = _sets(rows)
    body = [[one.text, *(_cell(one.cells.get(data)) for data in sets)] for one in rows]
    detectable = [
        [one.detectable for row in rows if (one := row.cells.get(data)) is not None] for data in sets
    ]
    body.append(["*Smallest true difference found in 80 %, points*", *map(_range, detectable)])
    return markdown_table(["question", *sets], body)


def _sets(rows: Sequence[Question]) -> list[str]:
    """Return the data sets on which at least one question has an answer."""
    return list(dict.fromkeys(data for row in rows for data, one in row.cells.items() if one))


def _cell(one: Contrast | None) -> str:
    if one is None:
        return "no verdict yet"
    seeds = f"{min(one.seeds)} seeds"
    return f"{_word(one)}: {points(one.delta, sign=True)} ({interval(one.low, one.high)}), {seeds}"


def _word(one: Contrast) -> str:
    return one.verdict if one.verdict == "cannot tell" else f"**{one.verdict}**"


def _range(values: Sequence[float]) -> str:
    low, high = points(min(values)), points(max(values))
    return low if low == high else f"{low} to {high}"


def all_contrasts(found: dict[str, list[Contrast]]) -> str:
    """Return the declared contrasts of all studies that have an estimate as a Markdown table."""
    body = [
        [
            _link(name),
            difference_name(*one.pair),
            points(one.delta, sign=True),
            interval(one.low, one.high),
            one.verdict,
            str(min(one.seeds)),
            points(one.detectable),
        ]
        for name, of_study in found.items()
        for one in of_study
        if one.primary
    ]
    return markdown_table(
        ["study", "contrast", "difference in mAP50", "95 % interval", "verdict", "seeds", "detectable"], body
    )


def _link(study: str, results: Path = RESULTS) -> str:
    """Return a link to a study's report that says whether its data are simulated."""
    simulated = "SIMULATED data" in (results / study / "report.md").read_text()
    return f"[{study}]({study}/report.md){', SIMULATED data' if simulated else ''}"


def listing(found: Mapping[str, Sequence[Contrast]]) -> str:
    """Return a list of links to all results."""
    counts = {name: sum(one.primary for one in of_study) for name, of_study in found.items()}
    reports = [f"* {_link(name)}: declared contrasts with an estimate: {counts[name]}" for name in found]
    return "\n".join(reports + [f"* [{name}]({name}): {what}" for name, what in OTHERS.items()])


def picture(rows: Sequence[Question]) -> Drawing:
    """Return the questions as rows and the data sets as columns, with an interval in each cell."""
    sets = _sets(rows)
    with rc_context(STYLE):
        figure = Figure(figsize=(3.4 + 2.6 * len(sets), 0.9 + 0.3 * len(rows)), layout="constrained")
        columns = figure.subplots(1, len(sets), sharey=True, squeeze=False)[0]  # a scale for each set
        for plot, data in zip(columns, sets, strict=True):
            _column(plot, [one.cells.get(data) for one in rows])
            plot.set_title(data)
            plot.set_xlabel("difference in mAP50, points")
        columns[0].set_yticks(range(len(rows)), [one.text for one in rows])
        columns[0].set_ylim(len(rows) - 0.4, -0.6)
    said = "; ".join(
        f"{row.text} {data}: {_cell(one).replace('*', '')}" for row in rows for data, one in row.cells.items()
    )
    return Drawing(figure, "What each part of GF-FPN adds, with 95 % intervals", said)


def _column(plot: Axes, cells: Sequence[Contrast | None]) -> None:
    plot.axvspan(-MARGIN, MARGIN, color=BAND, zorder=0)
    plot.axvline(0, color=QUIET, linewidth=0.6, zorder=1)
    plot.tick_params(axis="y", length=0)
    for y, one in enumerate(cells):
        if one is None:
            continue
        known = one.verdict != "cannot tell"
        shade = {"better": colour(0), "worse": colour(1), "same": INK}.get(one.verdict, QUIET)
        plot.plot([100 * one.low, 100 * one.high], [y, y], color=shade, linewidth=2.2, solid_capstyle="butt")
        plot.plot(
            [100 * one.delta],
            [y],
            "D",
            color=shade,
            markersize=5.5,
            markerfacecolor=shade if known else "white",
        )


def block(name: str) -> re.Pattern[str]:
    """Return a pattern for what is written into a page, between two comments with its name."""
    return re.compile(rf"(?<=<!-- {name} -->\n).*?(?=<!-- end of {name} -->)", re.DOTALL)


def _write_block(page: Path, name: str, text: str) -> None:
    written, count = block(name).subn(lambda _: f"{text}\n", page.read_text())
    if count != 1:
        raise ValueError(f"{page}: expected <!-- {name} --> and <!-- end of {name} --> once")
    write_atomically(page, written)


def main() -> None:
    """Write the tables into README.md and docs/choosing.md, the picture, and the table of all studies."""
    found = studies()
    rows = answered(found)
    _write_block(ROOT / "README.md", "answers", table(rows))
    _write_block(ROOT / "docs" / "choosing.md", "necks", choosing.table(RESULTS))
    write_atomically(
        RESULTS / "README.md",
        f"# Results\n\nWritten by `make answers`.\n\n## Declared contrasts with an estimate\n\n"
        f"{all_contrasts(found)}\n\n## All results\n\n{listing(found)}\n",
    )
    save(picture(rows), ROOT / "docs" / "answers.svg", "svg")


if __name__ == "__main__":
    main()
