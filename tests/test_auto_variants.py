"""Does `data=auto` recognise exports whose names, folders or encodings are not the usual ones?"""

import json
import logging
import re
import shutil
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from exports import (
    BOX,
    CLASSES,
    EVERY,
    STEMS,
    VALID,
    Export,
    coco_file,
    cvat_coco,
    cvat_voc,
    deeppcb,
    draw_mask,
    label_of,
    labelme_pair,
    picture,
    roboflow_yolo,
    tree_without_yaml,
    ultralytics,
    ultralytics_list_files,
    val_is_train,
    voc_pair,
    write,
    yolo_pair,
)
from gffpn.data.index import SPLITS, DataError
from gffpn.data.readers.recognise.tree import split_of
from test_auto import auto


def lot(stem: str) -> str:
    return f"lot{EVERY.index(stem) % 2}"


def yaml_in_capitals(root: Path) -> None:
    ultralytics(root)
    (root / "dataset.yml").rename(root / "PLATES.YML")


def paths_of_other_machines(root: Path) -> None:
    ultralytics(root)
    (root / "dataset.yml").unlink()
    paths = "train: /home/me/plates/images/train\nvalid: images/val\ntest: 'C:\\me\\images\\test'\n"
    write(root / "data.yaml", paths + "nc: 2\nnames:\n- dent\n- scratch\n")


def folders_in_capitals(root: Path) -> None:
    tree_without_yaml(root)
    for name in ("images", "labels"):
        (root / name).rename(root / name.upper())
    (root / "classes.txt").rename(root / "Classes.txt")


def labels_in_capitals(root: Path) -> None:
    tree_without_yaml(root)
    for path in list((root / "labels").rglob("*.txt")):
        path.rename(path.with_name(path.name.upper()))


def labels_of_windows(root: Path) -> None:
    tree_without_yaml(root)
    for path in list(root.rglob("*.txt")):
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))


def decomposed_labels(root: Path) -> None:
    for stem in EVERY:
        yolo_pair(root / f"images/{stem}.png", root / f"labels/{stem}.txt")
        for folder, form in {"images": "NFC", "labels": "NFD"}.items():
            (path,) = (root / folder).glob(f"{stem}.*")
            path.rename(path.with_name(unicodedata.normalize(form, f"Größe {path.name}")))
    write(root / "classes.txt", "dent\nscratch\n")


def yolo_lots(root: Path) -> None:
    for stem in EVERY:
        yolo_pair(root / f"images/{lot(stem)}/{stem}.png", root / f"labels/{lot(stem)}/{stem}.txt")
    write(root / "classes.txt", "dent\nscratch\n")


def yolo_classes(root: Path) -> None:
    for stem in EVERY:
        yolo_pair(root / f"images/{CLASSES[label_of(stem)]}/{stem}.png", root / f"labels/{stem}.txt")
    write(root / "classes.txt", "dent\nscratch\n")


def voc_lots(root: Path) -> None:
    for stem in EVERY:
        voc_pair(root / f"images/{lot(stem)}/{stem}.png", root / f"annotations/{lot(stem)}/{stem}.xml")


def labelme_lots(root: Path) -> None:
    for stem in EVERY:
        labelme_pair(root / f"{lot(stem)}/{stem}.png")


def coco_lots(root: Path) -> None:
    for stem in EVERY:
        picture(root / f"images/{lot(stem)}/{stem}.png")
    coco_file(root / "all.json", {stem: f"{lot(stem)}/{stem}.png" for stem in EVERY})


def coco_lots_without_folders(root: Path) -> None:
    coco_lots(root)
    coco_file(root / "all.json", {stem: f"{stem}.png" for stem in sorted(EVERY, key=lot)})


def coco_named(change: Callable[[Path, str], str], name: str = "{}.png") -> Export:
    """Return an export with images called `name` whose COCO file changes their names."""

    def export(root: Path) -> None:
        cvat_coco(root)
        for stem in EVERY:
            (root / f"images/default/{stem}.png").rename(root / "images/default" / name.format(stem))
        changed = {stem: change(root, name.format(stem)) for stem in EVERY}
        coco_file(root / "annotations/instances_default.json", changed)

    return export


NAMES: dict[str, Export] = {
    "capitals": coco_named(lambda _, name: name.upper()),
    "escaped": coco_named(lambda _, name: quote(name), "Größe {}.png"),
    "decomposed": coco_named(lambda _, name: unicodedata.normalize("NFD", name), "Größe {}.png"),
    "absolute": coco_named(lambda root, name: f"{root}/images/default/{name}"),
    "uploaded": coco_named(lambda _, name: f"images/1/{name}"),
    "windows": coco_named(lambda _, name: f"images\\default\\{name}"),
}


