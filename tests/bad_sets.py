"""Small valid data sets, and all the faults that `tests/bad_data.py` introduces into them."""

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SIDE = 64
CLASSES = ("dark", "bright")
STEMS = {"train": ["a", "b", "c", "d"], "val": ["e", "f", "g"], "test": ["h", "i"]}
BOX = (8, 16, 40, 48)


def write_good_set(root: Path) -> None:
    """Write nine images with one square each, their boxes in YOLO, VOC and COCO form, and split lists."""
    for folder in ("images", "labels", "xml", "splits"):
        (root / folder).mkdir(parents=True)
    noise = np.random.default_rng(0)
    for split, stems in STEMS.items():
        (root / "splits" / f"{split}.txt").write_text("\n".join(stems) + "\n")
        for stem in stems:
            pixels = noise.normal(128, 20, (SIDE, SIDE, 3))
            label = STEMS[split].index(stem) % 2
            pixels[16:48, 8:40] = (30, 220)[label]
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(root / "images" / f"{stem}.png")
            (root / "labels" / f"{stem}.txt").write_text(f"{label} 0.375 0.5 0.5 0.5\n")
            (root / "xml" / f"{stem}.xml").write_text(xml(CLASSES[label]))
    (root / "data.yaml").write_text("names: [dark, bright]\n")
    (root / "all.json").write_text(json.dumps(coco_content()))


def xml(name: str, box: tuple[Any, ...] = BOX) -> str:
    """Return the text of a VOC file with one box."""
    corners = zip(("xmin", "ymin", "xmax", "ymax"), (box[0] + 1, box[1] + 1, *box[2:]), strict=True)
    inside = "".join(f"<{key}>{value}</{key}>" for key, value in corners)
    size = f"<size><width>{SIDE}</width><height>{SIDE}</height></size>"
    return f"<annotation>{size}<object><name>{name}</name><bndbox>{inside}</bndbox></object></annotation>"


def coco_content() -> dict[str, Any]:
    """Return the content of a COCO file: images 0 to 8, each with the annotation of the same number."""
    stems = [(stem, k % 2) for part in STEMS.values() for k, stem in enumerate(part)]
    size = {"height": SIDE, "width": SIDE}
    x1, y1, x2, y2 = BOX
    box = {"bbox": [x1, y1, x2 - x1, y2 - y1]}
    return {
        "images": [{"id": k, "file_name": f"{stem}.png", **size} for k, (stem, _) in enumerate(stems)],
        "annotations": [
            {"id": k, "image_id": k, "category_id": c + 1, **box} for k, (_, c) in enumerate(stems)
        ],
        "categories": [{"id": k + 1, "name": name} for k, name in enumerate(CLASSES)],
    }


Spoil = Callable[[Path], object]


def turn_annotation(content: dict[str, Any], rotation: float) -> None:
    """Give the second annotation a rotation."""
    content["annotations"][1]["attributes"] = {"rotation": rotation}


@dataclass(frozen=True)
class Case:
    """One kind of bad data; a fault of a single image is in image b, which belongs to train."""

    name: str
    form: str
    spoil: Spoil
    kind: str
    """Text from `gffpn.data.readers.faults.Kind` that the message contains."""
    pattern: str
    """A regular expression that the message matches: the file and the finding."""
    overrides: tuple[str, ...] = ()
    skippable: bool = True


def write(name: str, content: str | bytes) -> Spoil:
    """Return a function that replaces one file."""
    return lambda root: (root / name).write_bytes(content.encode() if isinstance(content, str) else content)


def coco_change(change: Callable[[dict[str, Any]], object]) -> Spoil:
    """Return a function that changes the content of the COCO file."""

    def spoil(root: Path) -> None:
        content = coco_content()
        change(content)
        (root / "all.json").write_text(json.dumps(content))

    return spoil


def save_b(make: Callable[[Image.Image], Image.Image], suffix: str = "png", **options: Any) -> Spoil:
    """Return a function that replaces image b by the result of `make`, in the given file format."""

    def spoil(root: Path) -> None:
        path = root / "images" / "b.png"
        with Image.open(path) as image:
            made = make(image.copy())
        path.unlink()
        made.save(path.with_suffix(f".{suffix}"), **options)

    return spoil


def truncated(suffix: str) -> Spoil:
    """Return a function that cuts the file of image b in half; the header stays intact."""

    def spoil(root: Path) -> None:
        save_b(lambda image: image, suffix)(root)
        path = root / "images" / f"b.{suffix}"
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    return spoil


def deep(image: Image.Image) -> Image.Image:
    """Return the image as a 12-bit camera writes it: grey values up to 4095 of 65535."""
    return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 16)


def turned() -> Image.Exif:
    """Return EXIF data that requests a rotation by 90 degrees."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def all_labels_as_json(root: Path) -> None:
    """Rename all YOLO label files to .json, as if the folder held LabelMe's files."""
    for path in (root / "labels").iterdir():
        path.rename(path.with_suffix(".json"))


