"""mAP50 of each arm on each part of the test images, with intervals."""

import numpy as np

from gffpn.report.figures.canvas import Drawing, axes
from gffpn.report.figures.palette import PAPER, colour, marker
from gffpn.report.figures.series import legend
from gffpn.stats.parts import Parts

SIDE_BY_SIDE = 0.3
"""Width that the arms of a part take together."""


def part_figure(found: Parts) -> Drawing:
    """Return a figure with a place per part, and there an interval per arm."""
    parts = list(found.objects)
    shifts = (
        np.linspace(-SIDE_BY_SIDE / 2, SIDE_BY_SIDE / 2, len(found.arms)) if len(found.arms) > 1 else [0.0]
    )
    with axes(2.9) as (figure, plot):
        for at, ((name, of_part), shift) in enumerate(zip(found.arms.items(), shifts, strict=True)):
            for place, part in enumerate(parts):
                low, high = (100 * end for end in of_part[part].interval())
                plot.plot([place + shift] * 2, [low, high], color=colour(at), linewidth=1.6, zorder=2)
            plot.plot(
                [place + shift for place in range(len(parts))],
                [100 * of_part[part].delta for part in parts],
                linestyle="",
                color=colour(at),
                marker=marker(at),
                markersize=5.5,
                markeredgecolor=PAPER,
                markeredgewidth=0.6,
                label=name,
                zorder=3,
            )
        plot.set_xticks(range(len(parts)), parts)
        plot.set_xlim(-0.6, len(parts) - 0.4)
        plot.set_ylabel("mAP50, percent")
        plot.grid(axis="y")
        legend(plot)
    said = "; ".join(
        f"{name}: {', '.join(f'{part} {100 * of_part[part].delta:.1f}' for part in parts)}"
        for name, of_part in found.arms.items()
    )
    return Drawing(figure, "mAP50 on parts of the test images", f"{said}.", "Lines: 95 % intervals.")
