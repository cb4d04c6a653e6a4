"""The arguments that the readers of COCO, VOC and YOLO share."""

from collections.abc import Collection, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path

from gffpn.data.readers.intake import Intake
from gffpn.data.readers.splits import Partition


@dataclass
class Reader:
    """`root` is the data set's folder; without `classes`, the set itself names them.

    `splits`, `fractions`, `split_seed`: see `Partition`. `group_pattern` is a regular expression: what its
    first group finds in a file's stem names the image's group. `unusual_images` says whether an image that
    `read_image` converts with a loss is a fault ("refuse") or is converted ("convert"). With `on_error`
    "raise" all faults are refused together; with "skip" each is logged, a bad box is dropped alone, and an
    image with any other fault as a whole. What was inspected is remembered below `cache_dir`.
    """

    cache_dir: Path
    image_size: tuple[int, int]
    _: KW_ONLY
    root: str | None
    classes: Sequence[str] | None
    splits: str | None
    fractions: Sequence[float]
    split_seed: int
    group_pattern: str | None
    unusual_images: str
    on_error: str

    def intake(self, places: Collection[str]) -> Intake:
        """The intake of a set that lies in the splits `places`; ValueError for a wrong argument."""
        return Intake(
            root=self.root,
            classes=self.classes,
            partition=Partition(self.splits, self.fractions, self.split_seed, places),
            group_pattern=self.group_pattern,
            unusual_images=self.unusual_images,
            on_error=self.on_error,
            cache_dir=self.cache_dir,
        )
