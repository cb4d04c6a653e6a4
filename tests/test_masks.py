"""Do masks give the boxes of their objects in every arrangement? Are DeepPCB and nuclei read as cloned?"""

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from gffpn.data.index import SPLITS, DataError, DataIndex, ImageRecord
from gffpn.data.readers import mask_memo
from gffpn.data.readers.deeppcb import DeepPCB
from gffpn.data.readers.mask_objects import Region, read_mask
from gffpn.data.readers.masks import Masks
from gffpn.data.readers.nuclei import Nuclei
from tiny_sets import SHARED, coco, memo

CONF = Path(__file__).parents[1] / "conf"
ARGUMENTS: dict[str, Any] = {
    "images": "images",
    "masks": "masks",
    "mask_suffix": "",
    "class_folders": False,
    "values": None,
    "threshold": None,
    "objects": None,
    "connectivity": 8,
    "min_area": 1,
    "unlabelled": "refuse",
    **SHARED,
    "splits": None,
    "fractions": [0.34, 0.33, 0.33],
}
# two objects of one pixel that touch at a corner, and one of 2 x 3 pixels
GREY = np.zeros((8, 10), np.uint8)
GREY[1, 1] = GREY[2, 2] = GREY[5:7, 6:9] = 1
PHOTO = np.random.default_rng(0).integers(0, 255, (8, 10, 3), np.uint8)
BOXES_8 = [[1, 1, 3, 3], [6, 5, 9, 7]]
BOXES_4 = [[1, 1, 2, 2], [2, 2, 3, 3], [6, 5, 9, 7]]


def masks(root: Path, **changes: Any) -> Masks:
    return Masks(memo(root), (64, 64), root=str(root), **{**ARGUMENTS, **changes})


