"""At what scale the paper's detectors are, beside which ours may be small."""

from collections.abc import Sequence

from gffpn.report.paper import paper_costs, paper_setting
from gffpn.runs.record import size_word
from gffpn.stats.study import Study


def scale_words(studies: Sequence[Study]) -> str:
    """Return how the paper's detectors differ in scale from those of some studies, or an empty string."""
    records = [record for study in studies for arm in study.arms for record in arm.records]
    known = [value for one in paper_costs().values() if (value := one["params_m"]) is not None]
    setting = paper_setting()
    side = setting["image_size"]
    ours = [record.cost.params_m for record in records]
    images = {record.image_size for record in records}
    if not ours or (images == {(side, side)} and min(known) <= min(ours) and max(ours) <= max(known)):
        return ""
    own = ", ".join(map(size_word, sorted(images)))
    return (
        f"The paper's detectors with {setting['backbone']} have {_range(known)} M parameters at {side} px; "
        f"those here have {_range(ours)} M at {own} px."
    )


def _range(values: Sequence[float]) -> str:
    low, high = (f"{value:.3g}" for value in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"
