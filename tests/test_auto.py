"""Does `data=auto` recognise the exports of labelling programs, and read them as its printed overrides do?"""

import json
import logging
import re
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from commands import Train
from gffpn.build.index import build_index
from gffpn.config.check import check_data
from gffpn.config.compose import compose_config
from gffpn.data.index import SPLITS, DataError, DataIndex
from gffpn.data.readers.auto import DEFAULTS, Auto
from tiny_sets import SHARED, memo, write_sets, xml

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


Export = Callable[[Path], None]
# export, reader, what is said about it, whether the export has the splits
EXPORTS: list[tuple[Export, str, str, bool]] = [
    (ultralytics, "yolo", "Ultralytics set with the paths of dataset.yml", True),
    (ultralytics_lists_of_folders, "yolo", "Ultralytics set with the paths of data.yaml", False),
    (ultralytics_list_files, "yolo", "Ultralytics set with the paths of data.yaml", True),
    (tree_without_yaml, "yolo", "YOLO labels", True),
    (roboflow_coco, "coco", "Roboflow COCO export", True),
    (roboflow_yolo, "yolo", "Roboflow YOLO export", True),
    (roboflow_voc, "voc", "Roboflow VOC export", True),
    (cvat_coco, "coco", "CVAT COCO export", False),
    (cvat_yolo, "yolo", "CVAT (or Darknet) YOLO export", False),
    (cvat_voc, "voc", "CVAT (or Datumaro) VOC export", True),
    (label_studio_coco, "coco", "Label Studio COCO export", False),
    (label_studio_yolo, "yolo", "Label Studio YOLO export", False),
    (labelme, "labelme", "LabelMe's files", False),
    (pascal_voc, "voc", "Pascal VOC", False),
    (voc_by_class, "voc", "Pascal VOC", False),
    (coco_by_year, "coco", "COCO", True),
    (one_folder_beside_a_readme, "yolo", "Ultralytics set with the paths of dataset.yml", True),
    (devkit, "voc", "Pascal VOC", True),
    (labels_beside_images, "yolo", "YOLO labels", False),
    (val_is_train, "yolo", "Ultralytics set with the paths of plates.yaml", False),
    (one_split_of_a_public_set, "coco", "COCO", False),
    (unlabelled_test, "voc", "Pascal VOC, without the images in test/images", False),
]
ALL = pytest.mark.parametrize(
    ("export", "reader", "saw", "has_splits"), EXPORTS, ids=[export.__name__ for export, *_ in EXPORTS]
)
FRACTIONS = [0.6, 0.2, 0.2]


def auto(root: Path, **changes: Any) -> Auto:
    null = dict.fromkeys(("crowd", "corners", "unlabelled", "splits")) | {"shapes": "refuse"}
    given = {**SHARED, **null, "fractions": FRACTIONS, **changes}
    return Auto(memo(root), (64, 64), root=str(root), **given)


