"""Are negatives, small sets and shapes read as asked, and faults reported with their cause and its cure?"""

import json
import logging
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from gffpn.config.compose import compose_config
from gffpn.data.index import SPLITS, DataError
from gffpn.data.readers.faults import ADVICE, Kind
from gffpn.data.readers.labelme import LabelMe
from tiny_sets import IMAGES, SHARED, coco, coco_content, memo, voc, write_sets, yolo

DRAWN: dict[str, Any] = {"splits": None, "fractions": [0.34, 0.33, 0.33]}
VALID = {"valid": "val", "test": "test"}
READERS = pytest.mark.parametrize("reader", [voc, yolo, coco])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_sets(tmp_path / "set")


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


@pytest.mark.parametrize("lost", ["val", "test"])
@pytest.mark.parametrize(("reader", "kind"), [(voc, "xml"), (yolo, "labels")])
def test_a_split_without_annotations_is_drawn_from_train(
    root: Path, reader: Callable[..., Any], kind: str, lost: str
) -> None:
    """The advice for its images works, whether their annotations lack a folder or the folder is empty."""
    for folder in ("images", kind):
        (source,) = (root / folder).glob("a.*")
        shutil.copy(source, source.with_stem("d"))
        for stem, split in {"a": "train", "d": "train", "b": "val", "c": "test"}.items():
            (source,) = (root / folder).glob(f"{stem}.*")
            (root / folder / split).mkdir(exist_ok=True)
            source.rename(root / folder / split / source.name)
    stem = {"val": "b", "test": "c"}[lost]
    (gone,) = (root / kind / lost).iterdir()
    gone.unlink()
    names = {"images": "images", "labels" if reader is yolo else "annotations": kind}
    given = {name: {split: f"{of}/{split}" for split in SPLITS} for name, of in names.items()}
    with pytest.raises(DataError, match=rf"data\.unlabelled=drop .*\n  images/{lost}/{stem}\.png"):
        reader(root, **given, **DRAWN).index()
    index = reader(root, **given, **DRAWN, unlabelled="drop").index()
    assert sorted(Path(r.name).stem for found in index.splits.values() for r in found) == sorted(
        set("abcd") - {stem}
    )
    assert len(index.splits[lost]) == 1
    said = f"images without annotation left out, all those of {lost}, which is drawn from train"
    assert index.mended == {said: 1}
    (root / kind / lost).rmdir()
    with pytest.raises(DataError, match=r"leave out val or test if it has no annotations"):
        reader(root, **given, **DRAWN, unlabelled="drop").index()
    del given["labels" if reader is yolo else "annotations"][lost]
    with pytest.raises(ValueError, match="expected the same splits: leave out one that has no annotations"):
        reader(root, **given, **DRAWN)
    del given["images"][lost]
    assert [len(found) for found in reader(root, **given, **DRAWN).index().splits.values()] == [1, 1, 1]


@READERS
def test_files_that_are_no_known_images_are_counted(root: Path, reader: Callable[..., Any]) -> None:
    for name in ("x.heic", "y.HEIC", "z.raw", "notes.txt", ".hidden.raw"):
        (root / "images" / name).write_text("")
    assert reader(root).index().mended == {
        "files left out of images, not known as images (.heic)": 2,
        "files left out of images, not known as images (.raw)": 1,
    }


def test_every_kind_of_fault_has_a_cure() -> None:
    assert set(Kind) - set(ADVICE) == {Kind.EMPTY_SPLIT}


@READERS
def test_faults_that_empty_a_split_are_reported_without_it(root: Path, reader: Callable[..., Any]) -> None:
    for stem in IMAGES:
        (root / f"images/{stem}.png").write_text("no image")
    with pytest.raises(DataError, match="3 faults in the data set\nunreadable image") as refusal:
        reader(root).index()
    assert "empty split" not in str(refusal.value)
    with pytest.raises(DataError, match="train, val, test: no image"):
        reader(root, on_error="skip").index()


def test_a_file_without_categories_is_one_fault(root: Path) -> None:
    (root / "all.json").write_text(json.dumps({**coco_content(), "categories": []}))
    with pytest.raises(DataError, match=r"1 fault in the data set\n.*\n  all\.json: categories is empty"):
        coco(root).index()


@READERS
def test_a_set_without_boxes_is_one_fault(root: Path, reader: Callable[..., Any]) -> None:
    for stem in IMAGES:
        (root / f"xml/{stem}.xml").write_text("<annotation/>")
        (root / f"labels/{stem}.txt").write_text("")
    (root / "all.json").write_text(json.dumps({**coco_content(), "annotations": []}))
    with pytest.raises(DataError, match=r"1 fault in the data set\n.*\n  no (box in the whole set|anno)"):
        reader(root).index()


def test_a_small_set_is_refused_with_fractions_that_fill_the_splits(root: Path) -> None:
    for folder, suffix in {"images": "png", "xml": "xml"}.items():
        for number in range(4):
            shutil.copy(root / folder / f"b.{suffix}", root / folder / f"b{number}.{suffix}")
        for stem in "ac":
            (root / folder / f"{stem}.{suffix}").unlink()
    with pytest.raises(
        DataError, match=r"test: no image .*data\.fractions=\[0\.\d+,0\.\d+,0\.\d+\]"
    ) as refusal:
        voc(root, splits=None).index()
    fractions = json.loads(str(refusal.value).split("data.fractions=")[1].split("]")[0] + "]")
    assert all(voc(root, splits=None, fractions=fractions).index().splits.values())
    with pytest.raises(DataError, match=r"1 image \(or groups that stay together\) cannot fill 3 splits"):
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


def test_labelme_shapes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    shapes: list[dict[str, Any]] = [
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

    with pytest.raises(DataError, match=r"x\.json: shapes\[1\] \(b\): a polygon") as refusal:
        read("refuse").index()
    assert "class names" not in str(refusal.value)
    caplog.set_level(logging.INFO)
    (record,) = read("enclose").index().splits["val"]
    assert record.boxes.tolist() == [[10, 5.5, 30, 20], [1, 2, 9, 12], [35, 25, 45, 35]]
    assert record.labels.tolist() == [0, 1, 1]
    (tmp_path / "x.json").write_text('{"shapes": [{"label": "a", "points": [[1, "2"]]}]}')
    with pytest.raises(DataError, match=r"x\.json: points are .*, expected \[\[x, y\], \.\.\.\]"):
        read("enclose").index()
    (tmp_path / "x.json").write_text("[" * 200_000)
    with pytest.raises(DataError, match=r"x\.json: maximum recursion depth"):
        read("enclose").index()
