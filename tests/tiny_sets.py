"""The same three images in the VOC, COCO and YOLO formats, small enough to be read at a glance."""

import json
from pathlib import Path
from typing import Any

from PIL import Image

from gffpn.data.readers.coco import COCO
from gffpn.data.readers.voc import VOC
from gffpn.data.readers.yolo import YOLO

CLASSES = ("dent", "scratch")
# stem -> (height, width), [(class, x1, y1, x2, y2)], one image per split
IMAGES: dict[str, tuple[tuple[int, int], list[tuple[str, int, int, int, int]]]] = {
    "a": ((40, 60), [("scratch", 0, 0, 10, 20), ("dent", 30, 10, 60, 40)]),
    "b": ((50, 50), [("dent", 5, 5, 25, 45)]),
    "c": ((32, 64), [("scratch", 16, 8, 48, 24)]),
}
SPLIT_OF = {"train": "a", "val": "b", "test": "c"}
SHARED: dict[str, Any] = {
    "classes": None,
    "splits": "splits",
    "fractions": [0.8, 0.1, 0.1],
    "split_seed": 0,
    "group_pattern": None,
    "outside": "refuse",
    "unusual_images": "refuse",
    "on_error": "raise",
}


def memo(root: Path | str | None) -> Path:
    """Return the cache folder beside a set."""
    return Path(f"{root}.cache")


def voc(root: Path | str | None, **changes: Any) -> VOC:
    given = {
        "images": "images",
        "annotations": "xml",
        "corners": "pixels_from_1",
        "unlabelled": "refuse",
        "shapes": "refuse",
        **SHARED,
        **changes,
    }
    return VOC(memo(root), (64, 64), root=None if root is None else str(root), **given)


def coco(root: Path, **changes: Any) -> COCO:
    given = {
        "images": "images",
        "annotations": "all.json",
        "crowd": None,
        "unlabelled": "drop",
        "shapes": "refuse",
        **SHARED,
        **changes,
    }
    return COCO(memo(root), (64, 64), root=str(root), **given)


def yolo(root: Path, **changes: Any) -> YOLO:
    given = {
        "images": "images",
        "labels": "labels",
        "unlabelled": "refuse",
        "shapes": "refuse",
        **SHARED,
        **changes,
    }
    return YOLO(memo(root), (64, 64), root=str(root), **given)


def xml(size: tuple[int, int], boxes: list[tuple[str, int, int, int, int]]) -> str:
    """Return a VOC file, which gives the first and the last pixel of each box, counted from 1."""
    things = "".join(
        f"<object><name>{name}</name><bndbox><xmin>{x1 + 1}</xmin><ymin>{y1 + 1}</ymin>"
        f"<xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox></object>"
        for name, x1, y1, x2, y2 in boxes
    )
    height, width = size
    return f"<annotation><size><width>{width}</width><height>{height}</height></size>{things}</annotation>"


def coco_content(stems: str = "abc") -> dict[str, Any]:
    """Return the content of a COCO file for the images `stems`."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, stem in enumerate(IMAGES, start=10):
        if stem not in stems:
            continue
        (height, width), boxes = IMAGES[stem]
        images.append({"id": number, "file_name": f"{stem}.png", "height": height, "width": width})
        for name, x1, y1, x2, y2 in boxes:
            box = {"id": 100 + len(annotations), "image_id": number, "bbox": [x1, y1, x2 - x1, y2 - y1]}
            annotations.append({**box, "category_id": {"dent": 3, "scratch": 7}[name], "iscrowd": 0})
    categories = [{"id": 7, "name": "scratch"}, {"id": 3, "name": "dent"}]
    return {"images": images, "annotations": annotations, "categories": categories}


def write_sets(root: Path) -> Path:
    """Write all three formats and the split lists to `root`, and return it."""
    for folder in ("images", "xml", "labels", "splits"):
        (root / folder).mkdir(parents=True)
    for stem, ((height, width), boxes) in IMAGES.items():
        Image.new("RGB", (width, height), (90, 90, 90)).save(root / "images" / f"{stem}.png")
        (root / "xml" / f"{stem}.xml").write_text(xml((height, width), boxes))
        lines = [
            f"{CLASSES.index(name)} {(x1 + x2) / 2 / width} {(y1 + y2) / 2 / height}"
            f" {(x2 - x1) / width} {(y2 - y1) / height}"
            for name, x1, y1, x2, y2 in boxes
        ]
        (root / "labels" / f"{stem}.txt").write_text("\n".join(lines))
    (root / "all.json").write_text(json.dumps(coco_content()))
    (root / "data.yaml").write_text("names: {0: dent, 1: scratch}\n")
    for split, stem in SPLIT_OF.items():
        (root / "splits" / f"{split}.txt").write_text(f"{stem}\n")
    return root
