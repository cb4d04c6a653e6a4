"""Does `data=auto` recognise the exports of labelling programs, and read them as its printed overrides do?"""

import logging
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf

from commands import Train
from exports import (
    BOX,
    CLASSES,
    EVERY,
    STEMS,
    Export,
    coco_by_year,
    coco_file,
    cvat_coco,
    cvat_voc,
    cvat_yolo,
    deeppcb,
    devkit,
    folder_per_image,
    label_of,
    label_studio_coco,
    label_studio_yolo,
    labelme,
    labelme_pair,
    labels_beside_images,
    masks_beside,
    one_folder_beside_a_readme,
    one_split_of_a_public_set,
    pascal_voc,
    picture,
    roboflow_coco,
    roboflow_voc,
    roboflow_yolo,
    tree_without_yaml,
    ultralytics,
    ultralytics_list_files,
    ultralytics_lists_of_folders,
    unlabelled_test,
    val_is_train,
    voc_by_class,
    write,
)
from gffpn.build.index import build_index
from gffpn.config.check import check_data
from gffpn.config.compose import compose_config
from gffpn.config.overrides import CONF
from gffpn.data.index import SPLITS, DataError, DataIndex
from gffpn.data.readers.auto import DEFAULTS, Auto
from tiny_sets import SHARED, memo, write_sets

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
TRAINED = [cvat_coco, cvat_voc, ultralytics, labelme]
"""An export for each reader. The others are read to an equal index and reach training through it."""
LOADED = [
    roboflow_coco,
    roboflow_yolo,
    roboflow_voc,
    cvat_yolo,
    label_studio_coco,
    label_studio_yolo,
    pascal_voc,
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


@pytest.mark.parametrize(
    ("export", "arguments"),
    [
        (masks_beside, "'data.images={train:train/images,val:val/images,test:test/images}'"),
        (folder_per_image, 'data.masks="*/masks"'),
        (deeppcb, "data=deeppcb"),
    ],
)
def test_sets_of_one_class_are_recognised(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, export: Export, arguments: str
) -> None:
    export(tmp_path / "set")
    caplog.set_level(logging.INFO)
    index = auto(tmp_path / "set", unusual_images="convert").index()
    records = [record for found in index.splits.values() for record in found]
    assert [record.boxes.tolist() for record in records] == [[list(BOX)]] * len(EVERY)
    assert arguments in caplog.text
    words = [*printed(caplog), "data.unusual_images=convert"]
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


def test_of_forms_with_different_images_the_larger_is_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    label_studio_coco(tmp_path)
    folder_per_image(tmp_path)
    shutil.rmtree(tmp_path / "stage1_train/e")
    caplog.set_level(logging.INFO)
    assert sum(map(len, auto(tmp_path).index().splits.values())) == len(EVERY)
    assert "not read, because it has fewer images than Label Studio COCO export: a folder of" in caplog.text


def test_images_without_a_mark_belong_to_a_set_whose_annotations_lie_beside_them(tmp_path: Path) -> None:
    for stem in EVERY:
        labelme_pair(tmp_path / f"{'images' if stem == 'a' else 'lot'}/{stem}.png")
    assert sum(map(len, auto(tmp_path).index().splits.values())) == len(EVERY)


def test_a_folder_of_no_form_is_refused_with_what_each_lacks(tmp_path: Path) -> None:
    picture(tmp_path / "set/a.png")
    write(tmp_path / "set/other.txt", "0 0.5 0.5 0.1 0.1")
    with pytest.raises(DataError, match="no form that data=auto recognises, 1 image;") as refusal:
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


@pytest.mark.parametrize(
    ("change", "box"),
    [
        ({"<xmin>11": "<xmin>10.5"}, [10.5, 21, 40, 30]),  # a fraction is an edge
        ({"<xmin>11": "<xmin>0", "<xmax>40": "<xmax>60"}, [0, 21, 60, 30]),  # 0 to the width are edges
        ({"<xmin>11": "<xmin>0"}, None),  # edges, or pixels counted from 0
    ],
)
def test_the_corners_of_voc_are_taken_for_edges_where_that_is_certain(
    tmp_path: Path, change: dict[str, str], box: list[float] | None
) -> None:
    pascal_voc(tmp_path)
    file = tmp_path / "ANNOTATIONS/d.xml"
    for old, new in change.items():
        file.write_text(file.read_text().replace(old, new))
    if box is None:
        with pytest.raises(DataError, match=r"data\.corners=edges"):
            auto(tmp_path).index()
        return
    found = {r.name: r.boxes.tolist() for records in auto(tmp_path).index().splits.values() for r in records}
    assert found["IMAGES/d.png"] == [box]


def test_the_arguments_that_are_null_are_those_of_the_readers() -> None:
    own = OmegaConf.load(CONF / "data" / "auto.yaml")
    for reader, values in DEFAULTS.items():
        data = OmegaConf.load(CONF / "data" / f"{reader}.yaml")
        assert {name: data[name] for name in values} == dict(values)
        shared = [name for name in own if name in data and own[name] is not None and name != "_target_"]
        assert {name: data[name] for name in shared} == {name: own[name] for name in shared}


def toy_words(root: Path, folder: Path) -> list[str]:
    """Return the words of a training on an export, all of them about its scale."""
    words = ["data=auto", f"data.root={root}", "data.fractions=[0.6,0.2,0.2]", "neck=fpn", "augment=none"]
    words += ["image_size=64", "batch_size=3", "trainer.max_epochs=1", "trainer.accelerator=cpu"]
    words += ["loader.workers=0", "logger.wandb=off", "logger.pictures=0", "trainer.fps_seconds=0"]
    return [*words, f"paths.runs={folder}/runs", f"paths.cache={folder}/cache"]


@pytest.mark.slow
@pytest.mark.parametrize("export", TRAINED, ids=lambda export: export.__name__)
def test_an_export_trains_without_an_argument(tmp_path: Path, train: Train, export: Export) -> None:
    export(tmp_path / "set")
    code, text = train(*toy_words(tmp_path / "set", tmp_path))
    assert code == 0, text
    assert "the same as: data=" in text


@pytest.mark.parametrize("export", LOADED, ids=lambda export: export.__name__)
def test_an_export_gives_batches_without_an_argument(tmp_path: Path, export: Export) -> None:
    # imported here, because torch takes seconds and the other fast tests of this file do not need it
    from gffpn.build.detector import build_data

    export(tmp_path / "set")
    config = compose_config(toy_words(tmp_path / "set", tmp_path))
    check_data(config)
    data = build_data(config, build_index(config))
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    assert batch["images"].shape == (3, 3, 64, 64)
    assert [len(target["boxes"]) for target in batch["targets"]] == [1, 1, 1]
    assert {label for target in batch["targets"] for label in target["labels"].tolist()} == {0, 1}
