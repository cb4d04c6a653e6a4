"""Cost against accuracy: one point per arm, its seeds as dots."""

from collections.abc import Callable

import numpy as np

from gffpn.report.figures.canvas import Drawing, axes
from gffpn.report.figures.series import draw_arm, legend
from gffpn.report.timing import speeds_compare
from gffpn.runs.record import Record
from gffpn.stats.study import Study

COSTS: dict[str, tuple[str, str, Callable[[Record], float | None]]] = {
    "params": ("parameters", "parameters, millions", lambda record: record.cost.params_m),
    "gflops": ("GFLOPs", "GFLOPs (2 x MAC)", lambda record: record.cost.gflops),
    "fps": (
        "speed",
        "images per second, forward alone",
        lambda record: record.speed.fps_forward if record.speed else None,
    ),
}


def cost(study: Study, kind: str) -> Drawing | None:
    """Return the primary endpoint against a cost, a key of `COSTS`; None without a finished run.

    Speeds that do not compare are not drawn.
    """
    if kind == "fps" and not speeds_compare(study):
        return None
    noun, label, value = COSTS[kind]
    endpoint = study.question.primary_endpoint
    said = []
    with axes(2.7) as (figure, plot):
        for at, arm in enumerate(study.arms):
            pairs = [
                (price, 100 * share)
                for price, share in zip(map(value, arm.records), arm.figures(endpoint), strict=True)
                if price is not None and share is not None
            ]
            if not pairs:
                continue
            costs, figures = (np.array(one) for one in zip(*pairs, strict=True))
            x, y = float(np.median(costs)), float(figures.mean())
            said.append(f"{arm.name} {y:.1f} at {x:.3g}")
            draw_arm(plot, at, arm.name, np.array([x]), figures[:, None], line=False)
        plot.set_xlabel(label)
        plot.set_ylabel(f"{endpoint}, percent")
        plot.margins(0.12)
        plot.grid()
        legend(plot)
    if not said:
        return None
    speeds = [one.speed for arm in study.arms for one in arm.records if one.speed]
    devices = sorted({f"{one.device}, {one.threads} thread{'s' * (one.threads > 1)}" for one in speeds})
    where = f" Batch 1 on {'; '.join(devices)}; median over seeds." if kind == "fps" else ""
    return Drawing(
        figure,
        f"{endpoint} against {noun}",
        f"{endpoint} in percent at {label}: {'; '.join(said)}.",
        f"Symbols: mean over seeds; dots: seeds.{where}",
    )