def cvat_coco_subsets(root: Path) -> None:
    for split, stems in STEMS.items():
        subset = "Validation" if split == "val" else split.capitalize()
        for stem in stems:
            picture(root / f"images/{subset}/{stem}.png")
        coco_file(root / f"annotations/instances_{subset}.json", {stem: f"{stem}.png" for stem in stems})


def cvat_yolo_subsets(root: Path) -> None:
    for split, stems in STEMS.items():
        subset = "valid" if split == "val" else split
        for stem in stems:
            yolo_pair(root / f"obj_{subset}_data/{stem}.png", root / f"obj_{subset}_data/{stem}.txt")
        write(root / f"{subset}.txt", "".join(f"data/obj_{subset}_data/{stem}.png\n" for stem in stems))
    write(root / "obj.names", "dent\nscratch\n")


def cvat_voc_without_subset(root: Path) -> None:
    cvat_voc(root)
    shutil.rmtree(root / "ImageSets")
    write(root / "ImageSets/Main/default.txt", "".join(f"{stem}\n" for stem in EVERY))


def cvat_ultralytics(root: Path) -> None:
    for stem in EVERY:
        yolo_pair(root / f"images/train/{stem}.png", root / f"labels/train/{stem}.txt")
    write(root / "train.txt", "".join(f"data/images/train/{stem}.png\n" for stem in EVERY))
    write(root / "data.yaml", "names:\n  0: dent\n  1: scratch\npath: .\ntrain: train.txt\n")


def list_of_lists(root: Path) -> None:
    for stem in EVERY:
        yolo_pair(root / f"images/{stem}.png", root / f"labels/{stem}.txt")
    for name, stems in {"one": "ab", "two": "c", "three": "d", "four": "e"}.items():
        write(root / f"{name}.txt", "".join(f"./images/{stem}.png\n" for stem in stems))
    lists = "train: [one.txt, two.txt]\nval: three.txt\ntest: four.txt\n"
    write(root / "data.yaml", lists + "names: [dent, scratch]\n")


def cvat_voc_subfolders(root: Path) -> None:
    for split, stems in STEMS.items():
        for stem in stems:
            files = (f"JPEGImages/lot1/{stem}.png", f"Annotations/lot1/{stem}.xml")
            voc_pair(root / files[0], root / files[1], edges=True)
        name = "Validation" if split == "val" else split.capitalize()
        write(root / f"ImageSets/Main/{name}.txt", "".join(f"lot1/{stem}\n" for stem in stems))
    write(root / "labelmap.txt", "# label:color_rgb:parts:actions\n")


def roboflow_darknet(root: Path) -> None:
    for split, folder in VALID.items():
        for stem in STEMS[split]:
            yolo_pair(root / f"{folder}/{stem}.png", root / f"{folder}/{stem}.txt")
        write(root / f"{folder}/_darknet.labels", "dent\nscratch\n")


def coco_file_per_lot(root: Path) -> None:
    for name in ("lot0", "lot1"):
        stems = [stem for stem in EVERY if lot(stem) == name]
        for stem in stems:
            picture(root / f"{name}/{stem}.png")
        coco_file(root / f"{name}/annotations.json", {stem: f"{stem}.png" for stem in stems})


def lots_with_folders_of_other_names(root: Path) -> None:
    for stem in EVERY:
        voc_pair(root / f"{lot(stem)}/bilder/{stem}.png", root / f"{lot(stem)}/xml/{stem}.xml")


def labels_below_the_images(root: Path) -> None:
    for stem in EVERY:
        yolo_pair(root / f"{lot(stem)}/{stem}.png", root / f"{lot(stem)}/labels/{stem}.txt")
    write(root / "classes.txt", "dent\nscratch\n")


def equal_names_in_lots(root: Path) -> None:
    for stem in EVERY:
        yolo_pair(root / f"{stem}/images/{stem}.png", root / f"{stem}/labels/{stem}.txt")
        for folder, suffix in {"images": "png", "labels": "txt"}.items():
            (root / f"{stem}/{folder}/{stem}.{suffix}").rename(root / f"{stem}/{folder}/1.{suffix}")
    write(root / "classes.txt", "dent\nscratch\n")


