"""Data source for the simulated TinyIndus.

SIMULATED, not the paper's TinyIndus: see `scene.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from itertools import count
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gffpn.data.index import SPLITS, DataError, DataIndex
from gffpn.data.readers.coco import COCO
from gffpn.files.sources import code_digest, modules_reached
from gffpn.files.writing import UNWRITABLE
from tinyindus.dials import Dials, turn, turn_test
from tinyindus.dials import preset as dials_of
from tinyindus.scene import render
from tinyindus.store import write_dataset


class Scene(NamedTuple):
    """One simulated image with the objects in it."""

    pixels: NDArray[np.uint8]
    """(3, H, W)."""
    boxes: NDArray[np.float32]
    """(M, 4) xyxy in pixels."""
    labels: NDArray[np.int64]
    """(M,) positions in `CLASSES`."""
    mask: NDArray[np.bool_]
    """(H, W), true on the pixels of the defects."""


def example_scene(image_size: tuple[int, int]) -> Scene:
    """Return the first test scene of preset `paper` with two visible defects; nothing is written."""
    dials = dials_of("paper")
    pictures = (render(i, "test", dials, image_size, seed=0) for i in count())
    picture = next(picture for picture in pictures if len(picture.truths) > 1)
    mask = np.zeros(image_size, np.bool_)
    for truth in picture.truths:
        x1, y1, x2, y2 = truth.box
        mask[y1:y2, x1:x2] |= truth.mask
    return Scene(
        pixels=np.ascontiguousarray(picture.pixels.transpose(2, 0, 1)),
        boxes=np.array([truth.box for truth in picture.truths], np.float32),
        labels=np.array([truth.label for truth in picture.truths], np.int64),
        mask=mask,
    )


class TinyIndusSim:
    """Data source for the simulated TinyIndus: four glass and glove products, nine classes of small defects.

    The data is simulated; it is not the paper's TinyIndus. `preset` names a setting of all dials, a key of
    `dials.PRESETS` (None means `laptop`); a dial that is None keeps the preset's value. `dials.Dials`
    describes the dials. Sides are in pixels at an image size of 640 and scale with the image. `image_size` is
    (height, width). The data set is written once, below `cache_dir`, and again after an edit of the
    simulator's code.

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
        train_images: int = 800,
        val_images: int = 120,
        test_images: int = 400,
        preset: str | None = "laptop",
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
        test_dials: Sequence[Annotated[Mapping[str, Any], Dials]] | None = None,
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
        self.dials = turn(dials_of(preset or "laptop"), turned)
        self.test_overrides = test_dials
        self.test_dials = None
        if test_dials is not None:
            self.test_dials = tuple(turn_test(self.dials, entry) for entry in test_dials)

    @property
    def _folder(self) -> Path:
        """Folder of the sets that the present code of the simulator draws.

        The code is no part of the fingerprint, which every edit would change. A run records it like its own.
        """
        own = modules_reached(["tinyindus.store"], _is_simulator, self.cache_dir)
        return self.cache_dir / f"tinyindus-{code_digest(own)}"

    def index(self) -> DataIndex:
        """Write the images unless they exist, and return their index.

        Raises DataError if they do not exist and nothing can be written to `cache_dir`.
        """
        try:
            folder = write_dataset(
                self._folder,
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
        if self.test_overrides and self.test_dials:
            turned = [*map(_turned, self.test_overrides, self.test_dials)]
            settings += f"; test: {turned}"
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


def _turned(entry: Mapping[str, Any], dials: Dials) -> dict[str, Any]:
    """Return an entry of `test_dials` with the values that its dials have, in one order: 1.0, also for 1."""
    values = {name: value if value is None else getattr(dials, name) for name, value in sorted(entry.items())}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def _is_simulator(module: str) -> bool:
    return module.partition(".")[0] == "tinyindus"
