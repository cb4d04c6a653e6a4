"""Five images with one box each, as labelling programs export them."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from tiny_sets import xml

Export = Callable[[Path], None]
HEIGHT, WIDTH = 40, 60
BOX = (10, 20, 40, 30)
"""Box of every image, xyxy."""
CLASSES = ("dent", "scratch")
STEMS = {"train": ["a", "b", "c"], "val": ["d"], "test": ["e"]}
EVERY = [stem for stems in STEMS.values() for stem in stems]
VALID = {"train": "train", "val": "valid", "test": "test"}
YOLO_LINE = f"{(10 + 40) / 2 / WIDTH} {(20 + 30) / 2 / HEIGHT} {30 / WIDTH} {10 / HEIGHT}"


def label_of(stem: str) -> int:
    return EVERY.index(stem) % 2


def picture(path: Path) -> None:
    """Write an image whose content depends on its stem."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(EVERY.index(path.stem)).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    Image.fromarray(pixels).save(path)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def yolo_pair(image: Path, label: Path) -> None:
    picture(image)
    write(label, f"{label_of(image.stem)} {YOLO_LINE}\n")


def voc_pair(image: Path, label: Path, *, edges: bool = False) -> None:
    picture(image)
    # the helper counts from 1, so that edges are one less
    text = xml((HEIGHT, WIDTH), [(CLASSES[label_of(image.stem)], *BOX)])
    write(label, text.replace("<xmin>11", "<xmin>10").replace("<ymin>21", "<ymin>20") if edges else text)


def labelme_pair(image: Path) -> None:
    picture(image)
    shape = {
        "label": CLASSES[label_of(image.stem)],
        "shape_type": "rectangle",
        "points": [[40, 30], [10, 20]],
    }
    content = {"version": "5.4.1", "flags": {}, "shapes": [shape], "imagePath": image.name}
    write(image.with_suffix(".json"), json.dumps({**content, "imageHeight": HEIGHT, "imageWidth": WIDTH}))


def coco_file(path: Path, names: Mapping[str, str], *, parent: str | None = None) -> None:
    """Write a COCO file of the images `names` (stem -> file name); `parent` is the class above the others."""
    size = {"height": HEIGHT, "width": WIDTH}
    x1, y1, x2, y2 = BOX
    upper = [{"id": 0, "name": parent, "supercategory": "none"}] if parent else []
    content = {
        "images": [{"id": k, "file_name": name, **size} for k, name in enumerate(names.values())],
        "annotations": [
            {"id": k, "image_id": k, "category_id": 1 + label_of(stem), "bbox": [x1, y1, x2 - x1, y2 - y1]}
            for k, stem in enumerate(names)
        ],
        "categories": upper
        + [{"id": 1 + k, "name": n, "supercategory": parent or ""} for k, n in enumerate(CLASSES)],
    }
    write(path, json.dumps(content))


# one function per export, which writes it to a folder


def ultralytics(root: Path) -> None:
    for split, stems in STEMS.items():
        for stem in stems:
            yolo_pair(root / f"images/{split}/{stem}.png", root / f"labels/{split}/{stem}.txt")
    write(
        root / "dataset.yml",
        "path: ../datasets/plates\ntrain: images/train\nval: images/val\ntest: images/test\n"
        "names: {0: dent, 1: scratch}\n",
    )


def ultralytics_lists_of_folders(root: Path) -> None:
    for number, stem in enumerate(EVERY):
        lot = "val" if stem == "d" else f"lot{number % 2}"
        yolo_pair(root / f"plates/images/{lot}/{stem}.png", root / f"plates/labels/{lot}/{stem}.txt")
    write(
        root / "data.yaml",
        "path: plates\ntrain: [images/lot0, images/lot1]\nval: images/val\ntest:\nnames: [dent, scratch]\n",
    )


def ultralytics_list_files(root: Path) -> None:
    for split, stems in STEMS.items():
        for stem in stems:
            yolo_pair(root / f"images/{split}/{stem}.png", root / f"labels/{split}/{stem}.txt")
        write(root / f"{VALID[split]}.txt", "".join(f"./images/{split}/{stem}.png\n" for stem in stems))
    write(
        root / "data.yaml",
        "path: .\ntrain: train.txt\nval: valid.txt\ntest: test.txt\nnames: [dent, scratch]",
    )


def tree_without_yaml(root: Path) -> None:
    ultralytics(root)
    (root / "dataset.yml").unlink()
    write(root / "classes.txt", "dent\nscratch\n")


def roboflow_coco(root: Path, parent: str = "defects") -> None:
    for split, folder in VALID.items():
        for stem in STEMS[split]:
            picture(root / folder / f"{stem}.png")
        names = {stem: f"{stem}.png" for stem in STEMS[split]}
        coco_file(root / folder / "_annotations.coco.json", names, parent=parent)
    write(root / "README.dataset.txt", "# plates\n")


def roboflow_yolo(root: Path) -> None:
    for split, folder in VALID.items():
        for stem in STEMS[split]:
            yolo_pair(root / f"{folder}/images/{stem}.png", root / f"{folder}/labels/{stem}.txt")
    write(
        root / "data.yaml",
        "train: ../train/images\nval: ../valid/images\ntest: ../test/images\n\nnames: ['dent', 'scratch']\n"
        "\nroboflow:\n  workspace: x\n",
    )


def roboflow_voc(root: Path) -> None:
    for split, folder in VALID.items():
        for stem in STEMS[split]:
            voc_pair(root / f"{folder}/{stem}.png", root / f"{folder}/{stem}.xml")
    write(root / "README.roboflow.txt", "plates\n")