def file_names_with_signs(root: Path) -> None:
    for stem, name in zip(EVERY, ("a b", "ü", "中", "=#'", "([,~"), strict=True):
        voc_pair(root / f"images/{stem}.png", root / f"xml/{stem}.xml")
        for folder, suffix in {"images": "png", "xml": "xml"}.items():
            (root / f"{folder}/{stem}.{suffix}").rename(root / f"{folder}/{name} {stem}.{suffix}")


def labelme_in_two_folders(root: Path) -> None:
    for stem in EVERY:
        labelme_pair(root / f"images/{stem}.png")
        (root / "jsons").mkdir(exist_ok=True)
        (root / f"images/{stem}.json").rename(root / f"jsons/{stem}.json")


def roboflow_train_only(root: Path) -> None:
    for stem in EVERY:
        picture(root / f"train/{stem}.png")
    coco_file(root / "train/_annotations.coco.json", {s: f"{s}.png" for s in EVERY}, parent="defects")


VARIANTS: dict[str, Export] = {
    export.__name__: export
    for export in (
        yaml_in_capitals,
        paths_of_other_machines,
        folders_in_capitals,
        labels_in_capitals,
        labels_of_windows,
        decomposed_labels,
        yolo_lots,
        yolo_classes,
        voc_lots,
        labelme_lots,
        coco_lots,
        coco_lots_without_folders,
        cvat_coco_subsets,
        cvat_yolo_subsets,
        cvat_voc_without_subset,
        cvat_ultralytics,
        list_of_lists,
        cvat_voc_subfolders,
        roboflow_darknet,
        coco_file_per_lot,
        lots_with_folders_of_other_names,
        labels_below_the_images,
        file_names_with_signs,
        labelme_in_two_folders,
        roboflow_train_only,
    )
} | NAMES


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_is_read_as_the_usual_form(tmp_path: Path, name: str) -> None:
    VARIANTS[name](tmp_path)
    index = auto(tmp_path).index()
    assert index.classes == CLASSES
    records = {Path(r.name).stem[-1]: r for found in index.splits.values() for r in found}
    assert sorted(records) == EVERY
    for stem, record in records.items():
        assert record.boxes.round(3).tolist() == [list(BOX)]
        assert record.labels.tolist() == [label_of(stem)]


@pytest.mark.parametrize("name", ["val", "VAL", "valid", "validation", "dev"])
@pytest.mark.parametrize(
    "word", ["{}set", "{} Data", "{}_set", "Images{}", "{}-imgs", "DataSet_{}", "{}2017_set", "{}_1"]
)
def test_the_name_of_a_split_may_stand_among_usual_words(word: str, name: str) -> None:
    assert split_of(word.format(name)) == "val"
    for other in ("contest", "retrain", "devkit", "trainer", "value", "settings", "latest", "trial"):
        assert not split_of(word.format(other))


def test_splits_in_folders_of_several_words_are_kept_apart(tmp_path: Path) -> None:
    for split, folder in {"train": "Training Data", "val": "valset", "test": "TestImages 2"}.items():
        for stem in STEMS[split]:
            place = tmp_path / folder
            yolo_pair(place / f"images/{stem}.png", place / f"labels/{stem}.txt")
    write(tmp_path / "classes.txt", "dent\nscratch\n")
    index = auto(tmp_path).index()
    assert {split: [Path(r.name).stem for r in index.splits[split]] for split in SPLITS} == STEMS


def without_test_labels(root: Path, export: Export) -> None:
    export(root)
    shutil.rmtree(root / ("labels/test" if (root / "labels").is_dir() else "test/labels"))


def without_listed_test_labels(root: Path) -> None:
    ultralytics_list_files(root)
    for path in (root / "labels/test").iterdir():
        path.unlink()


def val_is_test(root: Path) -> None:
    roboflow_yolo(root)
    path = root / "data.yaml"
    path.write_text(path.read_text().replace("../test/images", "../valid/images"))
    shutil.rmtree(root / "test")


@pytest.mark.parametrize(
    ("act", "stems", "said"),
    [
        (
            lambda root: without_test_labels(root, ultralytics),
            "abcd",
            "without the images in images/test, which",
        ),
        (
            lambda root: without_test_labels(root, roboflow_yolo),
            "abcd",
            "without the images in test/images, which",
        ),
        (without_listed_test_labels, "abcd", r"without the images in test\.txt, which"),
        (val_is_test, "abcd", r"whose test is its val \(a test split is drawn from train instead\)"),
        (val_is_train, "abcde", r"whose val is its train \(a val split is drawn from train instead\)"),
    ],
)
def test_a_split_that_cannot_be_used_is_drawn_from_train_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, act: Export, stems: str, said: str
) -> None:
    act(tmp_path)
    caplog.set_level(logging.INFO)
    index = auto(tmp_path).index()
    assert sorted(Path(r.name).stem for found in index.splits.values() for r in found) == sorted(stems)
    assert all(index.splits.values())
    assert re.search(said, caplog.text)
    assert re.search(r"drew .*test from train", caplog.text)


