"""Treatment of COCO's crowd annotations, and refusal of a set in which they can hardly be meant as such."""

from collections import Counter
from collections.abc import Iterable
from typing import Literal

from gffpn.data.readers.annotation import Annotation
from gffpn.data.readers.faults import Faults, Kind

Crowd = Literal["ignore", "object", "drop"]

SHARE = 0.05
"""Share of crowd annotations above which a set needs the user's decision; COCO's own sets have 1 %."""


def refuse_many(annotations: Iterable[Annotation], faults: Faults) -> None:
    """Record a fault if over 5 % of the boxes are crowd regions, and for each class of nothing else."""
    boxes: Counter[str] = Counter()
    crowds: Counter[str] = Counter()
    for annotation in annotations:
        boxes.update(annotation.names)
        if any(annotation.crowd):
            flags = zip(annotation.names, annotation.crowd, strict=True)
            crowds.update(name for name, crowd in flags if crowd)
    for name, count in crowds.items():
        if count == boxes[name]:
            faults.add(Kind.CROWD, f"{name}: all {count} annotations have iscrowd = 1")
    share = crowds.total() / max(1, boxes.total())
    if share > SHARE:
        found = f"{crowds.total()} of {boxes.total()} annotations ({share:.1%}) have iscrowd = 1"
        faults.add(Kind.CROWD, f"{found}, expected at most {SHARE:.0%} unless data.crowd is given")
