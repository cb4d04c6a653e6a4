"""The simulated TinyIndus as a data set: written once as ordinary COCO, then read like any other.

SIMULATED, and not the paper's TinyIndus: see `scene.py`.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from gffpn.data.index import SPLITS, DataIndex, ImageRecord
from gffpn.data.simulator.classes import CLASS_NAMES, CLASSES
from gffpn.data.simulator.dials import Dials
from gffpn.data.simulator.dials import preset as dials_of
from gffpn.data.simulator.write import Plan, write_pictures

DESCRIPTION = (
    "SIMULATED stand-in for the private TinyIndus of GF-FPN: "
    "its four products, nine classes and class shares, none of its images."
)


def _source_digest() -> str:
    """Digest of the simulator's code: another simulator draws other pictures, so it gets another folder."""
    room = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted(room.rglob("*.py")):
        if path.name != "gallery.py":
            digest.update(path.relative_to(room).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def write_dataset(
    root: Path,
    *,
    dials: Dials,
    image_size: tuple[int, int],
    counts: Mapping[str, int],
    seed: int,
    progress: bool,
) -> Path:
    """Write the data set below `root` unless it lies there already, and give its folder.

    The folder is named by a hash of everything that determines it. It appears complete or not at all: it is
    written beside its place and renamed, so two processes may write it at once. `image_size` is (height,
    width).

    Raises ValueError for a split that is missing, unknown or empty.
    """
    if set(counts) != set(SPLITS) or min(counts.values()) < 1:
        raise ValueError(f"got counts {dict(counts)}, expected at least 1 image for each of {list(SPLITS)}")
    if min(image_size) < 64:
        raise ValueError(f"got image size {image_size}, expected at least 64 pixels a side")
    plan = Plan(dials, image_size, {split: counts[split] for split in SPLITS}, seed)
    info = {"description": DESCRIPTION, "simulator": _source_digest(), **asdict(plan)}
    name = hashlib.sha256(json.dumps(info, sort_keys=True).encode()).hexdigest()[:16]
    folder = root / name
    if folder.is_dir():
        return folder
    root.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=root))
    try:
        _write(draft, plan, info, progress)
        draft.chmod(0o755)
        _publish(draft, folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder


def _publish(draft: Path, folder: Path) -> None:
    """Rename the draft; where another process was faster, its equal copy stays."""
    try:
        os.rename(draft, folder)
    except OSError:
        if not folder.is_dir():
            raise


def _write(draft: Path, plan: Plan, info: Mapping[str, Any], progress: bool) -> None:
    for split in SPLITS:
        (draft / "images" / split).mkdir(parents=True)
    entries = write_pictures(plan, draft / "images", progress)
    (draft / "annotations").mkdir()
    categories = [{"id": k + 1, "name": c.name, "supercategory": c.product} for k, c in enumerate(CLASSES)]
    for split in SPLITS:
        own = sorted((e for e in entries if e["split"] == split), key=lambda e: int(e["i"]))
        annotations: list[dict[str, Any]] = []
        for entry in own:
            for defect in entry["defects"]:
                annotations.append({"id": len(annotations) + 1, "image_id": entry["i"] + 1, **defect})
        images = [
            {
                "id": entry["i"] + 1,
                "file_name": f"{split}/{entry['i']:06d}.png",
                "height": plan.image_size[0],
                "width": plan.image_size[1],
                "group": entry["group"],
                "product": entry["product"],
            }
            for entry in own
        ]
        document = {"info": info, "images": images, "annotations": annotations, "categories": categories}
        (draft / "annotations" / f"{split}.json").write_text(json.dumps(document))


def read_index(folder: Path) -> DataIndex:
    """The index of a folder that `write_dataset` wrote."""
    splits = {}
    for split in SPLITS:
        document = json.loads((folder / "annotations" / f"{split}.json").read_text())
        found: dict[int, list[dict[str, Any]]] = {image["id"]: [] for image in document["images"]}
        for annotation in document["annotations"]:
            found[annotation["image_id"]].append(annotation)
        splits[split] = tuple(_record(folder, image, found[image["id"]]) for image in document["images"])
    return DataIndex(CLASS_NAMES, splits)


def _record(folder: Path, image: Mapping[str, Any], annotations: list[dict[str, Any]]) -> ImageRecord:
    boxes = np.array([a["bbox"] for a in annotations], np.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return ImageRecord(
        path=folder / "images" / image["file_name"],
        name=image["file_name"],
        height=image["height"],
        width=image["width"],
        boxes=boxes,
        labels=np.array([a["category_id"] - 1 for a in annotations], np.int64),
        group=image["group"],
    )


class TinyIndusSim:
    """The simulated TinyIndus as a data source: four glass and glove products, nine classes of small defects.

    Simulated, not the paper's TinyIndus. `preset` names a setting of all dials (`dials.PRESETS`; None is
    `default`); a dial that is None keeps the preset's value. Dials are described in `dials.Dials`; sides
    are pixels at an image size of 640 and scale with the image. `image_size` is (height, width); the set is
    written once below `cache_dir`.

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
        light_variation: float | None = None,
        empty_share: float | None = None,
        defects_per_image: tuple[int, int] | None = None,
    ) -> None:
        turned: dict[str, Any] = {
            "side_scale": side_scale,
            "side_range": side_range and _pair("side_range", side_range),
            "size_mode": size_mode,
            "contrast": contrast,
            "blur": blur,
            "noise": noise,
            "lookalike_density": lookalike_density,
            "light_variation": light_variation,
            "empty_share": empty_share,
            "defects_per_image": defects_per_image and _pair("defects_per_image", defects_per_image),
        }
        self.cache_dir = cache_dir
        self.image_size = image_size
        self.seed = seed
        self.counts = {"train": train_images, "val": val_images, "test": test_images}
        self.dials = replace(
            dials_of(preset or "default"), **{name: v for name, v in turned.items() if v is not None}
        )

    def index(self) -> DataIndex:
        """Write the pictures if they are not there, and give their index."""
        folder = write_dataset(
            self.cache_dir,
            dials=self.dials,
            image_size=self.image_size,
            counts=self.counts,
            seed=self.seed,
            progress=True,
        )
        dials = ", ".join(f"{name}={value}" for name, value in asdict(self.dials).items())
        return replace(read_index(folder), origin=f"simulated, {folder.name}: {dials}")


def _pair(name: str, value: tuple[Any, ...]) -> tuple[Any, Any]:
    """Two numbers as a tuple; YAML gives a list."""
    if len(value) != 2:
        raise ValueError(f"got {name} {list(value)}, expected two numbers, lowest and highest")
    return value[0], value[1]