def save(path: Path, grey: NDArray[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(grey).save(path)


def write_images(root: Path, *names: str) -> None:
    for number, name in enumerate(names):
        save(root / name, np.full((8, 10, 3), 40 * number, np.uint8))


def records(index: DataIndex) -> dict[str, ImageRecord]:
    return {record.name: record for split in SPLITS for record in index.splits[split]}


def boxes(record: ImageRecord) -> list[list[float]]:
    return sorted(record.boxes.tolist())


def dangling(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return the folder of a set of three images with equal masks."""
    root = tmp_path / "set"
    write_images(root, "images/a.png", "images/lot/b.jpg", "images/c.png")
    for name in ("a", "lot/b", "c"):
        save(root / "masks" / f"{name}.png", GREY * 255)
    return root


@pytest.mark.parametrize(("connectivity", "expected"), [(8, BOXES_8), (4, BOXES_4)])
def test_components_are_objects(root: Path, connectivity: int, expected: list[list[float]]) -> None:
    index = masks(root, connectivity=connectivity).index()
    assert index.classes == ("object",)
    assert {name: boxes(record) for name, record in records(index).items()} == dict.fromkeys(
        ("images/a.png", "images/c.png", "images/lot/b.jpg"), expected
    )


def test_small_objects_are_left_out_and_counted(root: Path) -> None:
    index = masks(root, connectivity=4, min_area=2).index()
    assert boxes(records(index)["images/a.png"]) == [[6, 5, 9, 7]]
    assert index.mended == {"objects of fewer than data.min_area=2 pixels left out": 6}


def test_values_may_be_classes_or_objects(root: Path) -> None:
    grey = GREY.copy()
    grey[5:7, 6:9] = 7
    grey[0, 9] = 255
    save(root / "masks" / "a.png", grey)
    with pytest.raises(
        DataError, match=r"grey values \(1\): data.values=.*\n  masks/a.png: 3 values: 1, 7, 255"
    ):
        masks(root).index()
    names = {1: "spot", 7: "bar", 255: None}
    with pytest.raises(
        DataError, match=r"unknown class .*\n  .*grey value 255, expected 0 or one of \[1, 7\]"
    ):
        masks(root, values={1: "spot", 7: "bar"}).index()
    for stem in ("c", "lot/b"):
        save(root / "masks" / f"{stem}.png", GREY * 7)
    index = masks(root, values=names).index()
    assert index.classes == ("spot", "bar")
    record = records(index)["images/a.png"]
    assert (record.boxes.tolist(), record.labels.tolist()) == (BOXES_8, [0, 1])
    assert records(index)["images/c.png"].labels.tolist() == [1, 1]
    index = masks(root, objects="values", classes=["cell"]).index()
    assert index.classes == ("cell",)
    assert boxes(records(index)["images/a.png"]) == [[1, 1, 3, 3], [6, 5, 9, 7], [9, 0, 10, 1]]
    assert boxes(records(index)["images/c.png"]) == [[1, 1, 9, 7]]


def test_a_split_without_masks_is_drawn_from_train(tmp_path: Path) -> None:
    write_images(
        tmp_path, "images/train/a.png", "images/train/b.png", "images/val/c.png", "images/test/d.png"
    )
    for name in ("train/a", "train/b", "val/c"):
        save(tmp_path / "masks" / f"{name}.png", GREY)
    (tmp_path / "masks/test").mkdir()
    places = {name: {split: f"{name}/{split}" for split in SPLITS} for name in ("images", "masks")}
    index = masks(tmp_path, **places, unlabelled="drop").index()
    assert sorted(records(index)) == ["images/train/a.png", "images/train/b.png", "images/val/c.png"]
    said = "images without annotation left out, all those of test, which is drawn from train"
    assert index.mended == {said: 1}


def test_a_train_without_objects_is_joined_with_the_other_splits(tmp_path: Path) -> None:
    """Sets for the detection of anomalies, such as MVTec AD, train on good products alone."""
    write_images(tmp_path, "train/good/0.png", *(f"test/{place}.png" for place in ("good/0", "dent/0")))
    for number in range(1, 4):
        save(tmp_path / f"test/dent/{number}.png", PHOTO + np.uint8(number))
    for number in range(4):
        save(tmp_path / f"ground_truth/dent/{number}_mask.png", GREY)
    given = {"masks": "ground_truth", "mask_suffix": "_mask"}
    by_split = {"train": "train", "test": "test"}
    for unlabelled in ("background", "drop"):
        with pytest.raises(DataError, match=r"train, .* has no object: .* data\.images=\[A,B\] in place"):
            masks(tmp_path, images=by_split, unlabelled=unlabelled, **given).index()
    index = masks(tmp_path, images=["train", "test"], unlabelled="background", **given).index()
    assert sum(map(len, index.splits.values())) == 6
    assert all(any(len(record.boxes) for record in index.splits[split]) for split in ("train", "val"))


def test_smoothed_masks_need_a_threshold(root: Path) -> None:
    grey = GREY * 200
    grey[0, 0] = 90
    save(root / "masks" / "a.png", grey)
    with pytest.raises(DataError, match=r"data\.threshold=127"):
        masks(root).index()
    assert boxes(records(masks(root, threshold=127).index())["images/a.png"]) == BOXES_8


def test_an_image_is_dropped_with_a_mask_of_several_values(root: Path) -> None:
    """With its mask alone, it would be an image without objects."""
    write_images(root, "images/d.png")
    grey = GREY * 200
    grey[0, 0] = 90
    save(root / "masks" / "d.png", grey)
    index = masks(root, on_error="skip").index()
    assert sorted(records(index)) == ["images/a.png", "images/c.png", "images/lot/b.jpg"]
    assert index.mended == {"dropped, mask of several grey values": 1}


def test_folders_may_be_classes(tmp_path: Path) -> None:
    """Read masks/CLASS/NAME for images/NAME, and for images that lie in folders of the classes, too."""
    root = tmp_path / "set"
    write_images(root, "images/a.png", "images/b.png", "images/dent/000.png", "images/good/000.png")
    for name in ("scratch/a_mask", "dent/a_mask", "scratch/b_mask", "dent/000_mask"):
        save(root / "masks" / f"{name}.png", GREY)
    index = masks(root, class_folders=True, mask_suffix="_mask", unlabelled="background").index()
    assert index.classes == ("dent", "scratch")
    found = records(index)
    assert sorted(found["images/a.png"].labels.tolist()) == [0, 0, 1, 1]
    assert found["images/b.png"].labels.tolist() == [1, 1]
    assert found["images/dent/000.png"].labels.tolist() == [0, 0]
    assert found["images/good/000.png"].labels.tolist() == []
    with pytest.raises(
        DataError, match=r"missing annotation .*\n  images/good/000\.png: no mask of that name"
    ):
        masks(root, class_folders=True, mask_suffix="_mask").index()


def test_masks_beside_their_images(tmp_path: Path) -> None:
    root = tmp_path / "set"
    write_images(root, "1/a.png", "2/a.png", "2/b.png")
    for name in ("1/a", "2/a", "2/b"):
        save(root / f"{name}_GT.png", GREY)
    index = masks(root, images=".", masks=".", mask_suffix="_GT").index()
    assert {name: boxes(record) for name, record in records(index).items()} == dict.fromkeys(
        ("1/a.png", "2/a.png", "2/b.png"), BOXES_8
    )


def write_folders(root: Path, folder: str, names: list[str]) -> None:
    """Write a mask file for each of the two objects in GREY."""
    one, other = GREY.copy(), GREY.copy()
    one[5:], other[:5] = 0, 0
    for name in names:
        save(root / folder.replace("*", name) / "x1.png", one * 255)
        save(root / folder.replace("*", name) / "x2.png", other * 255)


@pytest.mark.parametrize(
    ("images", "folder"), [("images", "masks/*"), ("train/*/images", "train/*/masks"), (".", "masks/*")]
)
def test_a_folder_of_masks_per_image(tmp_path: Path, images: str, folder: str) -> None:
    root, names = tmp_path / "set", ["a", "b", "c"]
    write_images(root, *(f"{images.replace('*', name)}/{name}.png" for name in names))
    write_folders(root, folder, names)
    found = records(masks(root, images=images, masks=folder).index())
    assert [boxes(record) for record in found.values()] == [BOXES_8] * 3
    # the two pixels that touch at a corner are one object of one file unless components are asked for
    found = records(masks(root, images=images, masks=folder, connectivity=4).index())
    assert [boxes(record) for record in found.values()] == [BOXES_8] * 3
    again = masks(root, images=images, masks=folder, connectivity=4, objects="components")
    assert [boxes(record) for record in records(again.index()).values()] == [BOXES_4] * 3


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda root: (root / "masks/a.png").unlink(), r"missing annotation .*\n  images/a\.png: no mask"),
        (
            lambda root: save(root / "masks/z.png", GREY),
            r"missing image .*\n  masks/z\.png: no image of that",
        ),
        (lambda root: save(root / "images/a.bmp", GREY), r"images/a\.bmp and images/a\.png would share"),
        (lambda root: save(root / "masks/a.png", GREY[:, 1:]), r"differs .*\n  masks/a\.png: .*\(8, 9\)"),
        (lambda root: dangling(root / "masks/a.png"), r"unreadable annotation .*\n  .*masks/a\.png"),
        (lambda root: (root / "masks/a.png").write_text("x"), r"unreadable annotation .*\n  .*masks/a\.png"),
        (lambda root: save(root / "masks/a.png", PHOTO), r"masks/a\.png: shows colours, expected one grey"),
    ],
)
def test_faults_name_the_mask(root: Path, write: Callable[[Path], object], message: str) -> None:
    write(root)
    with pytest.raises(DataError, match=message):
        masks(root).index()


def test_masks_of_one_image_must_have_one_size(tmp_path: Path) -> None:
    root, names = tmp_path / "set", ["a", "b", "c"]
    write_images(root, *(f"images/{name}.png" for name in names))
    write_folders(root, "masks/*", names)
    save(root / "masks" / "a" / "x2.png", GREY[:, 1:])
    with pytest.raises(
        DataError, match=r"images/a\.png: its masks differ in .*x1\.png \(8, 10\) and .*\(8, 9\)"
    ):
        masks(root, masks="masks/*").index()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"values": {0: "a"}}, r"expected a class name \(or null\) for each grey value from 1 on"),
        ({"values": {1: True}}, "expected a class name"),
        ({"images": "*/images"}, "and in masks if it is in images"),
        ({"masks": "m*"}, "as the name of a folder"),
        ({"classes": ["a", "b"]}, "expected one unless values or class_folders is given"),
        ({"connectivity": 6}, "got 6, expected one of"),
        ({"objects": "pixels"}, "got 'pixels', expected one of"),
    ],
)
def test_wrong_arguments_are_refused(tmp_path: Path, changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        masks(tmp_path, **changes)


def test_missing_folders_are_named(root: Path) -> None:
    for changes, faults in [
        ({"masks": "none"}, "1 fault in"),
        ({"images": "none/*/images", "masks": "none/*/masks"}, "2 faults in"),
    ]:
        with pytest.raises(
            DataError, match=r"none.*: no such folder; .* holds the folders images, masks"
        ) as no:
            masks(root, **changes).index()
        assert faults in str(no.value)


@pytest.mark.parametrize("mode", ["1", "L", "P", "I;16", "RGB", "LA", "RGBA"])
def test_masks_of_every_mode_are_read(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "mask.png"
    if mode == "P":
        image = Image.fromarray(GREY * 3).convert("P")
    elif mode == "I;16":
        image = Image.fromarray(GREY.astype(np.uint16) * 3)
    else:
        image = Image.fromarray(GREY * 255).convert(mode)
    image.save(path)
    found = read_mask(path, threshold=None, connectivity=8)
    value = {"1": 1, "P": 3, "I;16": 3}.get(mode, 255)
    assert found == (8, 10, (Region(value, (1, 1, 3, 3), 2), Region(value, (6, 5, 9, 7), 6)))


def test_an_unchanged_mask_is_decoded_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = masks(root).index()
    monkeypatch.setattr(mask_memo, "read_mask", None)
    assert masks(root).index().fingerprint == first.fingerprint
    monkeypatch.undo()
    save(root / "masks" / "a.png", GREY * 0)
    assert boxes(records(masks(root).index())["images/a.png"]) == []
    assert boxes(records(masks(root, connectivity=4).index())["images/c.png"]) == BOXES_4


def nuclei(root: Path, **changes: Any) -> Nuclei:
    given = {"images": "stage1_train/*/images", "masks": "stage1_train/*/masks", "classes": ["nucleus"]}
    return Nuclei(
        memo(root), (64, 64), root=str(root), **{**ARGUMENTS, "objects": "files", **given, **changes}
    )


def test_nuclei_are_read_as_cloned(tmp_path: Path) -> None:
    """Read images with names of 64 digits, of which the lists give the first 16, and leave out others."""
    root, names = tmp_path / "set", [f"{digit}" * 64 for digit in "abcd"]
    write_images(root, *(f"stage1_train/{name}/images/{name}.png" for name in names))
    write_folders(root, "stage1_train/*/masks", names)
    (root / "lists").mkdir()
    for split, letter in zip(SPLITS, "abc", strict=True):
        (root / "lists" / f"{split}.txt").write_text(f"{letter * 16}.png\n")
    index = nuclei(root, splits="lists").index()
    assert index.splits["test"][0].name == f"stage1_train/{names[2]}/images/{names[2]}.png"
    assert [boxes(record) for record in records(index).values()] == [BOXES_8] * 3


def deeppcb(root: Path, **changes: Any) -> DeepPCB:
    given = {
        **SHARED,
        "images": "PCBData",
        "unlabelled": "refuse",
        "fractions": [0.34, 0.33, 0.33],
        **changes,
    }
    return DeepPCB(memo(root), (64, 64), root=str(root), **given)


def write_deeppcb(root: Path) -> None:
    for number, split in enumerate(SPLITS):
        board = root / "PCBData" / f"group0004{number}"
        grey = np.full((60, 60), 80 * number, np.uint8)
        for kind in ("test", "temp"):
            save(board / f"0004{number}" / f"0004{number}000_{kind}.jpg", grey)
        (board / f"0004{number}_not").mkdir()
        (board / f"0004{number}_not" / f"0004{number}000.txt").write_text("10 20 30 45 3\n1 2 9 8 6\n")
        (root / "splits").mkdir(exist_ok=True)
        (root / "splits" / f"{split}.txt").write_text(f"0004{number}000\n")


def test_deeppcb_is_read_as_cloned(tmp_path: Path) -> None:
    root = tmp_path / "set"
    write_deeppcb(root)
    index = deeppcb(root).index()
    assert index.classes == ("open", "short", "mousebite", "spur", "copper", "pin-hole")
    (record,) = index.splits["val"]
    assert (record.name, record.group) == ("PCBData/group00041/00041/00041000_test.jpg", "group00041")
    assert record.boxes.tolist() == [[10, 20, 30, 45], [1, 2, 9, 8]]
    assert record.labels.tolist() == [2, 5]
    drawn = deeppcb(root, splits=None).index()
    assert {split: len(drawn.splits[split]) for split in SPLITS} == dict.fromkeys(SPLITS, 1)


@pytest.mark.parametrize("line", ["10 20 30 45", "10 20 30 45 7", "10 20 30 45 spur", "10 20 30.5 45 3"])
def test_deeppcb_faults_name_the_line(tmp_path: Path, line: str) -> None:
    root = tmp_path / "set"
    write_deeppcb(root)
    (root / "PCBData" / "group00041" / "00041_not" / "00041000.txt").write_text(f"1 2 9 8 6\n{line}\n")
    with pytest.raises(DataError, match=r"00041_not/00041000\.txt: line 2: .* type from 1 to 6"):
        deeppcb(root).index()
    with pytest.raises(DataError, match=r"splits: no image \*_test\.jpg"):
        deeppcb(root, images="splits").index()


@pytest.mark.parametrize(("name", "sizes"), [("deeppcb", (900, 100, 500)), ("nuclei", (194, 40, 100))])
def test_committed_lists_are_disjoint(name: str, sizes: tuple[int, int, int]) -> None:
    lists = [(CONF / "data" / "splits" / name / f"{split}.txt").read_text().split() for split in SPLITS]
    assert tuple(map(len, lists)) == sizes
    assert len(set().union(*lists)) == sum(sizes)


@pytest.mark.skipif("DEEPPCB" not in os.environ, reason="DEEPPCB is not set to the folder of DeepPCB")
def test_real_deeppcb(tmp_path: Path) -> None:
    (tmp_path / "set").symlink_to(os.environ["DEEPPCB"])
    index = deeppcb(tmp_path / "set", splits=str(CONF / "data" / "splits" / "deeppcb")).index()
    assert [len(index.splits[split]) for split in SPLITS] == [900, 100, 500]
    labels = np.concatenate([record.labels for record in records(index).values()])
    assert np.bincount(labels).tolist() == [1942, 1506, 1965, 1625, 1474, 1501]


@pytest.mark.skipif("NUCLEI" not in os.environ, reason="NUCLEI is not set to the folder of stage1_sample")
def test_real_nuclei_have_the_boxes_of_their_annotations(tmp_path: Path) -> None:
    root = tmp_path / "set"
    root.symlink_to(os.environ["NUCLEI"])
    sample = {"images": "stage1_sample/*/images", "masks": "stage1_sample/*/masks"}
    found = records(nuclei(root, **sample, fractions=[0.8, 0.1, 0.1]).index())
    annotated = {
        record.path.name: record
        for record in records(coco(root, annotations="annotations.json").index()).values()
    }
    assert len(found) == 40
    for record in found.values():
        expected = annotated[f"{record.path.stem[:16]}.png"]
        assert Counter(map(tuple, record.boxes.tolist())) == Counter(map(tuple, expected.boxes.tolist()))
