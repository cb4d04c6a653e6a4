"""mAP50 on parts of the test images, such as the images of one camera, with intervals."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gffpn.runs.predictions import Predictions
from gffpn.stats.draws import Counts, group_draws
from gffpn.stats.estimate import Estimate, Family, Sample, Seed
from gffpn.stats.influence import influences
from gffpn.stats.reweighted import mean_precision, reweighted_precision

FEWEST = 5
"""Independent images of a part below which its variance over images is not known."""
Masks = Mapping[str, NDArray[np.bool_]]
"""Which of the N test images belong to each part."""


@dataclass(frozen=True)
class Parts:
    """Figures of the arms of an experiment, for each part; each figure is an estimate with its intervals."""

    objects: Mapping[str, int]
    """Objects of each part."""
    arms: Mapping[str, Mapping[str, Estimate]]
    """mAP50 by arm and part; with two parts also their difference, as `gap`."""
    contrasts: Mapping[tuple[str, str], Mapping[str, Estimate]]
    """Differences between two arms, likewise."""


def parts_by_name(names: Sequence[str], patterns: Mapping[str, str]) -> Masks:
    """Return the images of each part: those in whose name its regular expression is found.

    Raises ValueError for an expression that is wrong or found in no name, and for a name in two parts.
    """
    masks: dict[str, NDArray[np.bool_]] = {}
    for part, pattern in patterns.items():
        try:
            masks[part] = np.array([bool(re.search(pattern, name)) for name in names])
        except re.error as error:
            raise ValueError(f"--part {part}: {pattern!r} is no regular expression: {error}") from None
        if not masks[part].any():
            raise ValueError(f"--part {part}: {pattern!r} is in no image's name, such as {names[0]}")
    if (twice := np.sum(list(masks.values()), axis=0) > 1).any():
        raise ValueError(f"--part: {names[int(twice.argmax())]} belongs to two parts")
    return masks


def part_figures(
    predictions: Predictions, masks: Masks, weights: Counts, *, max_detections: int
) -> dict[str, Seed]:
    """Return mAP50 of a run on each part, with its replicates by `weights` (N, B)."""
    matches = predictions.matches(max_detections=max_detections)
    groups = group_draws(predictions.groups, weights)
    weights = np.concatenate([np.ones_like(weights[:, :1]), weights], axis=1)
    found = {}
    for part, mask in masks.items():
        precision = reweighted_precision(matches, weights * mask[:, None], ious=slice(0, 1))
        values = mean_precision(precision)
        found[part] = Seed(float(values[0]), values[1:], influences(values[None, 1:], groups)[0])
    return found


def compared(
    runs: Mapping[str, Sequence[Mapping[str, Seed]]],
    pairs: Sequence[tuple[str, str]],
    objects: Mapping[str, int],
    *,
    pooled: Collection[str],
) -> Parts:
    """Return the figures of each arm, given those of its runs, and the differences of pairs of arms.

    The variance between seeds is that of the arms in `pooled`, in which no run may be twice.
    """
    samples = {
        part: {name: Sample.of([one[part] for one in of_arm]) for name, of_arm in runs.items() if of_arm}
        for part in objects
    }
    if len(objects) == 2:
        first, second = samples.values()
        samples["gap"] = {name: first[name].minus(second[name]) for name in first}
    families = {
        part: Family([one for name, one in of_part.items() if name in pooled])
        for part, of_part in samples.items()
    }
    return Parts(
        objects,
        {
            name: {part: families[part].mean(of_part[name]) for part, of_part in samples.items()}
            for name, of_arm in runs.items()
            if of_arm
        },
        {
            (a, b): {
                part: families[part].difference(of_part[a], of_part[b]) for part, of_part in samples.items()
            }
            for a, b in pairs
            if runs[a] and runs[b]
        },
    )
