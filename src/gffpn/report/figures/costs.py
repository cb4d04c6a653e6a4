"""Cost against accuracy: one point per arm, its seeds as dots."""

from collections.abc import Callable

import numpy as np

from gffpn.report.figures.canvas import Drawing, axes, tag
from gffpn.report.figures.palette import PAPER, colour, marker
from gffpn.report.figures.series import legend
from gffpn.runs.record import Record
from gffpn.stats.study import Study

COSTS: dict[str, tuple[str, str, Callable[[Record], float]]] = {
    "params": ("parameters", "parameters, millions", lambda record: record.cost.params_m),
    "gflops": ("GFLOPs", "GFLOPs (2 x MAC)", lambda record: record.cost.gflops),
    "fps": ("speed", "images per second, forward alone", lambda record: record.speed.fps_forward),
}


def cost(study: Study, kind: str) -> Drawing | None:
    """Return the primary endpoint against a cost, a key of `COSTS`; None without a finished run."""
    noun, label, value = COSTS[kind]
    endpoint = study.question.primary_endpoint
    said = []
    with axes(2.7) as (figure, plot):
        for at, arm in enumerate(study.arms):
            pairs = [
                (value(record), 100 * share)
                for record, share in zip(arm.records, arm.figures(endpoint), strict=True)
                if share is not None
            ]
            if not pairs:
                continue
            costs, figures = (np.array(one) for one in zip(*pairs, strict=True))
            x, y = float(np.median(costs)), float(figures.mean())
            said.append(f"{arm.name} {y:.1f} at {x:.3g}")
            (dots,) = plot.plot(np.full(len(figures), x), figures, "o", color=colour(at), markersize=2.2)
            (point,) = plot.plot(
                [x],
                [y],
                marker(at),
                color=colour(at),
                markersize=7,
                markeredgecolor=PAPER,
                label=arm.name,
                zorder=3,
            )
            for artist in (dots, point):
                artist.set_gid(tag(at))
        plot.set_xlabel(label)
        plot.set_ylabel(f"{endpoint}, percent")
        plot.margins(0.12)
        plot.grid()
        legend(plot)
    if not said:
        return None
    devices = sorted(
        {f"{one.speed.device}, {one.speed.threads} threads" for arm in study.arms for one in arm.records}
    )
    where = f" Batch 1 on {'; '.join(devices)}; median over seeds." if kind == "fps" else ""
    return Drawing(
        figure,
        f"{endpoint} against {noun}",
        f"{endpoint} in percent at {label}: {'; '.join(said)}.",
        f"Symbols: mean over seeds; dots: seeds.{where}",
    )
