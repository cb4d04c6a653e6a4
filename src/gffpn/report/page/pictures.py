"""Pictures of a study: the same test images for every arm, worst misses, and what one arm finds alone."""

from dataclasses import dataclass, field

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
    if not shown:
        return Pictures(missing=files.missing or "no test image has an object")
    return Pictures(shown, crops(study, analyses, truth, files))
