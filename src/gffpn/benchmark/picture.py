"""Plot of time against cost, with one point per neck and form."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

from gffpn.benchmark.entry import FORMS, TRAINED
from gffpn.benchmark.record import Record
from gffpn.machine.timing import Latency

Point = tuple[float, float]
DOT = 7
"""Width of a point in the plot, in typographic points."""
SHIFTS: list[Point] = [
    (distance * x, distance * y)
    for distance in (9, 16, 26, 38, 52, 68)
    for x, y in ((1, 0), (-1, 0), (1, -1), (-1, -1), (0, -1.4), (1, 1), (-1, 1), (0, 1.4))
]
"""Offsets of a name from its point, in typographic points, the nearest first."""


class Mark(NamedTuple):
    """A neck in the plot; the first point is the one that is labelled."""

    neck: str
    colour: str
    points: list[Point]
    tops: list[Point]
    """Upper ends of the points' error bars."""


def draw(record: Record, path: Path) -> None:
    """Write the plot as PNG; if nothing was timed, it has no points and says so."""
    figure = Figure(figsize=(9, 6), dpi=120, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    marks = _marks(axes, record)
    axes.set_title(f"{'PARTIAL: ' if record.partial else ''}{record.title}", fontsize=10)
    axes.set_xlabel("GFLOPs of the detector (2 x MAC, one image)")
    axes.set_ylabel("forward pass, batch 1 (ms): median, bar to the 95th percentile")
    axes.margins(0.12)
    axes.grid(alpha=0.3)
    fills = {form: "grey" if form == TRAINED else "white" for form in FORMS}
    shapes = [
        Line2D([], [], marker="o", ls="", c="grey", mfc=fill, label=form) for form, fill in fills.items()
    ]
    axes.legend(handles=shapes, fontsize=9)
    if not marks:
        axes.text(0.5, 0.5, "nothing was timed", transform=axes.transAxes, ha="center")
    canvas.draw()  # type: ignore[no-untyped-call]  # labels need positions on the canvas
    _label(axes, marks)
    figure.savefig(path, format="png")


def _marks(axes: Axes, record: Record) -> list[Mark]:
    """Draw the points of each neck and the line between its forms; return them as marks."""
    marks = []
    for index, entry in enumerate(record.entries):
        timed = [form for form in FORMS if entry.times.get((form, "forward"))]
        colour, shape = f"C{index % 10}", "osD^"[index // 10 % 4]
        points: list[Point] = []
        tops: list[Point] = []
        for form in timed:
            taken = Latency.of(entry.times[form, "forward"])
            gflops = entry.costs[form].gflops
            points.append((gflops, taken.median_ms))
            tops.append((gflops, taken.p95_ms))
            axes.errorbar(
                *points[-1],
                yerr=np.array([[0.0], [taken.p95_ms - taken.median_ms]]),
                marker=shape,
                markersize=DOT,
                color=colour,
                markerfacecolor=colour if form == TRAINED else "white",
                capsize=3,
                elinewidth=1,
            )
        if points:
            axes.plot(*zip(*points, strict=True), color=colour, linewidth=1, alpha=0.6)
            marks.append(Mark(entry.neck, colour, points, tops))
    return marks


def _label(axes: Axes, marks: Sequence[Mark]) -> None:
    """Write each name at the first offset from its point that overlaps no point, bar end or other name."""
    side = DOT * axes.figure.dpi / 72
    dots = [axes.transData.transform(point) for mark in marks for point in (*mark.points, *mark.tops)]
    taken = [Bbox.from_bounds(x - side / 2, y - side / 2, side, side) for x, y in dots]
    for mark in marks:
        for shift in SHIFTS:
            name = _write(axes, mark, shift)
            box = name.get_window_extent()
            if shift == SHIFTS[-1] or not any(box.overlaps(other) for other in taken):
                break
            name.remove()
        taken.append(box)


def _write(axes: Axes, mark: Mark, shift: Point) -> Annotation:
    far = abs(shift[0]) + abs(shift[1]) > 25
    return axes.annotate(
        mark.neck,
        mark.points[0],
        xytext=shift,
        textcoords="offset points",
        fontsize=9,
        color=mark.colour,
        ha="left" if shift[0] > 0 else "right" if shift[0] < 0 else "center",
        va="center",
        arrowprops={"arrowstyle": "-", "color": mark.colour, "linewidth": 0.6} if far else None,
    )
