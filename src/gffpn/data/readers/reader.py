"""Arguments shared by the readers of COCO, VOC and YOLO."""

from collections.abc import Collection, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path

from gffpn.data.readers.annotation import Outside
from gffpn.data.readers.intake import Intake
from gffpn.data.readers.split_lists import Lists
from gffpn.data.readers.splits import Partition


@dataclass
class Reader:
    """Base class of the readers.

    `root` is the data set's folder. Without `classes`, the class names come from the data set itself. For
    `splits`, `fractions`, `split_seed` and `train_images`, see `Partition`. `group_pattern` is a regular
    expression, whose first group, matched in a file's stem, names the image's group. `outside` determines
    whether a box that leaves its image by more than a pixel is a fault ("refuse") or is cut at the border
    ("clip"). `unusual_images` determines whether an image that `read_image` converts with a loss is a fault
    ("refuse") or is converted ("convert"). With `on_error` "raise", all faults are raised together. With
    "skip", each is logged; a faulty box is dropped alone, an image with any other fault as a whole. The
    results of inspection are stored below `cache_dir`.
    """

    cache_dir: Path
    image_size: tuple[int, int]
    _: KW_ONLY
    root: str | None
    classes: Sequence[str] | None
    splits: Lists
    fractions: Sequence[float]
    split_seed: int
    train_images: int | None = None
    group_pattern: str | None
    outside: Outside
    unusual_images: str
    on_error: str

    def intake(self, places: Collection[str]) -> Intake:
        """Return the intake of a data set with the splits `places`; raise ValueError for a wrong argument."""
        return Intake(
            root=self.root,
            classes=self.classes,
            partition=Partition(self.splits, self.fractions, self.split_seed, places, self.train_images),
            group_pattern=self.group_pattern,
            outside=self.outside,
            unusual_images=self.unusual_images,
            on_error=self.on_error,
            cache_dir=self.cache_dir,
        )
