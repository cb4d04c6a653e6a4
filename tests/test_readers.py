"""Do the readers return the same boxes from every format, and are the splits balanced and reproducible?"""

import json
import logging
import os
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gffpn.data.index import SPLITS, DataError, ImageRecord
from gffpn.data.readers.faults import Faults
from gffpn.data.readers.images import look, read_image
from gffpn.data.readers.pairs import Pair
from gffpn.data.readers.root import Root
from gffpn.data.readers.splits import Partition, draw
from tiny_sets import CLASSES, IMAGES, SPLIT_OF, coco, coco_content, voc, write_sets, xml, yolo

LISTS = Path(__file__).parents[1] / "conf" / "data" / "splits" / "neu_det"
READERS = pytest.mark.parametrize("reader", [voc, coco, yolo])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_sets(tmp_path / "set")


@READERS
def test_all_formats_yield_equal_records(root: Path, reader: Callable[..., Any]) -> None:
    index = reader(root).index()
    assert index.classes == CLASSES
    for split, stem in SPLIT_OF.items():
        (record,) = index.splits[split]
        size, boxes = IMAGES[stem]
        assert (record.name, (record.height, record.width)) == (f"images/{stem}.png", size)
        assert record.path.is_file()
        np.testing.assert_allclose(record.boxes, [box[1:] for box in boxes], atol=1e-5)
        assert record.labels.tolist() == [CLASSES.index(box[0]) for box in boxes]
        assert (record.boxes.dtype, record.labels.dtype) == (np.float32, np.int64)


def test_voc_and_coco_have_the_same_fingerprint(root: Path) -> None:
    assert voc(root).index().fingerprint == coco(root).index().fingerprint


@pytest.mark.parametrize(
    ("corners", "expected"),
    [("pixels_from_1", [9, 19, 30, 40]), ("pixels_from_0", [10, 20, 31, 41]), ("edges", [10, 20, 30, 40])],
)
def test_voc_corners(root: Path, corners: str, expected: list[float]) -> None:
    (root / "xml" / "b.xml").write_text(xml((50, 50), [("dent", 9, 19, 30, 40)]))  # 10 20 30 40 in the file
    assert voc(root, corners=corners).index().splits["val"][0].boxes.tolist() == [expected]


def test_the_given_classes_set_the_order(root: Path) -> None:
    for reader in (voc, coco, yolo):
        index = reader(root, classes=["scratch", "dent"]).index()
        assert (index.classes, index.splits["val"][0].labels.tolist()) == (("scratch", "dent"), [1])
        for others in (["x", "y"], ["scratch"]):
            with pytest.raises(DataError, match=f"b.* dent .*expected one of \\{others}") as refused:
                reader(root, classes=others).index()
            assert refused.match("data.classes, which orders the names of a set and renames none")


@pytest.mark.parametrize("text", [None, "names: 3", "names: {1: a, 2: b}"])
def test_the_given_classes_name_a_yolo_set_that_does_not(root: Path, text: str | None) -> None:
    (root / "data.yaml").unlink()
    if text:
        (root / "data.yaml").write_text(text)
    with pytest.raises(DataError, match=r"data\.classes"):
        yolo(root).index()
    index = yolo(root, classes=["x", "y"]).index()
    assert (index.classes, index.splits["val"][0].labels.tolist()) == (("x", "y"), [0])