def printed(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the overrides that were printed, as a shell would pass them on."""
    (line,) = re.findall("the same as: (.*)", caplog.text)
    return shlex.split(line)


def explicit(words: list[str], cache: Path) -> DataIndex:
    config = compose_config([*words, f"data.fractions={FRACTIONS}", f"paths.cache={cache}", "image_size=64"])
    check_data(config)
    return build_index(config)


@ALL
def test_an_export_is_recognised_and_read_as_the_printed_overrides_do(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    export: Export,
    reader: str,
    saw: str,
    has_splits: bool,
) -> None:
    root = tmp_path / "ein Satz (1), neu"
    export(root)
    caplog.set_level(logging.INFO)
    index = auto(root).index()
    words = printed(caplog)
    assert words[0] == f"data={reader}"
    assert f": {saw}" in caplog.text
    assert index.classes == CLASSES
    records = {Path(r.name).stem: r for records in index.splits.values() for r in records}
    assert sorted(records) == EVERY[: len(records)]
    for stem, record in records.items():
        np.testing.assert_allclose(record.boxes, [BOX], atol=1e-4)
        assert record.labels.tolist() == [label_of(stem)]
    if has_splits:
        stems = {split: [Path(r.name).stem for r in index.splits[split]] for split in SPLITS}
        assert stems == STEMS
    assert explicit(words, tmp_path / "cache").fingerprint == index.fingerprint


def test_a_folder_of_several_forms_is_refused_with_the_overrides_of_each(tmp_path: Path) -> None:
    root = write_sets(tmp_path / "set")
    with pytest.raises(DataError, match="has 3 forms; choose one of them") as refusal:
        auto(root).index()
    ways = [line.split(": ", 1)[1] for line in str(refusal.value).splitlines()[1:]]
    assert [way.split()[0] for way in ways] == ["data=coco", "data=voc", "data=yolo"]
    coco_index, voc_index, yolo_index = (explicit(shlex.split(way), tmp_path / "cache") for way in ways)
    assert coco_index.fingerprint == voc_index.fingerprint
    assert yolo_index.classes == CLASSES


def test_a_folder_of_no_form_is_refused_with_what_each_lacks(tmp_path: Path) -> None:
    picture(tmp_path / "set/a.png")
    write(tmp_path / "set/other.txt", "0 0.5 0.5 0.1 0.1")
    with pytest.raises(DataError, match="no form that data=auto recognises, 1 images") as refusal:
        auto(tmp_path / "set").index()
    assert "data=yolo: 1 .txt files, none named like an image" in str(refusal.value)
    assert "data=coco: no JSON file with images, annotations and categories" in str(refusal.value)
    coco_file(tmp_path / "export/result.json", {"a": "images/a.png"})
    with pytest.raises(DataError, match=r"'images/a.png', which is not here: export the images, too"):
        auto(tmp_path / "export").index()


def test_a_class_above_the_others_is_left_out_also_if_it_has_the_name_of_one(tmp_path: Path) -> None:
    roboflow_coco(tmp_path, parent="dent")
    index = auto(tmp_path).index()
    assert (index.classes, len(index.splits["train"][0].labels)) == (CLASSES, 1)


def test_given_arguments_are_stronger_than_the_form(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cvat_voc(tmp_path / "set")
    (tmp_path / "set/Annotations/a.xml").unlink()
    caplog.set_level(logging.INFO)
    index = auto(tmp_path / "set", corners="pixels_from_0", unlabelled="background").index()
    words = printed(caplog)
    assert {"data.corners=pixels_from_0", "data.unlabelled=background"} <= set(words)
    assert index.splits["val"][0].boxes.tolist() == [[10, 20, 41, 31]]
    assert explicit(words, tmp_path / "cache").fingerprint == index.fingerprint


def test_the_arguments_that_are_null_are_those_of_the_readers() -> None:
    for reader, values in DEFAULTS.items():
        data = compose_config([f"data={reader}"]).data
        assert {name: data[name] for name in values} == dict(values)
        shared = set(data) & set(compose_config(["data=auto"]).data) - {"_target_"}
        auto_data = compose_config(["data=auto"]).data
        assert {n: auto_data[n] for n in shared if auto_data[n] is not None} == {
            n: data[n] for n in shared if auto_data[n] is not None
        }


@pytest.mark.slow
@pytest.mark.parametrize("export", [export for export, *_ in EXPORTS], ids=lambda export: export.__name__)
def test_an_export_trains_without_an_argument(tmp_path: Path, train: Train, export: Export) -> None:
    export(tmp_path / "set")
    words = ["neck=fpn", "augment=none", "image_size=64", "batch_size=3", "trainer.max_epochs=1"]
    words += ["trainer.accelerator=cpu", "loader.workers=0", "logger.wandb=off", "logger.pictures=0"]
    words += ["trainer.fps_seconds=0", f"paths.runs={tmp_path}/runs", f"paths.cache={tmp_path}/cache"]
    code, text = train("data=auto", f"data.root={tmp_path}/set", "data.fractions=[0.6,0.2,0.2]", *words)
    assert code == 0, text
    assert "the same as: data=" in text
