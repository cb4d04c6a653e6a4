"""Single objects cut out of their images: worst misses, and what one arm finds and another misses."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gffpn.metrics.matching import Floats
from gffpn.report.analyses import Analysed, Analyses
from gffpn.report.page.images import Region, SplitImages, cut_out, region_around
from gffpn.report.page.scenes import Box, native, rectangle
from gffpn.runs.predictions import Predictions
from gffpn.stats.study import Study

CROPS = 6
"""Cut-outs of a kind."""
CONTRASTS = 2
"""Contrasts for which "found by A, missed by B" is shown."""


@dataclass(frozen=True)
class Crop:
    """An object cut out of its image."""

    uri: str
    region: Region
    box: Box
    text: str


Rows = list[tuple[int, str]]
"""(object, its text)"""


def crops(
    study: Study, analyses: Analyses, truth: Predictions, files: SplitImages
) -> tuple[tuple[str, tuple[Crop, ...]], ...]:
    """Return the cut-outs by heading; a heading without any is left out."""
    groups = [(title, tuple(_crops(rows, truth, files))) for title, rows in _chosen(study, analyses, truth)]
    return tuple((title, made) for title, made in groups if made)


def _chosen(study: Study, analyses: Analyses, truth: Predictions) -> list[tuple[str, Rows]]:
    """Return the objects to be cut out, by heading."""
    shares = [_share_found(arm) for arm in analyses.arms]
    known = [share for share in shares if share is not None]
    if not known:
        return []
    every = _share_found([one for arm in analyses.arms for one in arm])
    assert every is not None
    objects = truth.evaluated
    side = np.sqrt((objects.objects.xyxy[:, 2:] - objects.objects.xyxy[:, :2]).prod(axis=1))
    overall = np.where(objects.crowd, np.inf, every)
    # of the objects that are missed most often, the largest: the smallest ones are no surprise
    order = np.lexsort((-side, overall))
    worst = [int(one) for one in order[:CROPS] if overall[one] < 0.5]
    chosen: list[tuple[str, Rows]] = [
        (
            "Worst misses: the largest objects that most runs miss",
            [(one, f"{_percent(overall[one])} of runs find it") for one in worst],
        )
    ]
    position = {arm.name: at for at, arm in enumerate(study.arms)}
    for contrast in study.contrasts[:CONTRASTS]:
        for one, other in ((contrast.a, contrast.b), (contrast.b, contrast.a)):
            mine, theirs = shares[position[one.name]], shares[position[other.name]]
            if mine is None or theirs is None:
                continue
            gain = np.where(objects.crowd, -np.inf, mine - theirs)
            best = [int(at) for at in np.lexsort((-side, -gain))[:CROPS] if gain[at] >= 0.5]
            text = [
                (at, f"{one.name} {_percent(mine[at])}, {other.name} {_percent(theirs[at])}") for at in best
            ]
            chosen.append((f"Found by {one.name}, missed by {other.name}", text))
    return chosen


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _share_found(runs: Sequence[Analysed]) -> Floats | None:
    """Return the share of runs (M,) that find each object at their operating point."""
    found = [one.analysis.found for one in runs if one.analysis.found is not None]
    return np.mean(found, axis=0) if found else None


def _crops(rows: Rows, truth: Predictions, files: SplitImages) -> list[Crop]:
    objects, made = truth.evaluated.objects, []
    for at, text in rows:
        image = int(objects.image[at])
        pixels = files.read(truth.names[image])
        if pixels is None:
            continue
        xyxy = native(truth, objects.xyxy[at], image)
        region = region_around(xyxy, (pixels.shape[0], pixels.shape[1]))
        label = truth.classes[objects.label[at]]
        side = float(np.sqrt((xyxy[2] - xyxy[0]) * (xyxy[3] - xyxy[1])))
        words = f"{label}, {side:.0f} px: {text}"
        made.append(Crop(cut_out(pixels, region), region, rectangle(xyxy, "truth", label), words))
    return made