def test_boxes_one_pixel_outside_are_clipped_and_duplicates_dropped(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    boxes = [("dent", -1, 0, 20, 51), ("dent", -1, 0, 20, 51), ("scratch", -1, 0, 20, 51)]
    (root / "xml" / "b.xml").write_text(xml((50, 50), boxes))
    (record,) = voc(root).index().splits["val"]
    assert record.boxes.tolist() == [[0, 0, 20, 50]] * 2
    assert record.labels.tolist() == [0, 1]
    assert "exact duplicates of boxes dropped: 1" in caplog.text
    assert "boxes clipped that left their image by at most 1 px: 3" in caplog.text


def test_splits_in_separate_folders_are_read(root: Path) -> None:
    expected = voc(root).index()
    for split, stem in SPLIT_OF.items():
        (root / f"{split}.json").write_text(json.dumps(coco_content(stem)))
        for folder in ("images", "xml", "labels"):
            (root / f"{folder}_{split}").mkdir()
            (source,) = (root / folder).glob(f"{stem}.*")
            source.rename(root / f"{folder}_{split}" / source.name)
    apart = {kind: {split: f"{kind}_{split}" for split in SPLITS} for kind in ("images", "xml", "labels")}
    files = {split: f"{split}.json" for split in SPLITS}
    for index in (
        voc(root, images=apart["images"], annotations=apart["xml"], splits=None).index(),
        coco(root, images=apart["images"], annotations=files, splits=None).index(),
        yolo(root, images=apart["images"], labels=apart["labels"], splits=None).index(),
    ):
        for split in SPLITS:
            assert index.splits[split][0].name == f"images_{split}/{SPLIT_OF[split]}.png"
            np.testing.assert_allclose(
                index.splits[split][0].boxes, expected.splits[split][0].boxes, atol=1e-5
            )


@pytest.mark.parametrize("line", ["lot{}/a", "lot{}/a.png", "images/lot{}/a", "data/images/lot{}/a.png"])
def test_a_list_of_many_lots_of_equal_names_takes_no_longer(tmp_path: Path, line: str) -> None:
    number = 3000  # quadratic if each line is compared with all images of its name
    (tmp_path / "train.txt").write_text("\n".join(line.format(k) for k in range(number)))
    images = [Pair(f"images/lot{k}/a.png", None) for k in range(number)]
    root, faults = Root(str(tmp_path), "lists"), Faults(tmp_path, "raise")
    start = time.process_time()
    found = Partition(".", [0.8, 0.1, 0.1], 0, ["train"]).select(root, {"train": images}, faults)
    assert time.process_time() - start < 5
    assert (found["train"], faults.number()) == (images, 0)


def test_a_split_without_a_list_is_drawn_from_train(root: Path) -> None:
    (root / "splits" / "val.txt").unlink()
    (root / "splits" / "train.txt").write_text("./images/a.png\nb.png\n")
    index = voc(root, fractions=[0.5, 0.4, 0.1]).index()
    assert {split: len(records) for split, records in index.splits.items()} == dict.fromkeys(SPLITS, 1)
    assert index.splits["test"][0].name == "images/c.png"


def test_fewer_training_images_are_some_of_the_same(root: Path) -> None:
    faults = Faults(root, "raise")
    records = [record(f"{number:03d}.png", [0]) for number in range(40)]
    names = {}
    for wanted in (10, 20, 40, None):
        parts = {"train": records, "val": [record("v.png", [0])], "test": [record("t.png", [0])]}
        found = Partition(None, [0.8, 0.1, 0.1], 0, ["train", "val", "test"], wanted).complete(parts, faults)
        names[wanted] = [one.name for one in found["train"]]
        assert len(names[wanted]) == (wanted or 40)
        assert names[wanted] == sorted(names[wanted])
    assert set(names[10]) < set(names[20]) < set(names[40]) == set(names[None])
    with pytest.raises(ValueError, match="train_images: got 2, expected null or at most 1, the images of tr"):
        voc(root, train_images=2).index()
    with pytest.raises(ValueError, match="train_images: got 0, expected null or 1 or more"):
        voc(root, train_images=0)


def test_yolo_background_images_and_a_class_list_among_the_labels(root: Path) -> None:
    (root / "labels" / "c.txt").unlink()
    (root / "labels" / "classes.txt").write_text("dent\nscratch\n")
    (record,) = yolo(root, unlabelled="background").index().splits["test"]
    assert (record.boxes.shape, record.labels.shape) == ((0, 4), (0,))


@pytest.mark.parametrize("name", ["data.yaml", "pose.yml"])
@pytest.mark.parametrize("shapes", ["refuse", "enclose"])
@pytest.mark.parametrize(
    ("number", "point"), [(1, "0.1 0.9"), (2, "0.1 0.9"), (3, "0 0 0"), (4, "0.1 0.9 2.0")]
)
def test_keypoints_behind_a_yolo_box_are_left_out(
    root: Path, number: int, point: str, shapes: str, name: str
) -> None:
    expected = yolo(root).index().fingerprint
    (root / "data.yaml").unlink()
    shape = [number, len(point.split())]
    (root / name).write_text(f"kpt_shape: {shape}\nnames: [dent, scratch]\n")
    for path in (root / "labels").iterdir():
        lines = path.read_text().splitlines()
        path.write_text("\n".join([" ".join([line, *[point] * number]) for line in lines[:1]] + lines[1:]))
    assert yolo(root, shapes=shapes).index().fingerprint == expected
    with (root / "labels/b.txt").open("a") as file:
        file.write("\n0 0.5 0.5 0.1 0.1 0.3\n")
    with pytest.raises(DataError, match=r"labels/b\.txt: line 2: .* has 6 numbers: .* by kpt_shape or none"):
        yolo(root, shapes=shapes).index()


@pytest.mark.parametrize("shape", ["17", "[17]", "[4, 5]", "[0, 2]", "[a, 3]"])
def test_a_kpt_shape_that_is_none_is_refused(root: Path, shape: str) -> None:
    (root / "data.yaml").write_text(f"kpt_shape: {shape}\nnames: [dent, scratch]\n")
    with pytest.raises(
        DataError, match=r"data\.yaml: kpt_shape is .*, expected \[number of keypoints, 2 or 3\]"
    ):
        yolo(root).index()


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_keypoints_without_a_kpt_shape_are_refused_with_it(root: Path, number: int) -> None:
    (root / "labels/b.txt").write_text("0 0.5 0.5 0.1 0.1" + " 0.5 0.5 2" + " 0 0 0" * (number - 1))
    with pytest.raises(DataError, match=rf"b\.txt: line 1: .* add kpt_shape: \[{number}, 3\] to data\.yaml"):
        yolo(root, shapes="enclose").index()
    (root / "labels/b.txt").write_text("0 0.5 0.5 0.1 0.1" + " 0.5 0.5" * number)
    with pytest.raises(
        DataError, match=r"b\.txt, line 1: a polygon of .*, or keypoints without kpt_shape in da"
    ):
        yolo(root).index()


def test_groups_come_from_the_file_name(root: Path) -> None:
    assert voc(root, group_pattern="^(.)").index().splits["test"][0].group == "c"
    assert voc(root, group_pattern="^(z)").index().splits["test"][0].group == ""


def record(name: str, labels: list[int], group: str = "") -> ImageRecord:
    boxes = np.tile(np.array([0, 0, 8, 8], np.float32), (len(labels), 1))
    return ImageRecord(Path(name), name, 8, 8, boxes, np.array(labels, np.int64), group)


FRACTIONS = {"train": 0.8, "val": 0.1, "test": 0.1}


def test_draw_is_stratified_disjoint_complete_and_independent_of_order() -> None:
    # 200 images of class 0, of which 20 also show class 2; 80 images of class 1; 30 images without objects
    records = [record(f"{i}", [0]) for i in range(180)] + [record(f"b{i}", [1, 1]) for i in range(80)]
    records += [record(f"c{i}", [2, 0]) for i in range(20)] + [record(f"d{i}", []) for i in range(30)]
    drawn = draw(records, FRACTIONS, 0)
    assert sorted(r.name for part in drawn.values() for r in part) == sorted(r.name for r in records)
    for label, expected in {0: (160, 20, 20), 1: (64, 8, 8), 2: (16, 2, 2)}.items():
        found = tuple(sum(label in r.labels for r in drawn[split]) for split in SPLITS)
        assert found == expected
    assert tuple(len(drawn[split]) for split in SPLITS) == (248, 31, 31)
    again, other = draw(records[::-1], FRACTIONS, 0), draw(records, FRACTIONS, 1)
    names = {split: {r.name for r in part} for split, part in drawn.items()}
    assert names == {split: {r.name for r in part} for split, part in again.items()}
    assert names != {split: {r.name for r in part} for split, part in other.items()}


def test_draw_is_the_same_on_every_machine() -> None:
    drawn = draw([record(f"{i}", [i % 2]) for i in range(20)], FRACTIONS, 0)
    assert sorted(r.name for r in drawn["val"]) == ["16", "5"]
    assert sorted(r.name for r in drawn["test"]) == ["12", "19"]


def test_draw_keeps_groups_together() -> None:
    records = [record(f"{plate}_{i}", [plate % 2], f"plate{plate}") for plate in range(40) for i in range(5)]
    drawn = draw(records, FRACTIONS, 0)
    homes = {r.group: split for split, part in drawn.items() for r in part}
    assert all(homes[r.group] == split for split, part in drawn.items() for r in part)
    assert Counter(homes.values()) == {"train": 32, "val": 4, "test": 4}


def test_committed_neu_det_lists_are_disjoint() -> None:
    lists = {split: (LISTS / f"{split}.txt").read_text().split() for split in SPLITS}
    assert {split: len(stems) for split, stems in lists.items()} == {"train": 1440, "val": 180, "test": 180}
    assert len({stem for stems in lists.values() for stem in stems}) == 1800
    for split, number in {"train": 240, "val": 30, "test": 30}.items():
        assert set(Counter(stem.rsplit("_", 1)[0] for stem in lists[split]).values()) == {number}


@pytest.mark.skipif("NEU_DET" not in os.environ, reason="NEU_DET is not set to the folder of NEU-DET")
def test_real_neu_det() -> None:
    lists = str(LISTS)
    index = voc(os.environ["NEU_DET"], images="IMAGES", annotations="ANNOTATIONS", splits=lists).index()
    boxes = np.concatenate([r.boxes for part in index.splits.values() for r in part])
    labels = np.concatenate([r.labels for part in index.splits.values() for r in part])
    assert {split: len(part) for split, part in index.splits.items()} == {
        "train": 1440,
        "val": 180,
        "test": 180,
    }
    # 4,189 boxes minus 3 exact duplicates
    counts = dict(zip(index.classes, np.bincount(labels).tolist(), strict=True))
    assert counts == {
        "crazing": 688,
        "inclusion": 1010,
        "patches": 880,
        "pitted_surface": 432,
        "rolled-in_scale": 628,
        "scratches": 548,
    }
    assert (boxes.min(), boxes.max()) == (0, 200)


@pytest.mark.parametrize(
    ("mode", "pixel", "rgb"),
    [
        ("L", 70, (70, 70, 70)),
        ("1", 1, (255, 255, 255)),
        ("RGBA", (10, 20, 30, 0), (10, 20, 30)),
        ("LA", (70, 9), (70, 70, 70)),
        ("I;16", 65535, (255, 255, 255)),
        ("I;16", 257 * 40 + 128, (40, 40, 40)),
        ("I;16", 257 * 40 + 129, (41, 41, 41)),
    ],
)
def test_image_modes_are_converted_to_rgb(
    tmp_path: Path, mode: str, pixel: Any, rgb: tuple[int, int, int]
) -> None:
    Image.new(mode, (5, 3), pixel).save(tmp_path / "x.png")
    image = read_image(tmp_path / "x.png")
    kinds = [kind for kind, _ in look(tmp_path / "x.png").unusual]
    assert kinds == {"I": ["16-bit image"], "R": ["transparent image"]}.get(mode[0], []) or mode == "LA"
    assert (image.shape, str(image.dtype), tuple(image[0, 0])) == ((3, 5, 3), "uint8", rgb)


def test_palette_and_cmyk_are_converted_to_rgb(tmp_path: Path) -> None:
    palette = Image.new("RGB", (4, 2), (200, 0, 0)).quantize(2)
    palette.save(tmp_path / "p.png", transparency=b"\x00\x80")
    assert read_image(tmp_path / "p.png")[0, 0].tolist() == [200, 0, 0]
    Image.new("CMYK", (4, 2), (0, 255, 255, 0)).save(tmp_path / "c.tif")
    assert read_image(tmp_path / "c.tif")[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_applies_to_the_size_and_the_pixels(
    tmp_path: Path, suffix: str, orientation: int
) -> None:
    image = Image.new("RGB", (32, 16))
    image.paste((255, 255, 255), (0, 0, 16, 8))  # the top left quarter, as stored
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(tmp_path / f"x.{suffix}", exif=exif)
    pixels = read_image(tmp_path / f"x.{suffix}")
    assert pixels.shape[:2] == look(tmp_path / f"x.{suffix}")[:2] == ((16, 32), (32, 16))[orientation > 4]
    # EXIF 2.3, table of orientations: (row, column) at which the stored top left corner is displayed
    row, column = {1: (0, 0), 2: (0, 1), 3: (1, 1), 4: (1, 0), 5: (0, 0), 6: (0, 1), 7: (1, 1), 8: (1, 0)}[
        orientation
    ]
    height, width = pixels.shape[:2]
    quarter = [
        [pixels[height // 4, width // 4], pixels[height // 4, 3 * width // 4]],
        [pixels[3 * height // 4, width // 4], pixels[3 * height // 4, 3 * width // 4]],
    ]
    assert [[int(q.mean() > 128) for q in line] for line in quarter] == [
        [int((r, c) == (row, column)) for c in range(2)] for r in range(2)
    ]


def test_errors_for_truncated_float_and_non_images_name_the_file(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "cut.png")
    data = (tmp_path / "cut.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(data[: len(data) // 2])
    Image.new("F", (4, 4), 0.5).save(tmp_path / "float.tif")
    (tmp_path / "text.jpg").write_text("no image")
    for name in ("cut.png", "float.tif", "text.jpg"):
        for read in (look, read_image):
            with pytest.raises(DataError, match=name):
                read(tmp_path / name)
