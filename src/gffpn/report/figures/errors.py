"""Errors by type and size bin, as differences between two arms."""

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gffpn.metrics.matching import Floats
from gffpn.report.analyses import ErrorDifferences, possible_errors
from gffpn.report.figures.canvas import STYLE, WIDTH, Drawing, tag
from gffpn.report.figures.palette import INK, QUIET, colour
from gffpn.report.figures.series import LINE, versus, width_of
from gffpn.report.figures.sizes import count_word, few_words, size_word
from gffpn.stats.study import Study


def error_figure(study: Study, a: int, b: int, found: ErrorDifferences) -> Drawing:
    """Return a panel per size bin with a row per error type: errors of arm `a` minus those of arm `b`."""
    one, other = study.arms[a].name, study.arms[b].name
    sizes = study.arms[a].records[0].test.network_bins
    kinds = possible_errors(study)
    names, bands = [kind.name.lower() for kind in kinds], [found.bands[kind] for kind in kinds]
    shown = [sizes[at] for at in found.bins]
    ends = np.stack([[band.lower, band.upper] for band in bands])
    reach = 1.05 * float(np.nan_to_num(np.abs(ends)).max()) or 1.0
    said = []
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 1.1 + 0.27 * len(kinds)), layout="constrained")
        panels = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
        for at, (panel, size) in enumerate(zip(panels, shown, strict=True)):
            word = size_word(size)
            values = np.array([[band.value[at], band.lower[at], band.upper[at]] for band in bands])
            _panel(panel, values, (a, b))
            panel.set_title(f"{word} px\n{count_word(size)}")
            panel.set_xlim(-reach, reach)
            certain = [
                (name, row) for name, row in zip(names, values, strict=True) if row[1] > 0 or row[2] < 0
            ]
            said += [
                f"{word} px: {_number(row[0], '+')} {name} ({_number(row[1])} to {_number(row[2])})"
                for name, row in certain
            ]
        panels[0].set_yticks(range(len(names)), names)
        panels[0].invert_yaxis()
        unit = "per 100 images (missed: per 100 objects)"
        label = f"{versus(one, other, LINE)}, {unit}"
        if width_of(label) > LINE:
            label = label.replace(f", {unit}", f",\n{unit}")
        figure.supxlabel(label, fontsize=9)
    summary = "; ".join(said) if said else "no difference is certain"
    weights = (
        "" if all(band.seeds for band in bands) else " One seed: about these weights, not about the necks."
    )
    return Drawing(
        figure,
        f"Errors: {one} \N{MINUS SIGN} {other}",
        f"Errors of {one} minus those of {other} per 100 images, missed ones per 100 objects: {summary}.",
        f"Left of 0: {one} makes fewer errors. At the operating point chosen on val; intervals of a type "
        "hold for all sizes together with 95 % confidence. Grey: may be 0. "
        f"Exploratory.{weights}{few_words(shown)}",
    )


def _number(value: float, sign: str = "") -> str:
    return f"{value:{sign}.1f}".replace("-", "\N{MINUS SIGN}")


def _panel(panel: Axes, values: Floats, arms: tuple[int, int]) -> None:
    panel.axvline(0, color=QUIET, linewidth=0.6)
    for y, (value, low, high) in enumerate(values):
        shade = QUIET if low <= 0 <= high else colour(arms[0] if value < 0 else arms[1])
        (line,) = panel.plot([low, high], [y, y], color=shade, linewidth=1.6)
        (dot,) = panel.plot([value], [y], "o", color=shade, markersize=3.6)
        for artist in (line, dot):
            artist.set_gid(tag(*arms))
    panel.tick_params(axis="y", length=0)
    panel.spines["left"].set_visible(False)
    panel.locator_params(axis="x", nbins=3)
    panel.set_facecolor("none")
    panel.xaxis.label.set_color(INK)