def test_equal_names_in_several_lots_are_different_images(tmp_path: Path) -> None:
    equal_names_in_lots(tmp_path)
    names = [r.name for found in auto(tmp_path).index().splits.values() for r in found]
    assert sorted(names) == [f"{stem}/images/1.png" for stem in EVERY]


def test_unreadable_annotations_are_the_only_faults(tmp_path: Path) -> None:
    voc_lots(tmp_path)
    for path in tmp_path.rglob("*.xml"):
        path.write_text('<?xml version="1.0" encoding="foo"?>\n' + path.read_text())
    with pytest.raises(DataError, match=r"5 faults .*\nunreadable .*\n .* unknown encoding 'foo'"):
        auto(tmp_path).index()


def test_several_lists_of_a_split_are_read(tmp_path: Path) -> None:
    list_of_lists(tmp_path)
    stems = {s: [Path(r.name).stem for r in found] for s, found in auto(tmp_path).index().splits.items()}
    assert stems == STEMS


def test_the_images_of_a_long_coco_file_are_looked_for_in_all_its_parts(tmp_path: Path) -> None:
    """Write a lot with more names than the recogniser looks at, and then another lot."""
    coco_lots_without_folders(tmp_path)
    for number in range(40):
        shutil.copy(tmp_path / "images/lot0/a.png", tmp_path / f"images/lot0/copy{number}.png")
    whole = json.loads((tmp_path / "all.json").read_text())
    size = {"height": 40, "width": 60}
    copies = [{"id": 100 + k, "file_name": f"copy{k}.png", **size} for k in range(40)]
    whole["images"] = copies + whole["images"]
    write(tmp_path / "all.json", json.dumps(whole))
    assert sum(map(len, auto(tmp_path).index().splits.values())) == 45


def test_masks_in_folders_of_classes_are_recognised(tmp_path: Path) -> None:
    for stem in EVERY:
        picture(tmp_path / f"images/{stem}.png")
        draw_mask(tmp_path / f"masks/{CLASSES[label_of(stem)]}/{stem.upper()}_mask.png")
    write(tmp_path / "images/z.heic", "")
    index = auto(tmp_path).index()
    assert index.classes == CLASSES
    assert index.mended == {"files left out of images, not known as images (.heic)": 1}
    assert {r.labels.tolist()[0] for found in index.splits.values() for r in found} == {0, 1}


def test_splits_may_share_a_folder_of_masks(tmp_path: Path) -> None:
    for split, stems in STEMS.items():
        for stem in stems:
            picture(tmp_path / f"images/{split}/{stem}.png")
            draw_mask(tmp_path / f"masks/{split}/{stem}.png")
            (tmp_path / f"masks/{split}/{stem}.png").rename(tmp_path / f"masks/{stem}.png")
            shutil.rmtree(tmp_path / f"masks/{split}")
    assert {split: len(found) for split, found in auto(tmp_path).index().splits.items()} == {
        "train": 3,
        "val": 1,
        "test": 1,
    }
    draw_mask(tmp_path / "masks/z.png")
    with pytest.raises(DataError, match=r"1 fault in .*\n.*\n  masks/z\.png: no image of that name"):
        auto(tmp_path).index()


def test_an_image_of_deeppcb_without_boxes_may_be_background(tmp_path: Path) -> None:
    deeppcb(tmp_path)
    (tmp_path / "PCBData/group00000/00000_not/00000000.txt").unlink()
    with pytest.raises(DataError, match=r"data\.unlabelled=background"):
        auto(tmp_path, unusual_images="convert").index()
    index = auto(tmp_path, unusual_images="convert", unlabelled="background").index()
    assert index.mended["images without annotation taken as background"] == 1


def own_json_of_label_studio(root: Path) -> None:
    picture(root / "images/a.png")
    write(
        root / "project-1.json", '[{"id": 1, "annotations": [], "data": {"image": "/data/upload/1/a.png"}}]'
    )


def two_files_of_the_same_images(root: Path) -> None:
    cvat_coco(root)
    (root / "older").mkdir()
    shutil.copy(root / "annotations/instances_default.json", root / "older")


