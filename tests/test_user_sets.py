"""Are a user's names, negatives and small sets read as meant, or refused with the cause and its cure?"""

import json
import logging
import re
import shlex
import shutil
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf
from PIL import Image

from gffpn.__main__ import main
from gffpn.config.compose import compose_config
from gffpn.data.index import SPLITS, DataError
from gffpn.data.readers.labelme import LabelMe
from gffpn.data.readers.quoting import override
from tiny_sets import IMAGES, SHARED, SPLIT_OF, coco, coco_content, memo, voc, write_sets, yolo

DRAWN: dict[str, Any] = {"splits": None, "fractions": [0.34, 0.33, 0.33]}
VALID = {"valid": "val", "test": "test"}
READERS = pytest.mark.parametrize("reader", [voc, yolo, coco])
NASTY = [
    "/data/zwei Sätze",
    "/data/中文",
    "/data/a=b",
    "/data/a#b",
    "/data/it's",
    "/data/a (1)",
    "/data/[neu]",
    "/data/a,b",
    "~/data",
    "/data/$HOME",
    "/data/${oc.env:HOME}",
    '/data/"x"\\',
    "C:\\set\\",
    "null",
    "010",
    " x ",
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_sets(tmp_path / "set")


@pytest.mark.parametrize("value", NASTY)
def test_a_printed_override_gives_the_same_value_after_the_shell_and_hydra(value: str) -> None:
    words = [
        *shlex.split(override("data.root", value)),
        *shlex.split(override("data.images", {"train": [value]})),
    ]
    data = OmegaConf.to_container(compose_config(["data=yolo", *words]).data, resolve=True)
    assert isinstance(data, dict)
    assert (data["root"], data["images"]) == (value, {"train": [value]})


@pytest.mark.parametrize("value", NASTY[1:9])
def test_an_unquoted_path_is_refused_with_the_corrected_argument(value: str) -> None:
    with pytest.raises(ValueError, match=re.escape(override("data.root", value)) + "$"):
        compose_config(["data=yolo", f"data.root={value}"])


@pytest.mark.parametrize("name", ["zwei Sätze (1), neu", "a=b #'[~$"])
def test_check_takes_a_bare_path(tmp_path: Path, name: str, capsys: pytest.CaptureFixture) -> None:
    root = write_sets(tmp_path / name)
    for other in ("xml", "labels"):
        shutil.rmtree(root / other)
    main(["data", "check", str(root), f"paths.cache={tmp_path}/cache"])
    printed = capsys.readouterr()
    assert printed.out.startswith("no faults: 3 images (train 1, val 1, test 1)")
    assert f"same as: data=coco {override('data.root', str(root))} data.images=images" in printed.err


def test_an_archive_or_file_as_root_is_refused_with_the_command_that_unpacks_it(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "my set.zip", "w") as file:
        file.writestr("x", "y")
    with pytest.raises(
        DataError, match=r"an archive, .* unzip -q '/.*/my set\.zip' -d '/.*/my set', and give"
    ):
        voc(tmp_path / "my set.zip").index()
    (tmp_path / "data.yaml").write_text("names: [a]")
    with pytest.raises(DataError, match=f"a file, expected a folder: give data.root={tmp_path}$"):
        yolo(tmp_path / "data.yaml").index()
    with pytest.raises(DataError, match="no such folder"):
        yolo("~nobody/x").index()


# negatives


def b_without_annotation(root: Path, reader: Callable[..., Any]) -> None:
    for name in ("xml/b.xml", "labels/b.txt"):
        (root / name).unlink()
    (root / "all.json").write_text(json.dumps(coco_content("ac")))


@READERS
def test_one_argument_decides_about_images_without_annotation(root: Path, reader: Callable[..., Any]) -> None:
    b_without_annotation(root, reader)
    Image.new("RGB", (9, 9)).save(root / "images" / "d.png")
    for folder, text in {"xml/d.xml": "<annotation/>", "labels/d.txt": ""}.items():
        (root / folder).write_text(text)
    whole = coco_content("ac")
    whole["images"].append({"id": 99, "file_name": "d.png", "height": 9, "width": 9})
    (root / "all.json").write_text(json.dumps(whole))
    with pytest.raises(DataError, match=r"data\.unlabelled=background if .*\n  images/b\.png: ") as refusal:
        reader(root, **DRAWN, unlabelled="refuse").index()
    assert "on_error" not in str(refusal.value)
    for unlabelled, stems, said in [
        ("background", "abcd", "images without annotation taken as background"),
        ("drop", "acd", "images without annotation left out"),
    ]:
        index = reader(root, **DRAWN, unlabelled=unlabelled).index()
        records = {Path(r.name).stem: r for found in index.splits.values() for r in found}
        assert "".join(sorted(records)) == stems
        assert index.mended[said] == 1
        assert [len(record.labels) for stem, record in records.items() if stem in "bd"] == [0] * stems.count(
            "b"
        ) + [0]


def test_files_that_are_no_known_images_are_counted(root: Path) -> None:
    for name in ("x.heic", "y.HEIC", "z.raw", "notes.txt", ".hidden.raw"):
        (root / "images" / name).write_text("")
    assert yolo(root).index().mended == {
        "files left out of images, not known as images (.heic)": 2,
        "files left out of images, not known as images (.raw)": 1,
    }


# names


def renamed(change: Callable[[Path, str], str]) -> Callable[[Path], None]:
    def write(root: Path) -> None:
        whole = coco_content()
        for item in whole["images"]:
            item["file_name"] = change(root, item["file_name"])
        (root / "all.json").write_text(json.dumps(whole))

    return write


@pytest.mark.parametrize(
    ("change", "folder"),
    [
        (lambda root, name: f"images/1/{name}", "images"),
        (lambda root, name: f"images\\{name}", "images"),
        (lambda root, name: f"{root}/images/{name}", "images"),
        (lambda root, name: name.upper(), "images"),
        (lambda root, name: f"./{name}", "images"),
        (lambda root, name: name, "."),
    ],
)
def test_a_name_that_fits_one_file_stands_for_it(
    root: Path, change: Callable[[Path, str], str], folder: str
) -> None:
    expected = coco(root).index()
    renamed(change)(root)
    assert coco(root, images=folder).index().fingerprint == expected.fingerprint


def test_escaped_and_decomposed_names_stand_for_their_files(root: Path) -> None:
    for stem, name in {"a": "Größe 1.png", "b": "b+b.png"}.items():
        (root / f"images/{stem}.png").rename(root / "images" / unicodedata.normalize("NFC", name))
        (root / f"splits/{'train' if stem == 'a' else 'val'}.txt").write_text(f"{name}\n")
    whole = coco_content()
    names = [unicodedata.normalize("NFD", "Größe 1.png"), "b%2Bb.png", "c.png"]
    for item, name in zip(whole["images"], names, strict=True):
        item["file_name"] = name
    (root / "all.json").write_text(json.dumps(whole))
    index = coco(root).index()
    assert sorted(r.name for found in index.splits.values() for r in found) == [
        "images/Größe 1.png",
        "images/b+b.png",
        "images/c.png",
    ]


def test_a_name_that_fits_several_files_or_contradicts_one_is_a_fault(root: Path) -> None:
    for lot in ("lot1", "lot2"):
        (root / "images" / lot).mkdir()
        shutil.copy(root / "images/b.png", root / f"images/{lot}/b.png")
    (root / "images/b.png").unlink()
    with pytest.raises(
        DataError, match=r"no such file; the nearest is images/lot1/b.png or images/lot2/b.png"
    ):
        coco(root).index()
    shutil.rmtree(root / "images" / "lot2")
    renamed(lambda _, name: f"lot3/{name}" if name == "b.png" else name)(root)
    with pytest.raises(DataError, match=r"images/lot3/b.png: no such file; the nearest is images/lot1/b.png"):
        coco(root).index()


@pytest.mark.parametrize("parent", ["defects", "dent"])
def test_a_parent_category_without_annotations_is_no_class(root: Path, parent: str) -> None:
    whole = coco_content()
    for category in whole["categories"]:
        category["supercategory"] = parent
    whole["categories"].insert(0, {"id": 0, "name": parent, "supercategory": "none"})
    (root / "all.json").write_text(json.dumps(whole))
    index = coco(root).index()
    assert index.classes == ("dent", "scratch")
    assert index.mended == {f"parent category '{parent}' (id 0) without annotations left out": 1}
    whole["annotations"][0]["category_id"] = 0  # an annotated parent is a class
    (root / "all.json").write_text(json.dumps(whole))
    if parent == "defects":
        assert coco(root).index().classes == ("defects", "dent", "scratch")


# places


def test_lists_of_folders_and_valid_as_a_name_of_val(root: Path) -> None:
    for folder in ("images", "labels", "xml"):
        for split, stem in SPLIT_OF.items():
            (root / folder / f"in_{split}").mkdir()
            (source,) = (root / folder).glob(f"{stem}.*")
            source.rename(root / folder / f"in_{split}" / source.name)
        (root / folder / "more").mkdir()
        (source,) = (root / folder / "in_val").iterdir()
        shutil.copy(source, root / folder / "more" / f"d{source.suffix}")

    def lists(folder: str) -> dict[str, Any]:
        return {"train": [f"{folder}/in_train", f"{folder}/more"]} | {
            split: f"{folder}/in_{VALID[split]}" for split in VALID
        }

    for reader, key, folder in [(voc, "annotations", "xml"), (yolo, "labels", "labels")]:
        index = reader(root, images=lists("images"), **{key: lists(folder)}, **DRAWN).index()
        assert [r.name for split in SPLITS for r in index.splits[split]] == [
            "images/in_train/a.png",
            "images/more/d.png",
            "images/in_val/b.png",
            "images/in_test/c.png",
        ]
    whole = yolo(root, **DRAWN).index()
    assert len([record for found in whole.splits.values() for record in found]) == 4
    with pytest.raises(ValueError, match="got 2 folders of images and 3 of annotations, expected equal"):
        voc(root, images=["a", "b"], annotations=["a", "b", "c"], splits=None)
    with pytest.raises(ValueError, match=r"got 3, expected a path below data\.root"):
        voc(root, images={"train": 3}, splits=None)


def test_images_in_folders_take_annotations_from_a_flat_folder(root: Path) -> None:
    for lot, stem in {"lot1": "a", "lot2": "b"}.items():
        (root / "images" / lot).mkdir()
        (root / f"images/{stem}.png").rename(root / f"images/{lot}/{stem}.png")
    index = voc(root).index()
    assert [r.name for found in index.splits.values() for r in found] == [
        "images/lot1/a.png",
        "images/lot2/b.png",
        "images/c.png",
    ]


def test_lists_of_other_names_and_lines_that_begin_elsewhere(root: Path) -> None:
    expected = voc(root).index()
    for split, stem in SPLIT_OF.items():
        (root / f"{split}_list.txt").write_text(f"/home/someone/set/images/{stem}.png\n")
    lists = {split: f"{split}_list.txt" for split in SPLIT_OF}
    assert voc(root, splits=lists).index().fingerprint == expected.fingerprint
    (root / "splits" / "val.txt").rename(root / "splits" / "valid.txt")
    assert voc(root).index().fingerprint == expected.fingerprint
    with pytest.raises(ValueError, match=r"splits: got \['val'\], expected train and any of"):
        voc(root, splits={"val": "x.txt"})


@pytest.mark.parametrize("name", ["set.yml", "obj.names", "classes.txt", "labels/classes.txt"])
def test_class_names_come_from_the_file_of_each_program(root: Path, name: str) -> None:
    (root / "data.yaml").unlink()
    (root / name).write_text("names: [dent, scratch]" if name.endswith("yml") else "dent\nscratch\n")
    assert yolo(root).index().classes == ("dent", "scratch")
    (root / "other.yaml").write_text("names: [hole, scratch]")
    with pytest.raises(DataError, match=r"other.yaml has \['hole', 'scratch'\].*keep one of the files"):
        yolo(root).index()


# messages


@READERS
def test_faults_that_empty_a_split_are_reported_without_it(root: Path, reader: Callable[..., Any]) -> None:
    for stem in IMAGES:
        (root / f"images/{stem}.png").write_text("no image")
    with pytest.raises(DataError, match="3 faults in the data set\nunreadable image") as refusal:
        reader(root).index()
    assert "empty split" not in str(refusal.value)
    with pytest.raises(DataError, match="train, val, test: no image"):
        reader(root, on_error="skip").index()


def test_a_small_set_is_refused_with_fractions_that_fill_the_splits(root: Path) -> None:
    for folder, suffix in {"images": "png", "xml": "xml"}.items():
        for number in range(4):
            shutil.copy(root / folder / f"b.{suffix}", root / folder / f"b{number}.{suffix}")
        for stem in "ac":
            (root / folder / f"{stem}.{suffix}").unlink()
    with pytest.raises(
        DataError, match=r"test: no image .* data\.fractions=\[0\.\d+,0\.\d+,0\.\d+\]"
    ) as refusal:
        voc(root, splits=None).index()
    fractions = json.loads(str(refusal.value).split("data.fractions=")[1].split("]")[0] + "]")
    assert all(voc(root, splits=None, fractions=fractions).index().splits.values())
    with pytest.raises(DataError, match=r"1 images \(or groups that stay together\) cannot fill 3 splits"):
        voc(root, splits=None, group_pattern="^(b)").index()


@pytest.mark.parametrize(
    ("names", "pattern"),
    [
        ("{origin}_png.rf.{number:032x}", r"'data.group_pattern=\"^(.+)\\.rf\\.\"'"),
        ("{origin}_0_{number}", r"'data.group_pattern=\"^(.+)_\\d+_\\d+$\"'"),
    ],
)
def test_copies_and_tiles_in_several_splits_are_hinted_at(
    root: Path, names: str, pattern: str, caplog: pytest.LogCaptureFixture
) -> None:
    for origin in "pqrs":
        for number in range(3):
            name = names.format(origin=origin, number=number)
            shutil.copy(root / "images/b.png", root / f"images/{name}.png")
            shutil.copy(root / "xml/b.xml", root / f"xml/{name}.xml")
    voc(root, splits=None).index()
    (line,) = [record.getMessage() for record in caplog.records if "are named like" in record.getMessage()]
    word = shlex.split(line.split("keep them in one split by ")[1])
    grouped = compose_config(["data=voc", *word]).data.group_pattern
    caplog.clear()
    voc(root, splits=None, group_pattern=grouped).index()
    assert "are named like" not in caplog.text
    assert pattern


# LabelMe


def test_labelme_shapes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    shapes = [
        {"label": "a", "shape_type": "rectangle", "points": [[30, 20], [10, 5.5]]},
        {"label": "b", "shape_type": "polygon", "points": [[1, 2], [9, 2], [4, 12]]},
        {"label": "b", "shape_type": "circle", "points": [[40, 30], [43, 34]]},
    ]
    for stem in "xyz":
        Image.new("RGB", (60, 40)).save(tmp_path / f"{stem}.png")
        content = {"shapes": shapes, "imageHeight": 40, "imageWidth": 60, "imagePath": "other.png"}
        (tmp_path / f"{stem}.json").write_text(json.dumps(content))

    def read(shapes: str) -> LabelMe:
        given = {
            **SHARED,
            **DRAWN,
            "shapes": shapes,
            "unlabelled": "refuse",
            "images": ".",
            "annotations": ".",
        }
        return LabelMe(memo(tmp_path / "memo"), (64, 64), root=str(tmp_path), **given)

    with pytest.raises(DataError, match=r"x\.json: shapes\[1\] \(b\): a polygon"):
        read("refuse").index()
    caplog.set_level(logging.INFO)
    (record,) = read("enclose").index().splits["val"]
    assert record.boxes.tolist() == [[10, 5.5, 30, 20], [1, 2, 9, 12], [35, 25, 45, 35]]
    assert record.labels.tolist() == [0, 1, 1]
    (tmp_path / "x.json").write_text('{"shapes": [{"label": "a", "points": [[1, "2"]]}]}')
    with pytest.raises(DataError, match=r"x\.json: points are .*, expected \[\[x, y\], \.\.\.\]"):
        read("enclose").index()
