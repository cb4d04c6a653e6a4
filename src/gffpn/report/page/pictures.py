"""Pictures of a study: the same test images for every arm, worst misses, and what one arm finds alone."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from gffpn.report.analyses import Analyses
from gffpn.report.page.crops import Crop, crops
from gffpn.report.page.images import SplitImages
from gffpn.report.page.scenes import Scene, predictions_of, scenes
from gffpn.stats.study import Study


@dataclass(frozen=True)
class Pictures:
    """All pictures of a study."""

    scenes: tuple[Scene, ...] = ()
    crops: tuple[tuple[str, tuple[Crop, ...]], ...] = field(default=())
    """(heading, cut-outs)"""
    missing: str = ""
    """Why there are none."""


def pictures(study: Study, analyses: Analyses) -> Pictures:
    """Return the pictures of a study, or the reason why there are none."""
    first = next((one for arm in analyses.arms for one in arm), None)
    if first is None:
        return Pictures(missing="no run has predictions")
    if not analyses.same_images:
        return Pictures(missing="the runs were tested on different images")
    files = SplitImages(first.run)
    truth = predictions_of(first)
    shown = tuple(scenes(study, analyses, truth, files))
    if _differ([scene.name for scene in shown], analyses):
        return Pictures(missing="the test images of the runs differ in their pixels")
    if not shown:
        return Pictures(missing=files.missing or "no test image has an object")
    return Pictures(shown, crops(study, analyses, truth, files))


def _differ(names: Sequence[str], analyses: Analyses) -> bool:
    """Return whether images differ between runs on different data, such as simulated sets of other noise."""
    runs = [one.run for arm in analyses.arms for one in arm]
    of_data = {run.record.data.fingerprint: run for run in runs if run.record}
    first, *others = map(SplitImages, of_data.values())
    pairs = [(first.read(name), other.read(name)) for other in others for name in names]
    return any(a is not None and b is not None and not np.array_equal(a, b) for a, b in pairs)