def names_from_1(root: Path) -> None:
    ultralytics(root)
    write(root / "dataset.yml", "train: images/train\nval: images/val\nnames: {1: dent, 2: scratch}\n")


def only_an_archive(root: Path) -> None:
    with zipfile.ZipFile(root / "my set.zip", "w") as file:
        file.writestr("x", "y")


def only_unknown_images(root: Path) -> None:
    tree_without_yaml(root)
    for path in list(root.rglob("*.png")):
        path.rename(path.with_suffix(".heic"))


def masks_beside_their_images(root: Path) -> None:
    for stem in EVERY:
        picture(root / f"train/{stem}.png")
        draw_mask(root / f"train/{stem}_GT.png")


def other_form(name: str, text: str) -> Export:
    """Return what writes an image and the annotations of a program that no reader knows."""

    def act(root: Path) -> None:
        picture(root / "images/a.png")
        write(root / name, text)

    return act


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (
            other_form("via_region_data.json", '{"a.png123": {"filename": "a.png", "regions": []}}'),
            r"via_region_data\.json cannot be read, export as COCO, .* it holds a\.png123",
        ),
        (
            other_form("ann/a.png.json", '{"size": {}, "objects": []}'),
            r"ann/a\.png\.json cannot be read, .* it holds size, objects",
        ),
        (
            other_form("results.json", '[{"image_id": 1, "score": 0.5, "bbox": [1, 1, 5, 5]}]'),
            r"results\.json cannot be read, .*: holds a file of results",
        ),
        (
            other_form("all.json", '{"images": [{"id": 1, "file_name": "a.p'),  # an aborted download
            r"all\.json cannot be read, .*: Unterminated string",
        ),
        (other_form("_annotations.csv", "filename,class,xmin\n"), r"annotations in \.csv files are not read"),
        (
            only_an_archive,
            r"my set\.zip: an archive, .* unzip -q '/.*/my set\.zip' -d '/.*/my set', and give",
        ),
        (only_unknown_images, r"0 images; it holds files: 6 of \.txt, 5 of \.heic\n(.*\n)*Give the folder"),
        (own_json_of_label_studio, r"project-1\.json is Label Studio's own JSON: export as COCO"),
        (two_files_of_the_same_images, r"COCO files of the same images: .*; expected one"),
        (masks_beside_their_images, r"5 images .* data=masks data\.images=\. data\.masks=\. .*_suffix=_GT"),
        (names_from_1, r"dataset\.yml: .* it has the keys 1, 2, but not 0"),
        (lambda _: None, r"0 images; it holds no file\nGive the folder"),
        (
            coco_named(lambda _, name: f"8f2c-{name}"),
            r"not here; the nearest is images/default/a\.png: export",
        ),
        (coco_named(lambda _, name: name.replace("png", "jpg")), r"the nearest is images/default/a\.png"),
    ],
)
def test_what_is_not_recognised_is_refused_with_its_cure(tmp_path: Path, act: Export, message: str) -> None:
    act(tmp_path)
    with pytest.raises(DataError, match=message):
        auto(tmp_path).index()


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
def test_a_coco_file_is_recognised_in_its_encoding(tmp_path: Path, encoding: str) -> None:
    cvat_coco(tmp_path)
    expected = auto(tmp_path).index().fingerprint
    path = tmp_path / "annotations/instances_default.json"
    path.write_bytes(path.read_text().encode(encoding))
    assert auto(tmp_path).index().fingerprint == expected


def test_a_file_without_images_is_refused(tmp_path: Path) -> None:
    cvat_coco(tmp_path)
    path = tmp_path / "annotations/instances_default.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "images": []}))
    with pytest.raises(DataError, match=r"instances_default\.json lists no image: export it again"):
        auto(tmp_path).index()


def test_an_empty_box_beside_a_segmentation_is_none(tmp_path: Path) -> None:
    cvat_coco(tmp_path)
    path = tmp_path / "annotations/instances_default.json"
    whole = json.loads(path.read_text())
    for item in whole["annotations"]:
        item.update(bbox=[0, 0, 0, 0], segmentation=[[1, 2, 9, 2, 9, 12]])
    path.write_text(json.dumps(whole))
    with pytest.raises(DataError, match=r"5 faults .*\nshape other than an upright box .*enclose"):
        auto(tmp_path).index()
    index = auto(tmp_path, shapes="enclose").index()
    assert {tuple(r.boxes[0]) for found in index.splits.values() for r in found} == {(1, 2, 9, 12)}
