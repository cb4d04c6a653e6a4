"""Outputs of a prediction. Some write a file per image, others one file of all images at the end."""

import csv
import errno
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence, Set
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gffpn.deploy.drawing import picture
from gffpn.deploy.journal import Result
from gffpn.files.writing import whole_file, write_atomically

UNFIT_NAME = (errno.ENAMETOOLONG, errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.EINVAL, errno.EILSEQ)
"""Error numbers of names that are too long, contain a wrong character, or are a folder's or a file's."""
CROP_MARGIN = 0.25
"""Surroundings of a crop at each side, as a share of the object's longer side."""


LARGEST_JPEG = 65_500
"""Pixels of the longest side that the format allows."""


class Pictures:
    """`pictures/STEM.jpg`: the image with its detections."""

    def __init__(self, folder: Path, classes: Sequence[str]) -> None:
        self._folder, self._classes = folder / "pictures", classes

    def write(self, pixels: NDArray[np.uint8], result: Result) -> None:
        drawn = picture(pixels, result, self._classes)
        if max(drawn.size) > LARGEST_JPEG:
            drawn.thumbnail((LARGEST_JPEG, LARGEST_JPEG))
        with whole_file(self._folder / f"{result.stem}.jpg") as draft:
            drawn.save(draft, "JPEG", quality=90, subsampling=0)  # thin coloured lines need every pixel


class Crops:
    """`crops/CLASS/STEM_NUMBER.png`: each detection with some surroundings."""

    def __init__(self, folder: Path, classes: Sequence[str]) -> None:
        self._folder = folder / "crops"
        self._names = [folder_name(position, name) for position, name in enumerate(classes)]

    def write(self, pixels: NDArray[np.uint8], result: Result) -> None:
        for number, (box, label) in enumerate(zip(result.boxes, result.labels, strict=True), start=1):
            margin = CROP_MARGIN * max(box[2] - box[0], box[3] - box[1])
            low = [max(0, int(side - margin)) for side in box[:2]]
            right, bottom = (int(np.ceil(side + margin)) for side in box[2:])
            crop = Image.fromarray(pixels[low[1] : bottom, low[0] : right])
            with whole_file(self._folder / self._names[label] / f"{result.stem}_{number:03}.png") as draft:
                crop.save(draft, "PNG")


class YoloLabels:
    """`labels/STEM.txt`: lines of "class cx cy w h score", as shares of the image; else empty."""

    def __init__(self, folder: Path, classes: Sequence[str]) -> None:
        self._folder = folder / "labels"

    def write(self, pixels: NDArray[np.uint8], result: Result) -> None:
        lines = []
        for (x1, y1, x2, y2), score, label in zip(result.boxes, result.scores, result.labels, strict=True):
            centre = ((x1 + x2) / 2 / result.width, (y1 + y2) / 2 / result.height)
            sides = ((x2 - x1) / result.width, (y2 - y1) / result.height)
            lines.append(f"{label} {' '.join(f'{share:.7f}' for share in (*centre, *sides))} {score:.4f}\n")
        write_atomically(self._folder / f"{result.stem}.txt", "".join(lines))


class CocoFile:
    """`detections.coco.json`: images, categories, and detections as annotations with a score.

    Images and categories are numbered from 1; a box is [x, y, width, height].
    """

    FILE = "detections.coco.json"

    def __init__(self, folder: Path, classes: Sequence[str]) -> None:
        self._path, self._classes = folder / self.FILE, classes

    def write_all(self, results: Iterable[Result]) -> None:
        categories = [{"id": number, "name": name} for number, name in enumerate(self._classes, start=1)]
        images: list[str] = []
        with whole_file(self._path) as draft, draft.open("w", encoding="utf-8") as file:
            file.write(f'{{"categories": {json.dumps(categories)},\n"annotations": [')
            count = 0
            for image, result in enumerate(results, start=1):
                size = {"height": result.height, "width": result.width}
                images.append(json.dumps({"id": image, "file_name": result.name, **size}))
                for row in _coco_rows(result, image, count):
                    count += 1
                    file.write(f"{',' if count > 1 else ''}\n{json.dumps(row)}")
            file.write('],\n"images": [\n' + ",\n".join(images) + "]}\n")


def _coco_rows(result: Result, image: int, before: int) -> Iterable[dict[str, object]]:
    rows = zip(result.boxes, result.scores, result.labels, strict=True)
    for number, ((x1, y1, x2, y2), score, label) in enumerate(rows, start=before + 1):
        yield {
            "id": number,
            "image_id": image,
            "category_id": label + 1,
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "area": (x2 - x1) * (y2 - y1),
            "iscrowd": 0,
            "score": score,
        }


class CsvFile:
    """`detections.csv`: a row per detection."""

    FILE = "detections.csv"

    def __init__(self, folder: Path, classes: Sequence[str]) -> None:
        self._path, self._classes = folder / self.FILE, classes

    def write_all(self, results: Iterable[Result]) -> None:
        with whole_file(self._path) as draft, draft.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["image", "class", "score", "x1", "y1", "x2", "y2"])
            for result in results:
                for box, score, label in zip(result.boxes, result.scores, result.labels, strict=True):
                    corners = [f"{side:.2f}" for side in box]
                    writer.writerow([result.name, self._classes[label], f"{score:.4f}", *corners])


PER_IMAGE: dict[str, type[Pictures] | type[YoloLabels] | type[Crops]] = {
    "pictures": Pictures,
    "yolo": YoloLabels,
    "crops": Crops,
}
"""Writers of the files of one RGB image (H, W, 3); several threads call their `write`."""
AT_END: dict[str, type[CocoFile] | type[CsvFile]] = {"coco": CocoFile, "csv": CsvFile}
"""Writers of one file for all images; their `write_all` reads the results once, one after another."""
OUTPUTS = (*PER_IMAGE, *AT_END)
NAMES = ("pictures", "labels", "crops", *(kind.FILE for kind in AT_END.values()))
"""Folders and files of the outputs."""


def folder_name(position: int, name: str) -> str:
    """Return a class's name as the name of a folder on every system; numbered if that changes it."""
    safe = re.sub(r'[\x00-\x1f<>:"/\\|?*]', "_", name).strip(" .")
    return safe if safe == name else f"{position}_{safe}"


def earlier_output(folder: Path, *others: Path) -> Path | None:
    """Return one of the others, a file of an output's name, or a folder with content, if there is one."""
    found = (*others, *(folder / name for name in NAMES))
    return next((one for one in found if one.is_file() or (one.is_dir() and any(one.iterdir()))), None)


def remove_outputs(folder: Path, stems: Set[str]) -> None:
    """Remove what an earlier prediction wrote of images: nothing else, because the folder may be a user's."""
    crops = crops_by_stem(folder)
    for stem in stems:
        for path in (folder / "pictures" / f"{stem}.jpg", folder / "labels" / f"{stem}.txt", *crops[stem]):
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                if error.errno not in UNFIT_NAME:  # else it was never written
                    raise


def crops_by_stem(folder: Path) -> defaultdict[str, list[Path]]:
    """Return the crops of each image that an earlier prediction wrote."""
    crops, found = folder / "crops", defaultdict[str, list[Path]](list)
    for path in crops.rglob("*.png"):
        name = re.fullmatch(r"[^/]+/(.+)_\d{3,}\.png", path.relative_to(crops).as_posix())
        if name:
            found[name[1]].append(path)
    return found
