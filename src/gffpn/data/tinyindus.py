"""Data source for the simulated TinyIndus.

SIMULATED, not the paper's TinyIndus: see `scene.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from gffpn.data.index import SPLITS, DataError, DataIndex
from gffpn.data.readers.coco import COCO
from gffpn.files.writing import UNWRITABLE
from tinyindus.dials import preset as dials_of
from tinyindus.dials import turn, turn_test
from tinyindus.store import write_dataset


class TinyIndusSim:
    """Data source for the simulated TinyIndus: four glass and glove products, nine classes of small defects.

    The data is simulated; it is not the paper's TinyIndus. `preset` names a setting of all dials, a key of
    `dials.PRESETS` (None means `default`); a dial that is None keeps the preset's value. `dials.Dials`
    describes the dials. Sides are in pixels at an image size of 640 and scale with the image. `image_size` is
    (height, width). The data set is written once, below `cache_dir`.

    `test_dials` changes dials in the test split only. If it is None, the test split is drawn like the
    training split. Otherwise, each test scene is drawn once per entry, with that entry's dials: one entry
    gives a distribution shift, several give twins that are equal except for the effect of the dials.
    `{contrast: 0}` draws the scene without its defects, and `{}` draws it unchanged. Look-alikes still
    imitate the defects of the training split, so that a dial of the defects changes nothing else.

    Raises ValueError for a dial or a count out of range.
    """

    def __init__(
        self,
        cache_dir: Path,
        image_size: tuple[int, int],
        *,
        seed: int = 0,
        train_images: int = 600,
        val_images: int = 150,
        test_images: int = 300,
        preset: str | None = "default",
        side_scale: float | None = None,
        side_range: tuple[float, float] | None = None,
        size_mode: str | None = None,
        contrast: float | None = None,
        blur: float | None = None,
        noise: float | None = None,
        lookalike_density: float | None = None,
        match: float | tuple[float, float] | None = None,
        light_variation: float | None = None,
        empty_share: float | None = None,
        defects_per_image: tuple[int, int] | None = None,
        class_shares: str | None = None,
        missed_labels: float | None = None,
        jittered_labels: float | None = None,
        flipped_labels: float | None = None,
        test_dials: Sequence[Mapping[str, Any]] | None = None,
    ) -> None:
        turned = {
            "side_scale": side_scale,
            "side_range": side_range,
            "size_mode": size_mode,
            "contrast": contrast,
            "blur": blur,
            "noise": noise,
            "lookalike_density": lookalike_density,
            "match": match,
            "light_variation": light_variation,
            "empty_share": empty_share,
            "defects_per_image": defects_per_image,
            "class_shares": class_shares,
            "missed_labels": missed_labels,
            "jittered_labels": jittered_labels,
            "flipped_labels": flipped_labels,
        }
        if test_dials is not None and (isinstance(test_dials, Mapping | str) or not test_dials):
            raise ValueError(f"got test_dials {test_dials!r}, expected a list of entries, or null")
        self.cache_dir = cache_dir
        self.image_size = image_size
        self.seed = seed
        self.counts = {"train": train_images, "val": val_images, "test": test_images}
        self.dials = turn(dials_of(preset or "default"), turned)
        self.test_overrides = test_dials
        self.test_dials = None
        if test_dials is not None:
            self.test_dials = tuple(turn_test(self.dials, entry) for entry in test_dials)

    def index(self) -> DataIndex:
        """Write the images unless they exist, and return their index.

        Raises DataError if they do not exist and nothing can be written to `cache_dir`.
        """
        try:
            folder = write_dataset(
                self.cache_dir,
                dials=self.dials,
                image_size=self.image_size,
                counts=self.counts,
                seed=self.seed,
                progress=True,
                test_dials=self.test_dials,
            )
        except OSError as error:
            if error.errno not in UNWRITABLE:
                raise
            raise DataError(
                f"{self.cache_dir}: the simulated set cannot be written there ({error.strerror}); "
                f"paths.cache=FOLDER chooses another folder"
            ) from error
        settings = ", ".join(f"{name}={value}" for name, value in asdict(self.dials).items())
        if self.test_overrides:
            settings += f"; test: {[dict(entry) for entry in self.test_overrides]}"
        return replace(self._read(folder), origin=f"simulated, {folder.name}: {settings}", simulated=True)

    def _read(self, folder: Path) -> DataIndex:
        """Read the written data set like any other COCO data set."""
        reader = COCO(
            self.cache_dir,
            self.image_size,
            root=str(folder),
            images=dict.fromkeys(SPLITS, "images"),
            annotations={split: f"annotations/{split}.json" for split in SPLITS},
            crowd=None,
            shapes="refuse",
            unlabelled="drop",
            classes=None,
            splits=None,
            fractions=(0.8, 0.1, 0.1),
            split_seed=0,
            group_pattern=None,
            outside="refuse",
            unusual_images="refuse",
            on_error="raise",
        )
        return reader.index()