def cvat_coco(root: Path) -> None:
    for stem in EVERY:
        picture(root / f"images/default/{stem}.png")
    coco_file(root / "annotations/instances_default.json", {stem: f"{stem}.png" for stem in EVERY})


def cvat_yolo(root: Path) -> None:
    for stem in EVERY:
        yolo_pair(root / f"obj_train_data/{stem}.png", root / f"obj_train_data/{stem}.txt")
    write(root / "train.txt", "".join(f"data/obj_train_data/{stem}.png\n" for stem in EVERY))
    write(root / "obj.names", "dent\nscratch\n")
    write(
        root / "obj.data", "classes = 2\ntrain = data/train.txt\nnames = data/obj.names\nbackup = backup/\n"
    )


def cvat_voc(root: Path) -> None:
    for split, stems in STEMS.items():
        for stem in stems:
            voc_pair(root / f"JPEGImages/{stem}.png", root / f"Annotations/{stem}.xml", edges=True)
        write(root / f"ImageSets/Main/{split}.txt", "".join(f"{stem}\n" for stem in stems))
    write(root / "labelmap.txt", "# label:color_rgb:parts:actions\nbackground:0,0,0::\ndent:1,2,3::\n")


def label_studio_coco(root: Path) -> None:
    for stem in EVERY:
        picture(root / f"images/{stem}.png")
    coco_file(root / "result.json", {stem: f"images/1/{stem}.png" for stem in EVERY})


def label_studio_yolo(root: Path) -> None:
    for stem in EVERY:
        yolo_pair(root / f"images/{stem}.png", root / f"labels/{stem}.txt")
    write(root / "classes.txt", "dent\nscratch\n")
    write(root / "notes.json", '{"categories": [{"id": 0, "name": "dent"}], "info": {}}')


def labelme(root: Path) -> None:
    for stem in EVERY:
        labelme_pair(root / f"{stem}.png")


def pascal_voc(root: Path) -> None:
    for stem in EVERY:
        voc_pair(root / f"IMAGES/{stem}.png", root / f"ANNOTATIONS/{stem}.xml")


def voc_by_class(root: Path) -> None:
    for split, folder in {"train": "train", "val": "validation"}.items():
        for stem in STEMS[split]:
            image = root / f"set/{folder}/images/{CLASSES[label_of(stem)]}/{stem}.png"
            voc_pair(image, root / f"set/{folder}/annotations/{stem}.xml")


def coco_by_year(root: Path) -> None:
    for split, stems in STEMS.items():
        for stem in stems:
            picture(root / f"{split}2017/{stem}.png")
        names = {stem: f"{stem}.png" for stem in stems}
        coco_file(root / f"annotations/instances_{split}2017.json", names)
        write(root / f"annotations/captions_{split}2017.json", '{"images": [], "annotations": []}')


def one_folder_beside_a_readme(root: Path) -> None:
    ultralytics(root / "plates")
    write(root / "README.md", "# Plates")


def devkit(root: Path) -> None:
    folder = root / "VOCdevkit/VOC2007"
    for split, stems in STEMS.items():
        for stem in stems:
            voc_pair(folder / f"JPEGImages/{stem}.png", folder / f"Annotations/{stem}.xml")
        write(folder / f"ImageSets/Main/{split}.txt", "".join(f"{stem}\n" for stem in stems))
        write(folder / f"ImageSets/Main/dent_{split}.txt", "".join(f"{stem} -1\n" for stem in stems))
    picture(folder / "SegmentationClass/a.png")


def labels_beside_images(root: Path) -> None:
    for number, stem in enumerate(EVERY):
        yolo_pair(root / f"lot{number % 2}/{stem}.png", root / f"lot{number % 2}/{stem}.txt")
    write(root / "classes.txt", "dent\nscratch\n")


def val_is_train(root: Path) -> None:
    for stem in EVERY:
        yolo_pair(root / f"images/train2017/{stem}.png", root / f"labels/train2017/{stem}.txt")
    write(
        root / "plates.yaml",
        "path: ../plates\ntrain: images/train2017\nval: images/train2017\nnames: [dent, scratch]\n",
    )


def one_split_of_a_public_set(root: Path) -> None:
    for stem in EVERY:
        picture(root / f"val2017/{stem}.png")
    coco_file(root / "annotations/instances_val2017.json", {stem: f"{stem}.png" for stem in EVERY})


def unlabelled_test(root: Path) -> None:
    for split, stems in STEMS.items():
        for stem in stems:
            voc_pair(root / f"{split}/images/{stem}.png", root / f"{split}/annotations/{stem}.xml")
    for path in (root / "test/annotations").iterdir():
        path.unlink()


def draw_mask(path: Path) -> None:
    """Write a mask with the box of every image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    x1, y1, x2, y2 = BOX
    mask[y1:y2, x1:x2] = 255
    Image.fromarray(mask).save(path)


def masks_beside(root: Path) -> None:
    for split, stems in STEMS.items():
        for stem in stems:
            picture(root / f"{split}/images/{stem}.png")
            draw_mask(root / f"{split}/masks/{stem}_mask.png")


def folder_per_image(root: Path) -> None:
    for stem in EVERY:
        picture(root / f"stage1_train/{stem}/images/{stem}.png")
        draw_mask(root / f"stage1_train/{stem}/masks/1.png")


def deeppcb(root: Path) -> None:
    for number, stem in enumerate(EVERY):
        folder = root / f"PCBData/group{number:05}"
        picture(folder / f"{number:05}/{stem}.png")
        path = folder / f"{number:05}/{number:05}000_test.jpg"
        (folder / f"{number:05}/{stem}.png").rename(path)
        write(folder / f"{number:05}_not/{number:05}000.txt", "10 20 40 30 1\n")
