"""Is each fault of a data set refused with its kind and its file, and dropped under `on_error=skip`?"""

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gffpn.data.index import DataError
from gffpn.data.readers.images import read_image
from tiny_sets import CLASSES, coco, coco_content, voc, write_sets, xml, yolo

GOOD = [("dent", 5, 5, 25, 45)]
B_XML = xml((50, 50), GOOD)
BOMB = '<!DOCTYPE a [<!ENTITY b "boom"><!ENTITY c "&b;&b;&b;">]>' + B_XML


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_sets(tmp_path / "set")


def b_xml(text: str) -> Callable[[Path], object]:
    return lambda root: (root / "xml" / "b.xml").write_text(text)


def b_txt(text: str) -> Callable[[Path], object]:
    return lambda root: (root / "labels" / "b.txt").write_text(text)


def val_list(text: str) -> Callable[[Path], object]:
    return lambda root: (root / "splits" / "val.txt").write_text(text)


def content(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def write(root: Path) -> None:
        whole = coco_content()
        change(whole)
        (root / "all.json").write_text(json.dumps(whole))

    return write


def b_image(**values: Any) -> Callable[[Path], None]:
    return content(lambda whole: whole["images"][1].update(values))


def b_box(**values: Any) -> Callable[[Path], None]:
    return content(lambda whole: whole["annotations"][2].update(values))


FRACTIONS = (
    xml((50, 50), GOOD)
    .replace("<xmin>6", "<xmin>0.1")
    .replace("<ymin>6", "<ymin>0.2")
    .replace("<xmax>25", "<xmax>0.5")
    .replace("<ymax>45", "<ymax>1")
)
FORGIVABLE = [
    # reader, change to image b, kind of the fault, pattern of the rest of the message
    (
        voc,
        b_xml(xml((50, 50), [("dent", 5, 5, 52, 45)])),
        "box outside its image",
        r"xml/b.xml: dent \(5, 5, 52",
    ),
    (voc, b_xml(xml((50, 50), [("dent", -2, 5, 25, 45)])), "box outside its image", "0 <= x <= 50"),
    (voc, b_xml(xml((50, 50), [("dent", 5, 5, 5, 45)])), "box without area", "xml/b.xml"),
    (voc, b_xml(xml((50, 50), [("dent", 25, 5, 5, 45)])), "box without area", "x1 < x2"),
    (voc, b_xml(B_XML.replace("<xmin>6", "<xmin>nan")), "box that is not finite", "xml/b.xml"),
    (voc, b_xml(B_XML.replace("<xmin>6", "<xmin>six")), "unreadable annotation", "'six', expected a number"),
    (voc, b_xml(B_XML.replace("bndbox", "box")), "unreadable annotation", "<object> without bndbox/xmin"),
    (voc, b_xml(B_XML[:-9]), "unreadable annotation", "xml/b.xml"),
    (voc, b_xml(" "), "unreadable annotation", "xml/b.xml: is empty"),
    (
        voc,
        b_xml(B_XML.replace(">50</width>", ">50.5</width>")),
        "unreadable annotation",
        "50.5, expected a whole",
    ),
    (voc, b_xml(FRACTIONS), "annotation in another format", "xml/b.xml: every box ends at 1 or below, like"),
    (voc, b_xml("<html/>"), "unreadable annotation", "begins with <html>, expected <annotation>"),
    (voc, b_xml(BOMB), "unreadable annotation", "has a DOCTYPE"),
    (
        voc,
        lambda root: (root / "xml/b.xml").write_bytes(B_XML.replace("dent", "dënt").encode("latin-1")),
        "unreadable annotation",
        "xml/b.xml: not readable as utf-8: .*declare its encoding",
    ),
    (voc, b_xml('<?xml version="1.0" encoding="klingon"?>' + B_XML), "unreadable annotation", "'klingon'"),
    (voc, b_xml(xml((50, 51), GOOD)), "annotated size differs", r"\(50, 51\), the image has \(50, 50\)"),
    (voc, lambda root: (root / "xml/b.xml").unlink(), "missing annotation", "images/b.png"),
    (voc, lambda root: (root / "images/b.png").write_text("x"), "unreadable image", "images/b.png"),
    (voc, lambda root: (root / "images/b.png").unlink(), "missing image", "val.txt, line 1: b"),
    (voc, val_list("b\n../b\n"), "path that leaves the root", "val.txt, line 2"),
    (voc, val_list("b\n/etc/b\n"), "path that leaves the root", "line 2: /etc/b"),
    (voc, val_list("b\nC:\\b.png\n"), "path that leaves the root", "line 2"),
    (voc, val_list("b\nb.png\n"), "duplicate", "images/b.png: twice in val"),
    (voc, val_list("b\nc\n"), "image in two splits", "images/c.png: in val and in test"),
    (
        voc,
        lambda root: shutil.copy(root / "images/b.png", root / "images/b.jpg"),
        "duplicate",
        "images/b.jpg and images/b.png would share one annotation",
    ),
    (yolo, b_txt("2 0.5 0.5 0.1 0.1"), "unknown class", "line 1: class 2, expected 0 to 1"),
    (yolo, b_txt("0 0.5 0.5 0.1 nan"), "box that is not finite", "labels/b.txt"),
    (yolo, b_txt("0 0.5 0.5 0.1 -0.1"), "box without area", "labels/b.txt"),
    (
        yolo,
        b_txt("0 25 25 10 10"),
        "annotation in another format",
        "line 1: .* looks like pixels",
    ),
    (yolo, b_txt("0 0.1 0.1 0.2 0.1 0.2 0.2"), "shape other than an upright box", "a polygon of 3 points"),
    (yolo, b_txt("0 9 9 20 9 20 20 9 20"), "annotation in another format", "looks like pixels"),
    (yolo, b_txt("0 0.5 0.5 0.1 0.1 0.9"), "annotation in another format", "drop the sixth number"),
    (yolo, b_txt("0,0.5,0.5,0.1,0.1"), "annotation in another format", "numbers with commas"),
    (yolo, b_txt("dent 0.5 0.5 0.1 0.1"), "annotation in another format", "a class by its name"),
    (yolo, b_txt('{"shapes": []}'), "annotation in another format", "looks like JSON"),
    (yolo, b_txt("0.5 0.5 0.5 0.1 0.1"), "unreadable annotation", "expected 'class cx cy w h'"),
    (yolo, b_txt("1e400 0.5 0.5 0.1 0.1"), "unreadable annotation", "expected 'class cx cy w h'"),
    (yolo, b_txt("0 0.5 0.5 inf 0.1"), "box that is not finite", "labels/b.txt"),
    (yolo, lambda root: (root / "labels/b.txt").unlink(), "missing annotation", "images/b.png"),
    (coco, b_image(file_name="../images/b.png"), "path that leaves the root", "all.json"),
    (coco, b_image(file_name="/etc/b.png"), "path that leaves the root", "/etc/b.png"),
    (coco, lambda root: (root / "images/b.png").unlink(), "missing image", "images/b.png: no such file"),
    (coco, b_image(file_name="a.png", height=40, width=60), "duplicate", "a.png has the ids 10 and 11"),
    (coco, b_image(id=10), "duplicate", r"images\[1\] has the id 10 of another"),
    (coco, b_image(height=51), "annotated size differs", "all.json: b.png"),
    (
        coco,
        b_image(width="50"),
        "unreadable annotation",
        "width is '50', expected a whole number",
    ),
    (
        coco,
        b_image(group=[1]),
        "unreadable annotation",
        r"group is \[1\], expected a whole number or a string",
    ),
    (coco, b_image(group=True), "unreadable annotation", "all.json: b.png: group is True, expected a whole"),
    (coco, b_image(id=11.5), "unreadable annotation", "id is 11.5, expected a whole number or a string"),
    (coco, b_image(id=True), "unreadable annotation", "id is True, expected a whole number or a string"),
    (coco, b_image(width=-50), "unreadable annotation", "width is -50, expected a whole number"),
    (coco, b_image(width=50.5), "unreadable annotation", "width is 50.5, expected a whole number"),
    (coco, b_image(file_name="images/b.bmp"), "missing image", "no such file; the nearest is images/b.png"),
    (coco, b_image(file_name="d" * 5000 + "/b.bmp"), "missing image", "ddd/b.bmp: no such file"),
    (coco, b_image(file_name="\0\n/b.png"), "path that leaves the root", r"\\x00\\n/b.png"),
    (coco, b_image(file_name="\ud800/b.png"), "path that leaves the root", r"\\ud800/b.png"),
    (coco, b_box(id=100), "duplicate", r"annotations\[2\] has the id 100 of another"),
    (coco, b_box(image_id=77), "missing image", "no image has the id 77"),
    (coco, b_box(category_id=77), "unknown class", "no category has the id 77"),
    (coco, b_box(ignore="no"), "unreadable annotation", "annotation 102: ignore is 'no', expected 0 or 1"),
    (coco, b_box(bbox=[], segmentation=[]), "unreadable annotation", r"annotation 102: bbox is \[\]"),
    (coco, b_box(iscrowd="0"), "unreadable annotation", "annotation 102: iscrowd is '0', expected 0 or 1"),
    (coco, b_box(bbox=[1, 2, 3]), "unreadable annotation", r"annotation 102: bbox is \[1, 2, 3\], expected"),
    (coco, b_box(bbox=[1, 2, 10**400, 3]), "unreadable annotation", "annotation 102"),
    (coco, b_box(bbox=[1, 2, float("inf"), 3]), "box that is not finite", "all.json: b.png"),
    (coco, b_box(bbox=[1, 2, 3, 0]), "box without area", "all.json: b.png"),
    (coco, b_box(bbox=[1, 2, 300, 3]), "box outside its image", "all.json: b.png"),
]


@pytest.mark.parametrize(("reader", "spoil", "kind", "what"), FORGIVABLE)
def test_a_fault_is_refused_with_its_kind_or_dropped(
    root: Path,
    caplog: pytest.LogCaptureFixture,
    reader: Callable[..., Any],
    spoil: Callable[[Path], object],
    kind: str,
    what: str,
) -> None:
    # a fourth image, so that the validation split is not empty when b is dropped
    Image.new("RGB", (50, 50)).save(root / "images" / "spare.png")
    (root / "xml" / "spare.xml").write_text(xml((50, 50), GOOD))
    (root / "labels" / "spare.txt").write_text("0 0.5 0.5 0.5 0.5")
    spoil(root)
    if reader is coco:
        whole = json.loads((root / "all.json").read_text())
        whole["images"].append({"id": 99, "file_name": "spare.png", "height": 50, "width": 50})
        box = {"id": 999, "image_id": 99, "category_id": 3, "bbox": [5, 5, 20, 40]}
        whole["annotations"].append(box)
        (root / "all.json").write_text(json.dumps(whole))
    with (root / "splits" / "val.txt").open("a") as file:
        file.write("spare\n")
    with pytest.raises(DataError, match=kind) as refusal:
        reader(root).index()
    assert refusal.match(what)
    # some are decided by an argument of their own, without dropping good parts
    own = {"missing annotation": "data.unlabelled=background", "shape other": "data.shapes=enclose"}
    argument = next((argument for start, argument in own.items() if kind.startswith(start)), None)
    assert (argument or "data.on_error=skip") in str(refusal.value)
    assert (argument is None) == ("data.on_error" in str(refusal.value))
    caplog.set_level(logging.WARNING)
    index = reader(root, on_error="skip").index()
    assert "images/spare.png" in {record.name for record in index.splits["val"]}
    assert f"dropped, {kind}" in caplog.text


@pytest.mark.parametrize("corners", [None, "edges", "pixels_from_0", "pixels_from_1"])
def test_fractions_in_voc_are_refused_whatever_the_corners_are(root: Path, corners: str | None) -> None:
    (root / "xml" / "b.xml").write_text(FRACTIONS)
    with pytest.raises(DataError, match=r"xml/b\.xml: every box ends at 1 .* export it in pixels") as refused:
        voc(root, corners=corners).index()
    assert "corners" not in str(refused.value)


@pytest.mark.parametrize(("corners", "box"), [("edges", [0, 0, 1, 1]), ("pixels_from_0", [0, 0, 2, 2])])
def test_the_first_pixels_of_an_image_are_no_fractions(root: Path, corners: str, box: list[float]) -> None:
    text = xml((50, 50), [("dent", -1, -1, 1, 1)])
    (root / "xml" / "b.xml").write_text(text)
    assert voc(root, corners=corners, outside="clip").index().splits["val"][0].boxes.tolist() == [box]


def broken(name: str, text: str) -> Callable[[Path], object]:
    return lambda root: (root / name).write_text(text)


def broken_bytes(name: str, raw: bytes) -> Callable[[Path], object]:
    return lambda root: (root / name).write_bytes(raw)


def splits_in_a_file(root: Path) -> None:
    shutil.rmtree(root / "splits")
    (root / "splits").write_text("{}")


FATAL = [
    (
        voc,
        lambda root: shutil.rmtree(root / "xml"),
        "xml: no such folder; .* holds the folders images, labels",
    ),
    (coco, lambda root: shutil.rmtree(root / "images"), "images: no such folder"),
    (coco, lambda root: (root / "all.json").unlink(), "all.json: no such file"),
    (coco, broken("all.json", "{"), "unreadable file"),
    (coco, broken("all.json", "[" * 100_000), "unreadable file"),
    (coco, broken("all.json", '{"images": []}'), "no list 'annotations'"),
    (coco, broken_bytes("all.json", '{"images": "划"}'.encode("gbk")), "utf-8: .*: save it as UTF-8"),
    (yolo, broken_bytes("data.yaml", "names: [dënt]".encode("latin-1")), "utf-8: .*: save it as UTF-8"),
    (coco, broken("all.json", "[]"), "all.json: holds a list, expected the ground truth"),
    (coco, broken("all.json", "3"), "all.json: holds 3, expected"),
    (coco, broken("all.json", B_XML), r"all.json: looks like XML \(Pascal VOC: data=voc\)"),
    (coco, broken("all.json", '{"version": 1, "shapes": []}'), "it holds version, shapes .LabelMe"),
    (coco, content(lambda whole: whole["categories"][0].update(name="dent")), "expected each class once"),
    (
        coco,
        content(lambda whole: [box.update(iscrowd=1) for box in whole["annotations"]]),
        "many crowd annotations",
    ),
    (yolo, lambda root: (root / "data.yaml").unlink(), "holds no data.yaml"),
    (yolo, broken("data.yaml", "names: 3"), "expected a list `names`"),
    (yolo, broken("data.yaml", "names: []"), "expected a list `names`"),
    (yolo, broken("data.yaml", "names: [dent, [scratch]]"), "expected a list `names`"),
    (yolo, broken("data.yaml", "names: {1: dent, 2: scratch}"), "expected a list `names`"),
    (yolo, broken("data.yaml", "names: !!python/object/apply:os.getcwd []"), "expected a list `names`"),
    (voc, lambda root: shutil.rmtree(root / "splits"), "train.txt: no such list"),
    (voc, splits_in_a_file, "splits: data.splits is a file, expected a folder with train.txt"),
    (voc, val_list('["b"]'), "val.txt: looks like JSON, expected a text file of one image per line"),
    (voc, val_list("\n"), r"empty split.*\n.*val: no image \(train 1, val 0, test 1\)"),
]


@pytest.mark.parametrize("on_error", ["raise", "skip"])
@pytest.mark.parametrize(("reader", "spoil", "what"), FATAL)
def test_an_unreadable_set_is_always_refused(
    root: Path, reader: Callable[..., Any], spoil: Callable[[Path], object], what: str, on_error: str
) -> None:
    spoil(root)
    with pytest.raises(DataError, match=what):
        reader(root, on_error=on_error).index()


def test_one_message_lists_all_faults_and_shortens_long_lists(root: Path) -> None:
    (root / "xml" / "b.xml").write_text(xml((50, 50), [("dent", 5, 5, 99 + n, 45) for n in range(30)]))
    (root / "xml" / "a.xml").unlink()
    with pytest.raises(DataError) as refusal:
        voc(root).index()
    text = str(refusal.value)
    assert "31 faults" in text  # without the splits that the missing annotation and the faulty boxes emptied
    assert "missing annotation (1):" in text
    assert "box outside its image (30):" in text
    assert "... and 20 more; python -m gffpn data check lists all" in text
    assert len(text.splitlines()) < 20


def test_an_image_takes_no_label_of_another_split(root: Path) -> None:
    for folder in ("images", "labels"):
        (root / folder / "val").mkdir()
    first, second, *_ = sorted(path.stem for path in (root / "images").glob("*.png"))
    shutil.copy(root / "images" / f"{second}.png", root / "images" / "val" / f"{first}.png")
    (root / "labels" / f"{first}.txt").rename(root / "labels" / "val" / f"{first}.txt")
    places = {
        "images": {"train": "images", "val": "images/val"},
        "labels": {"train": "labels", "val": "labels/val"},
    }
    with pytest.raises(DataError, match=rf"images/{first}\.png") as refused:
        yolo(root, splits=None, **places).index()
    assert "images/val" not in str(refused.value)


def test_images_in_no_split_list_are_counted(root: Path) -> None:
    for folder, suffix in (("images", "png"), ("labels", "txt")):
        shutil.copy(root / folder / f"a.{suffix}", root / folder / f"unlisted.{suffix}")
    assert yolo(root).index().mended == {"images left out, because no split list names them": 1}


def test_an_annotation_without_an_image_is_a_fault_unless_the_lists_omit_it(root: Path) -> None:
    (root / "xml" / "z.xml").write_text(B_XML)
    assert len(voc(root).index().splits["train"]) == 1
    with pytest.raises(DataError, match=r"xml/z\.xml: no image of that name"):
        voc(root, splits=None).index()


def test_too_few_images_for_three_splits_are_refused(root: Path) -> None:
    with pytest.raises(DataError, match="empty split"):
        voc(root, splits=None, fractions=[0.98, 0.01, 0.01]).index()


def test_categories_must_agree_across_files(root: Path) -> None:
    for split, stem in {"train": "a", "val": "b", "test": "c"}.items():
        (root / f"{split}.json").write_text(json.dumps(coco_content(stem)))
    files = {"train": "train.json", "val": "val.json", "test": "test.json"}
    other = coco_content("c")
    other["categories"][0]["name"] = "hole"
    (root / "test.json").write_text(json.dumps(other))
    with pytest.raises(
        DataError, match=r"test\.json: category 7 is 'hole' here, 'scratch' elsewhere: give"
    ) as no:
        coco(root, annotations=files, splits=None).index()
    assert "data.classes" not in str(no.value)  # which would not cure it


@pytest.mark.parametrize("ids", [{3: 7, 7: 3}, {3: 1, 7: 2}, {3: 20, 7: 10}, {3: 7, 7: 8}, {3: "a", 7: "b"}])
@pytest.mark.parametrize("moved", ["train", "test"])
def test_categories_of_other_ids_are_matched_by_name(
    root: Path, ids: dict[int, int | str], moved: str
) -> None:
    stems = {"train": "ab", "val": "b", "test": "c"}
    shutil.copy(root / "images/b.png", root / "images/d.png")
    for split, stem in stems.items():
        whole = coco_content(stem)
        if split == moved:
            for entry, key in [(c, "id") for c in whole["categories"]] + [
                (box, "category_id") for box in whole["annotations"]
            ]:
                entry[key] = ids[entry[key]]
        if split == "val":
            whole["images"][0]["file_name"] = "d.png"
        (root / f"{split}.json").write_text(json.dumps(whole))
    index = coco(root, annotations={split: f"{split}.json" for split in stems}, splits=None).index()
    assert sorted(index.classes) == sorted(CLASSES)
    named = {r.name[-5]: [index.classes[k] for k in r.labels] for part in index.splits.values() for r in part}
    assert named == {"a": ["scratch", "dent"], "b": ["dent"], "c": ["scratch"], "d": ["dent"]}
    assert any("matched by name" in what for what in index.mended)


def test_the_categories_of_a_file_may_be_a_part_or_left_to_the_others(root: Path) -> None:
    for split, stem in {"train": "a", "val": "b", "test": "c"}.items():
        whole = coco_content(stem)
        whole["categories"] = {"train": whole["categories"], "val": whole["categories"][1:], "test": []}[
            split
        ]
        (root / f"{split}.json").write_text(json.dumps(whole))
    files = {"train": "train.json", "val": "val.json", "test": "test.json"}
    index = coco(root, annotations=files, splits=None).index()
    assert (index.classes, index.mended) == (CLASSES, {})
    assert [index.splits[split][0].labels.tolist() for split in files] == [[1, 0], [0], [1]]


def test_two_categories_of_a_name_are_one_class_if_the_classes_are_given(root: Path) -> None:
    whole = coco_content()
    whole["categories"].append({"id": 9, "name": "dent"})
    whole["annotations"][2]["category_id"] = 9
    (root / "all.json").write_text(json.dumps(whole))
    with pytest.raises(
        DataError, match=r"3 and 9 are both 'dent', expected each class once: .*data\.classes"
    ):
        coco(root).index()
    assert coco(root, classes=["dent", "scratch"]).index().splits["val"][0].labels.tolist() == [0]


def test_an_unset_or_missing_root_is_refused_with_a_hint(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"data.root is not set: give the folder that holds images and xml, e\.g\."
    ):
        voc(None).index()
    (tmp_path / "here").mkdir()
    with pytest.raises(DataError, match=r"there: no such folder; .* holds the folders here"):
        voc(tmp_path / "there").index()
    with pytest.raises(DataError, match=r"leads out of data\.root"):
        voc(tmp_path, images="../images").index()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"on_error": "ignore"}, r"got 'ignore', expected one of \['raise', 'skip'\]"),
        ({"corners": "centre"}, "got 'centre', expected one of"),
        ({"fractions": [0.8, 0.2]}, "expected three positive numbers"),
        ({"fractions": [0.8, 0.1, 0.2]}, "that sum to 1"),
        ({"classes": ["x", "x"]}, "expected different names"),
        ({"classes": ["x", False]}, r"got \['x', False\], expected names: put yes, no"),
        ({"group_pattern": "("}, "expected a regular expression"),
        ({"group_pattern": "a.*"}, "expected a group in round brackets"),
        ({"images": {"val": "x"}}, r"got the splits \['val'\], expected train"),
        ({"images": {"train": "x", "test": "y"}}, "splits: got 'splits', expected null"),
    ],
)
def test_wrong_arguments_are_refused_at_construction(changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        voc("anywhere", **changes)


def test_yolo_refuses_an_unknown_value_of_unlabelled(root: Path) -> None:
    with pytest.raises(ValueError, match="got 'maybe', expected one of"):
        yolo(root, unlabelled="maybe")


def test_a_folder_of_files_for_another_reader_is_one_fault(root: Path) -> None:
    for reader, changes, message in [
        (voc, {"annotations": "labels"}, r"labels: no \.xml file, but 3 of \.txt: looks like data=yolo"),
        (yolo, {"labels": "xml"}, r"xml: no \.txt file, but 3 of \.xml: looks like data=voc"),
        (yolo, {"labels": "xml", "unlabelled": "background"}, "looks like data=voc"),
    ]:
        with pytest.raises(DataError, match=message) as refusal:
            reader(root, **changes).index()
        assert "1 fault in" in str(refusal.value)


UNUSUAL = {
    "16-bit image": lambda path: Image.new("I;16", (50, 50), 257 * 40).save(path),
    "palette image": lambda path: Image.new("RGB", (50, 50), (40, 40, 40)).quantize(2).save(path),
    "transparent image": lambda path: Image.new("LA", (50, 50), (40, 9)).save(path),
}


@pytest.mark.parametrize("kind", UNUSUAL)
def test_an_unusual_image_is_refused_or_converted(root: Path, kind: str) -> None:
    UNUSUAL[kind](root / "images" / "b.png")
    with pytest.raises(DataError, match=f"{kind} .*data.unusual_images=convert") as refusal:
        voc(root).index()
    assert refusal.match("images/b.png: ")
    index = voc(root, unusual_images="convert").index()
    assert index.mended == {f"{kind} converted": 1}
    assert read_image(index.splits["val"][0].path)[0, 0].tolist() == [40, 40, 40]


@pytest.mark.parametrize(("mode", "colour"), [("L", 9), ("RGBA", (1, 2, 3, 255)), ("LA", (1, 255)), ("1", 1)])
def test_usual_images_are_not_reported(root: Path, mode: str, colour: Any) -> None:
    Image.new(mode, (50, 50), colour).save(root / "images" / "b.png")
    assert voc(root).index().mended == {}


def test_unusual_but_valid_sets_are_read(root: Path) -> None:
    """Read a set with Unicode, spaces and an upper-case suffix in its file names.

    It also has a byte order mark, CRLF, boxes on the border and a symbolic link as its root.
    """
    (root / "images" / "b.png").rename(root / "images" / "büh né 1.PNG")
    (root / "labels" / "b.txt").unlink()
    lines = "0 0.5 0.5 1 1", "", "1.0 0.95 0.95 0.1 0.1", ""
    (root / "labels" / "büh né 1.txt").write_bytes("\ufeff".encode() + "\r\n".join(lines).encode())
    (root / "splits" / "val.txt").write_text("büh né 1\r\n", encoding="utf-8")
    (root / "link").symlink_to(root, target_is_directory=True)
    (record,) = yolo(root / "link").index().splits["val"]
    assert record.name == "images/büh né 1.PNG"
    np.testing.assert_allclose(record.boxes, [[0, 0, 50, 50], [45, 45, 50, 50]], atol=1e-5)


def test_images_of_any_size_are_read(root: Path) -> None:
    for size in ((1, 1), (10000, 10)):
        Image.new("RGB", size).save(root / "images" / "b.png")
        (root / "labels" / "b.txt").write_text("0 0.5 0.5 1 1")
        (record,) = yolo(root).index().splits["val"]
        assert record.boxes.tolist() == [[0, 0, *size]]


def test_images_in_subfolders_belong_to_the_set(root: Path) -> None:
    (root / "images" / "more").mkdir()
    shutil.copy(root / "images" / "b.png", root / "images" / "more" / "z.png")
    with pytest.raises(DataError, match=r"images/more/z\.png: no annotation file"):
        yolo(root, splits=None, fractions=[0.5, 0.25, 0.25]).index()


def test_a_folder_without_permission_is_a_fault(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: Path(path).name != "xml")
    with pytest.raises(DataError, match="xml: no permission to read this folder"):
        voc(root).index()


def test_skipping_logs_one_line_of_counts(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    boxes = [("dent", 5, 5, 25, 45), ("dent", 5, 5, 99, 45), ("rust", 5, 5, 25, 45), ("rust", 6, 5, 25, 45)]
    (root / "xml" / "b.xml").write_text(xml((50, 50), boxes))
    index = voc(root, on_error="skip", classes=["dent", "scratch"]).index()
    assert "dropped 3: 2 unknown class, 1 box outside its image" in caplog.text
    assert index.mended == {"dropped, unknown class": 2, "dropped, box outside its image": 1}


def test_a_val_split_without_boxes_is_refused(root: Path) -> None:
    (root / "labels" / "b.txt").write_text("")
    with pytest.raises(DataError, match="val: images, but no box"):
        yolo(root).index()
