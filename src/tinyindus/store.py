"""The folder of a simulated data set: drawn once, as ordinary COCO, then read like any other data set.

The folder contains `images/<split>/<i>.png` and `annotations/<split>.json`. An annotation has COCO's fields,
`side` (square root of the box's width times height, pixels), `visibility` (d'), `product` and `defect` (the
object's number in its scene, which is the same in all twins). An image has its `group` and its `product`; in
a test split with entries it also has the number of its `entry`, whose dials are in `info`. Corrupted training
labels keep the truth (`labels.spoil`); omitted ones are listed in `missed`.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from filelock import FileLock

from tinyindus import VERSION
from tinyindus.classes import CLASSES
from tinyindus.dials import Dials
from tinyindus.labels import spoil
from tinyindus.streams import SPLITS
from tinyindus.write import Entry, Plan, write_pictures

DESCRIPTION = (
    "SIMULATED stand-in for the private TinyIndus of GF-FPN: "
    "its four products, nine classes and (unless they are equal) class shares, none of its images."
)


def write_dataset(
    root: Path,
    *,
    dials: Dials,
    image_size: tuple[int, int],
    counts: Mapping[str, int],
    seed: int,
    progress: bool,
    test_dials: tuple[Dials, ...] | None = None,
) -> Path:
    """Write the data set below `root`, unless it already exists there completely, and return its folder.

    The folder is named by a hash of everything that determines its contents. If two processes request it at
    the same time, one draws it and the other waits. `image_size` is (height, width). `counts` are numbers of
    scenes; the test split contains each of its scenes once per entry of `test_dials` (None: once, with
    `dials`).

    Raises ValueError for a split that is missing, unknown or empty, and for an image side below 64 pixels.
    """
    if set(counts) != set(SPLITS) or min(counts.values()) < 1:
        raise ValueError(f"got counts {dict(counts)}, expected at least 1 image for each of {list(SPLITS)}")
    if min(image_size) < 64:
        raise ValueError(f"got image size {image_size}, expected at least 64 pixels per side")
    plan = Plan(dials, image_size, {split: counts[split] for split in SPLITS}, seed, test_dials)
    info = {"description": DESCRIPTION, "simulator": VERSION, **asdict(plan)}
    name = hashlib.sha256(json.dumps(info, sort_keys=True).encode()).hexdigest()[:16]
    folder = root / name
    if _is_whole(folder):
        return folder
    root.mkdir(parents=True, exist_ok=True)
    with FileLock(root / f".{name}.lock"):
        for draft in root.glob(f".{name}-*"):  # left by a killed process, whose lock was released
            shutil.rmtree(draft, ignore_errors=True)
        if not _is_whole(folder):
            _draw(folder, plan, info, progress)
    return folder


def _is_whole(folder: Path) -> bool:
    """Return True if the annotations are readable and each image has a file. The images are not opened."""
    try:
        for split in SPLITS:
            document = json.loads((folder / "annotations" / f"{split}.json").read_text())
            named = {image["file_name"] for image in document["images"]}
            if not named <= {f"{split}/{entry.name}" for entry in os.scandir(folder / "images" / split)}:
                return False
    except (OSError, ValueError, LookupError, TypeError):
        return False
    return True


def _draw(folder: Path, plan: Plan, info: Mapping[str, Any], progress: bool) -> None:
    """Draw the set in a temporary folder and rename it, so that it appears complete or not at all."""
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        _write(draft, plan, info, progress)
        draft.chmod(0o755)
        shutil.rmtree(folder, ignore_errors=True)  # an existing folder is damaged
        os.rename(draft, folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _write(draft: Path, plan: Plan, info: Mapping[str, Any], progress: bool) -> None:
    for split in SPLITS:
        (draft / "images" / split).mkdir(parents=True)
    entries = write_pictures(plan, draft / "images", progress)
    (draft / "annotations").mkdir()
    categories = [{"id": k + 1, "name": c.name, "supercategory": c.product} for k, c in enumerate(CLASSES)]
    for split in SPLITS:
        own = sorted((e for e in entries if e["split"] == split), key=lambda e: e["file_name"])
        document = {"info": info, **_lists(own, plan), "categories": categories}
        (draft / "annotations" / f"{split}.json").write_text(json.dumps(document))


def _lists(entries: list[Entry], plan: Plan) -> dict[str, list[dict[str, Any]]]:
    """Return COCO's lists of images, annotations and missed annotations of one split."""
    images: list[dict[str, Any]] = []
    given: list[dict[str, Any]] = []
    missed: list[dict[str, Any]] = []
    for number, entry in enumerate(entries, start=1):
        image = {"id": number, "height": plan.image_size[0], "width": plan.image_size[1]}
        kept = ("file_name", "group", "product", "entry")
        images.append(image | {key: entry[key] for key in kept if key in entry})
        found = [{"image_id": number, **defect} for defect in entry["defects"]]
        if entry["split"] == "train":
            found, lost = spoil(found, plan.dials, plan.image_size, plan.seed, entry["i"])
            missed += lost
        given += found
    annotations = [dict(id=k, **annotation) for k, annotation in enumerate(given, start=1)]
    return {"images": images, "annotations": annotations, "missed": missed}