def no_box_in_val(root: Path) -> None:
    """Empty the label files of all val images."""
    for stem in STEMS["val"]:
        (root / "labels" / f"{stem}.txt").write_text("")


TXT, XML, PNG = "labels/b.txt", "xml/b.xml", "images/b.png"
CASES = [
    # the whole set
    Case("no such root", "yolo", shutil.rmtree, "no such folder", r"data\.root=", skippable=False),
    Case(
        "missing folder",
        "yolo",
        lambda root: shutil.rmtree(root / "labels"),
        "missing folder or file",
        "labels: no such folder",
        skippable=False,
    ),
    Case(
        "missing JSON file",
        "coco",
        lambda root: (root / "all.json").unlink(),
        "missing folder or file",
        "all.json: no such file",
        skippable=False,
    ),
    Case(
        "empty split",
        "yolo",
        write("splits/val.txt", "\n"),
        "empty split",
        r"val: no image \(train 4, val 0, test 2\)",
        skippable=False,
    ),
    Case(
        "val without boxes", "yolo", no_box_in_val, "empty split", "val: images, but no box", skippable=False
    ),
    Case(
        "malformed JSON",
        "coco",
        write("all.json", '{"images": [{'),
        "unreadable file",
        "all.json: not readable as JSON",
        skippable=False,
    ),
    Case(
        "results instead of ground truth",
        "coco",
        write("all.json", '[{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.9}]'),
        "data set of another form",
        "all.json: holds a file of results",
        skippable=False,
    ),
    Case(
        "COCO boxes as fractions",
        "coco",
        coco_change(lambda c: [a.update(bbox=[0.1, 0.1, 0.5, 0.5]) for a in c["annotations"]]),
        "data set of another form",
        "all.json: every bbox ends at 1 or below",
        skippable=False,
    ),
    Case(
        "labels folder for another reader",
        "yolo",
        all_labels_as_json,
        "data set of another form",
        r"labels: no \.txt file, but 9 of \.json",
        skippable=False,
    ),
    Case(
        "class names missing",
        "yolo",
        lambda root: (root / "data.yaml").unlink(),
        "class names that cannot be used",
        "data.yaml",
        skippable=False,
    ),
    Case(
        "two categories with the same name",
        "coco",
        coco_change(lambda c: c["categories"][1].update(name="dark")),
        "class names that cannot be used",
        "each class once",
        skippable=False,
    ),
    Case(
        "masks exported as crowd",
        "coco",
        coco_change(lambda c: [a.update(iscrowd=1) for a in c["annotations"] if a["category_id"] == 1]),
        "many crowd annotations",
        "dark: all 5 annotations have iscrowd = 1",
        skippable=False,
    ),
    Case(
        "VOC boxes that begin in column 0",
        "voc",
        write(XML, xml("dark").replace("<xmin>9", "<xmin>0")),
        "corners that are not counted from 1",
        "boxes with an xmin or ymin of 0: 1, the first in xml/b.xml",
        skippable=False,
    ),
    # one image
    Case("not an image", "yolo", write(PNG, "text"), "unreadable image", "b.png: .*no known image format"),
    Case("empty image file", "yolo", write(PNG, ""), "unreadable image", "b.png"),
    Case("truncated PNG", "yolo", truncated("png"), "unreadable image", "b.png: .*truncated"),
    Case("truncated JPEG", "voc", truncated("jpg"), "unreadable image", "b.jpg: .*truncated"),
    Case("16-bit image", "yolo", save_b(deep), "16-bit image", "b.png: grey values .* of 65535"),
    Case("palette image", "yolo", save_b(lambda i: i.quantize(16)), "palette image", "b.png: mode P"),
    Case("CMYK image", "voc", save_b(lambda i: i.convert("CMYK"), "jpg"), "CMYK image", "b.jpg: mode CMYK"),
    Case(
        "EXIF-rotated image",
        "yolo",
        save_b(lambda i: i, "jpg", exif=turned()),
        "EXIF-rotated image",
        "b.jpg: EXIF orientation 6",
    ),
    Case(
        "transparent image",
        "yolo",
        save_b(lambda i: Image.merge("RGBA", (*i.split(), i.getchannel("R")))),
        "transparent image",
        "b.png: mode RGBA",
    ),
    Case(
        "image of several frames",
        "voc",
        save_b(lambda i: i, "tif", save_all=True, append_images=[Image.new("RGB", (SIDE, SIDE))]),
        "image of several frames",
        "b.tif: 2 frames",
    ),
    Case(
        "image in Lab",
        "voc",
        save_b(lambda _: Image.new("LAB", (SIDE, SIDE)), "tif"),
        "neither grey",
        "b.tif",
    ),
    # one annotation
    Case("malformed XML", "voc", write(XML, "<annotation><object>"), "unreadable annotation", "xml/b.xml"),
    Case("malformed txt", "yolo", write(TXT, "0 0.5 0.5"), "unreadable annotation", "labels/b.txt: line 1"),
    Case("text that is not UTF-8", "yolo", write(TXT, b"\xff\xfe0"), "unreadable annotation", "labels/b.txt"),
    Case(
        "polygon labels",
        "yolo",
        write(TXT, "0 0.1 0.1 0.5 0.1 0.5 0.5"),
        "shape other than an upright box",
        "labels/b.txt, line 1: a polygon of 3 points",
    ),
    Case(
        "labels in pixels",
        "yolo",
        write(TXT, "0 24 32 32 32"),
        "annotation in another format",
        "labels/b.txt: .* looks like pixels",
    ),
    Case("VOC in a YOLO set", "yolo", write(TXT, xml("dark")), "another format", "b.txt: looks like XML"),
    Case(
        "YOLO in a VOC set", "voc", write(XML, "0 0.5 0.5 0.5 0.5"), "another format", "b.xml: .* YOLO labels"
    ),
    Case("missing annotation", "voc", lambda r: (r / XML).unlink(), "missing annotation", "images/b.png"),
    Case(
        "annotated size differs",
        "voc",
        write(XML, xml("dark").replace("<height>64", "<height>65")),
        "annotated size differs",
        r"xml/b.xml: .*\(65, 64\), the image has \(64, 64\)",
    ),
    # one box
    Case(
        "box outside the image", "voc", write(XML, xml("dark", (8, 16, 90, 48))), "box outside", "b.xml: dark"
    ),
    Case(
        "box without width", "voc", write(XML, xml("dark", (8, 16, 8, 48))), "box without area", "b.xml: dark"
    ),
    Case(
        "box with negative size",
        "coco",
        coco_change(lambda c: c["annotations"][1].update(bbox=[40, 16, -32, 32])),
        "box without area",
        "all.json: b.png",
    ),
    Case("NaN", "yolo", write(TXT, "0 0.5 nan 0.5 0.5"), "box that is not finite", "labels/b.txt"),
    Case(
        "box as text",
        "coco",
        coco_change(lambda c: c["annotations"][1].update(bbox=["8", "16", "32", "32"])),
        "unreadable annotation",
        r"all.json: annotation 1: bbox is \['8'",
    ),
    *(
        Case(
            f"rotation of {name}",
            "coco",
            coco_change(partial(turn_annotation, rotation=rotation)),
            "unreadable annotation",
            "all.json: annotation 1: rotation is",
        )
        for name, rotation in (("infinity", math.inf), ("400 digits", 10**400))
    ),
    Case("unknown class number", "yolo", write(TXT, "7 0.5 0.5 0.5 0.5"), "unknown class", "line 1: class 7"),
    Case(
        "class missing from data.classes",
        "voc",
        write(XML, xml("rust")),
        "unknown class",
        r"xml/b.xml: rust .* expected one of \['dark', 'bright'\]",
        overrides=("data.classes=[dark,bright]",),
    ),
    Case(
        "unknown category",
        "coco",
        coco_change(lambda c: c["annotations"][1].update(category_id=9)),
        "unknown class",
        "all.json: annotation 1: no category has the id 9",
    ),
    Case(
        "segmentation without bbox",
        "coco",
        coco_change(lambda c: c["annotations"][1].update(bbox=[], segmentation=[[8, 8, 40, 8, 40, 40]])),
        "shape other than an upright box",
        "all.json: annotation 1: a segmentation without bbox",
    ),
    # ids, names and splits
    Case(
        "duplicate ids",
        "coco",
        coco_change(lambda c: c["annotations"][1].update(id=0)),
        "duplicate",
        r"all.json: annotations\[1\] has the id 0 of another",
    ),
    Case(
        "two images with the same stem",
        "yolo",
        lambda root: shutil.copy(root / PNG, root / "images" / "b.bmp"),
        "duplicate",
        "images/b.bmp and images/b.png would share one annotation",
    ),
    Case(
        "listed image is missing",
        "coco",
        lambda root: (root / PNG).unlink(),
        "missing image",
        "all.json: b.png: images/b.png: no such file",
    ),
    Case(
        "image that is only in a list",
        "yolo",
        write("splits/train.txt", "a\nb\nc\nd\nz\n"),
        "missing image",
        "train.txt, line 5: z: the set has no such image",
    ),
    Case(
        "one image in two splits",
        "yolo",
        write("splits/train.txt", "a\nb\nc\nd\ne\n"),
        "image in two splits",
        "images/e.png: in train and in val",
    ),
    Case(
        "file name that leaves the root",
        "coco",
        coco_change(lambda c: c["images"][1].update(file_name="../../b.png")),
        "path that leaves the root",
        r"\.\./\.\./b.png",
    ),
]
