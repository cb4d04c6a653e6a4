"""Are images inspected only once, duplicates found, and the card's counts correct?"""

import dataclasses
import io
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms
from rich.console import Console

from gffpn.__main__ import main
from gffpn.data.card.card import card, class_conflicts, same_labels, suggested_image_size
from gffpn.data.card.duplicates import connections, near_duplicates
from gffpn.data.card.text import print_card
from gffpn.data.index import DataError, DataIndex, ImageRecord
from gffpn.data.letterbox import Letterbox
from gffpn.data.readers import inspection
from gffpn.data.readers.images import Look, look
from gffpn.files.content import content_digest, stamp
from gffpn.metrics.detection import DetectionMetric
from gffpn.metrics.matching import SIZE_EDGES, size_ranges

BINS = size_ranges(SIZE_EDGES)


def record(
    path: Path, boxes: list[list[float]], labels: list[int], size: tuple[int, int] = (64, 64)
) -> ImageRecord:
    xyxy = np.array(boxes, np.float32).reshape(-1, 4)
    content = content_digest(path) if path.exists() else ""
    return ImageRecord(path, path.name, *size, xyxy, np.array(labels, np.int64), content=content)


def texture(seed: int, side: int = 64) -> Image.Image:
    """Return random blotches of 4 x 4 pixels, which differ between seeds and survive JPEG."""
    cells = np.random.default_rng(seed).integers(0, 256, (side // 4, side // 4), np.uint8)
    return Image.fromarray(cells.repeat(4, 0).repeat(4, 1))


def inspect(paths: list[Path], cache: Path) -> dict[Path, inspection.Seen | DataError]:
    return inspection.inspect({path: stamp(path) for path in paths}, cache)


def inspected(result: inspection.Seen | DataError) -> Look:
    assert isinstance(result, inspection.Seen)
    return result.look


def test_an_intact_file_is_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texture(0).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_text("none")
    paths, cache = [tmp_path / "a.png", tmp_path / "b.png"], tmp_path / "cache"
    decoded: list[str] = []

    def counting(path: Path) -> Look:
        decoded.append(path.name)
        return look(path)

    monkeypatch.setattr(inspection, "look", counting)
    first = inspect(paths, cache)
    assert inspected(first[paths[0]]) == Look(64, 64, ())
    assert isinstance(first[paths[1]], DataError)
    inspect(paths, cache)
    assert sorted(decoded) == ["a.png", "b.png", "b.png"]  # b.png may have been repaired
    texture(1, side=32).save(paths[0])
    assert inspected(inspect(paths, cache)[paths[0]]) == Look(32, 32, ())
    for spoilt in ("no json", "[]", '{"rules": 0, "files": {}}'):
        (cache / inspection.MEMO).write_text(spoilt)
        assert inspected(inspect(paths[:1], cache)[paths[0]]) == Look(32, 32, ())
    assert decoded.count("a.png") == 5


def test_a_file_with_other_pixels_is_inspected_again_whatever_its_name_size_and_time(tmp_path: Path) -> None:
    path, copy = tmp_path / "a.bmp", tmp_path / "b.bmp"
    texture(0).save(path)
    shutil.copy(path, copy)
    before = path.stat()
    first = inspect([path, copy], tmp_path / "cache")
    assert first[path] == first[copy]
    texture(1).save(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    again = inspect([path, copy], tmp_path / "cache")
    assert inspected(again[path]) == inspected(first[path])
    assert again[path] != first[path]
    assert again[copy] == first[copy]


def test_a_memo_keeps_unusual_properties_and_other_data_sets(tmp_path: Path) -> None:
    Image.new("P", (8, 4)).save(tmp_path / "p.png")
    texture(0).save(tmp_path / "a.png")
    palette, plain = tmp_path / "p.png", tmp_path / "a.png"
    for _ in range(2):
        assert inspected(inspect([palette], tmp_path)[palette]) == Look(4, 8, (("palette image", "mode P"),))
        assert inspected(inspect([plain], tmp_path)[plain]) == Look(64, 64, ())
    assert len(json.loads((tmp_path / inspection.MEMO).read_text())["files"]) == 2


def test_a_cache_folder_that_cannot_be_written_causes_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    texture(0).save(tmp_path / "a.png")
    (tmp_path / "file").write_text("")
    assert inspect([tmp_path / "a.png"], tmp_path / "file" / "cache")
    assert "the next start reads every file again" in caplog.text


def test_connections_by_hand() -> None:
    """Four maps of 100: unchanged, one cell changed by 10, one cell by 11, and all cells by 10."""
    grey = np.full((4, 32, 32), 100, np.uint8)
    grey[1, 5, 7] = 110
    grey[2, 5, 7] = 89
    grey[3] = 110
    assert connections(grey, 10) == [[(0, 1), (0, 3)]]


def test_images_that_others_connect_are_one_group() -> None:
    """Maps of 100, 108, 116 and 200, of which the first and the third differ by 16."""
    grey = np.full((4, 32, 32), [[[100]], [[108]], [[116]], [[200]]], np.uint8)
    assert connections(grey, 10) == [[(0, 1), (1, 2)]]
    assert connections(grey[[0, 2, 3, 1]], 10) == [[(0, 3), (1, 3)]]


def test_a_long_video_is_one_group_with_few_pairs() -> None:
    """All pairs of 3,000 equal frames would be 4.5 million."""
    grey = np.full((3000, 32, 32), 100, np.uint8)
    grey[0] = 0
    assert connections(grey, 10) == [[(1, other) for other in range(2, 3000)]]


def test_no_connection_is_missed_across_blocks() -> None:
    generator = np.random.default_rng(0)
    grey = generator.integers(0, 240, (1100, 32, 32)).astype(np.uint8)
    grey[1050] = grey[3] + generator.integers(0, 11, (32, 32)).astype(np.uint8)
    grey[600] = grey[599]
    assert connections(grey, 10) == [[(3, 1050)], [(599, 600)]]


def test_copies_with_another_compression_or_size_are_near_duplicates(tmp_path: Path) -> None:
    texture(0, 128).save(tmp_path / "a.png")
    texture(0, 128).save(tmp_path / "b.jpg", quality=60)
    texture(0, 128).resize((256, 256), Image.Resampling.NEAREST).save(tmp_path / "c.png")
    shutil.copy(tmp_path / "a.png", tmp_path / "d.png")
    texture(1, 128).save(tmp_path / "e.png")
    deep = np.asarray(texture(0, 128)).astype(np.uint16) * 256
    Image.fromarray(deep).save(tmp_path / "f.png")
    records = [
        record(tmp_path / name, [], []) for name in ("a.png", "b.jpg", "c.png", "d.png", "e.png", "f.png")
    ]
    (group,) = near_duplicates(records)
    assert (group.images, group.exact) == ((0, 1, 2, 3, 5), False)
    assert [(pair.one, pair.other) for pair in group.pairs] == [(0, 1), (0, 2), (0, 3), (0, 5)]
    assert [pair.exact for pair in group.pairs] == [False, False, True, False]
    (copies,) = near_duplicates([records[0], records[3], records[4]])
    assert (copies.images, copies.exact) == ((0, 1), True)


def test_copies_that_are_stored_turned_or_in_other_colours_are_near_duplicates(tmp_path: Path) -> None:
    """Training sees such images alike, with data.unusual_images=convert."""
    upright = texture(0, 128).convert("RGB")
    upright.save(tmp_path / "a.png")
    turn = Image.Exif()
    turn[0x0112] = 6
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "b.jpg", exif=turn, quality=90)
    profiles = (ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"))
    lab = ImageCms.profileToProfile(upright, *profiles, outputMode="LAB")
    assert lab is not None
    lab.save(tmp_path / "c.tif")
    (group,) = near_duplicates([record(tmp_path / name, [], []) for name in ("a.png", "b.jpg", "c.tif")])
    assert (group.images, group.exact) == ((0, 1, 2), False)


@pytest.mark.parametrize(
    ("boxes", "labels", "size", "same"),
    [
        ([[0, 0, 32, 32], [40, 40, 60, 60]], [0, 1], (64, 64), True),
        ([[40, 40, 60, 60], [0, 0, 32, 32]], [1, 0], (64, 64), True),
        ([[0, 0, 64, 64], [80, 80, 120, 120]], [0, 1], (128, 128), True),  # the picture at twice the size
        ([[0, 0, 32, 32], [40, 40, 60, 60]], [1, 0], (64, 64), False),
        ([[0, 0, 32, 32]], [0], (64, 64), False),
        ([[0, 0, 32, 32], [20, 20, 40, 40]], [0, 1], (64, 64), False),
        ([], [], (64, 64), False),
    ],
)
def test_near_duplicates_with_different_labels(
    boxes: list[list[float]], labels: list[int], size: tuple[int, int], same: bool
) -> None:
    one = record(Path("a"), [[0, 0, 32, 32], [40, 40, 60, 60]], [0, 1])
    other = record(Path("b"), boxes, labels, size)
    assert same_labels(one, other) is same
    assert same_labels(other, one) is same
    assert same_labels(other, other)


def test_boxes_of_two_classes_in_one_place_conflict() -> None:
    # 20 x 20 has an IoU of 0.95 with 20 x 19, and of 0.85 with 20 x 17
    found = class_conflicts(record(Path("a"), [[0, 0, 20, 20], [0, 0, 20, 19], [0, 0, 20, 17]], [0, 1, 2]))
    assert found == [(0, 1)]


@pytest.fixture
def index(tmp_path: Path) -> DataIndex:
    """Return an index in which a.png and d.png are one picture with different labels.

    Lengths in network pixels are half of those in native pixels.
    """
    for name, seed in {"a.png": 0, "b.png": 1, "c.png": 2, "d.png": 0}.items():
        texture(seed).save(tmp_path / name)
    train = (
        record(tmp_path / "a.png", [[0, 0, 16, 16], [10, 10, 13, 40]], [0, 1]),
        record(tmp_path / "b.png", [], []),
    )
    val = (record(tmp_path / "c.png", [[0, 0, 64, 64]], [0]),)
    test = (record(tmp_path / "d.png", [[0, 0, 16, 16]], [0]),)
    return DataIndex(("dent", "crack"), {"train": train, "val": val, "test": test}, mended={"mended": 3})


def test_a_card_by_hand(index: DataIndex) -> None:
    report = json.loads(json.dumps(card(index, (32, 32), BINS)))
    assert report["splits"]["train"] == {"images": 2, "empty": 1, "boxes": 2}
    assert report["classes"] == {
        "dent": {"train": 1, "val": 1, "test": 1},
        "crack": {"train": 1, "val": 0, "test": 0},
    }
    # sides 16, sqrt(3 x 30) = 9.5 and 64; half as long in the network
    assert {name: row["train"] for name, row in report["bins"].items() if row["train"]} == {
        "0_8": 1,
        "8_16": 1,
        "native_8_16": 1,
        "native_16_32": 1,
    }
    assert report["bins"]["32_96"]["val"] == report["bins"]["native_32_96"]["val"] == 1
    # 8 and 4.74 in the network, on average 6.37: 26 px would enlarge the files by more than twice their size
    assert report["sides"] == {"10 %": 5.1, "median": 6.4, "90 %": 7.7}
    assert report["suggested_image_size"] == [128, 128]
    assert report["thin"]["crack"] == {"train": 1, "val": 0, "test": 0}  # 3 native pixels, 1.5 in the network
    assert report["thin"]["dent"] == {"train": 0, "val": 0, "test": 0}
    assert report["image_sizes"] == {"64 x 64": {"train": 2, "val": 1, "test": 1}}
    pair = {"images": ["a.png", "d.png"], "splits": ["train", "test"], "exact": True}
    assert report["near_duplicates"] == report["label_conflicts"] == [pair]
    assert report["class_conflicts"] == []
    assert report["mended"] == {"mended": 3}


def test_a_group_of_near_duplicates_is_a_line(index: DataIndex, tmp_path: Path) -> None:
    """The same picture four times in train and once each in val and test, one of them with other labels."""
    paths = [tmp_path / f"copy{number}.png" for number in range(5)]
    for path in paths:
        shutil.copy(tmp_path / "a.png", path)
    box = [[0.0, 0, 16, 16]]
    train = [record(path, box, [0]) for path in paths[:4]]
    parts = {"train": (*train,), "val": (record(paths[4], box, [0]),), "test": index.splits["test"]}
    report = card(dataclasses.replace(index, splits=parts), (32, 32), BINS)
    (group,) = report["near_duplicates"]
    assert group["images"] == [*(path.name for path in paths), "d.png"]
    assert group["splits"] == [*["train"] * 4, "val", "test"]
    assert report["label_conflicts"] == []
    stream = io.StringIO()
    print_card(report, Console(file=stream, width=200))
    lines = stream.getvalue().splitlines()
    start = lines.index("Groups of near-duplicates across splits (they inflate test results): 1")
    assert lines[start + 1 : start + 3] == [
        "  copy0.png (train) = copy4.png (val) = d.png (test) and 3 more",
        "Groups of near-duplicates within a split: none",
    ]
    parts = {**parts, "val": index.splits["val"], "test": index.splits["train"][1:]}
    print_card(card(dataclasses.replace(index, splits=parts), (32, 32), BINS), Console(file=stream))
    assert "  copy0.png (train) = copy1.png (train) and 2 more\n" in stream.getvalue()


def test_a_larger_image_is_suggested_for_small_objects(index: DataIndex) -> None:
    records = index.splits["train"][:1]  # median 12.74 in native pixels
    assert suggested_image_size(records, (64, 64)) == [128, 128]  # 26 / 12.74 x 64 = 130.6
    assert suggested_image_size(records, (128, 128)) is None
    assert suggested_image_size(index.splits["train"][1:], (64, 64)) is None


def test_a_card_counts_bins_as_the_metrics_do(index: DataIndex) -> None:
    metric = DetectionMetric(index.classes)
    for number, entry in enumerate(index.splits["train"]):
        fit = Letterbox.fit((entry.height, entry.width), (32, 32))
        target: dict[str, Any] = {
            "boxes": torch.from_numpy(fit.to_network(entry.boxes)),
            "labels": torch.from_numpy(entry.labels),
            "image_index": number,
            "scale": fit.scale,
        }
        nothing = {"boxes": torch.zeros(0, 4), "scores": torch.zeros(0), "labels": torch.zeros(0).long()}
        metric.update([nothing], [target])
    figures = metric.compute()
    bins = card(index, (32, 32), BINS)["bins"]
    counts = {key[2:]: int(value) for key, value in figures.items() if key.startswith("n_")}
    assert {name: row["train"] for name, row in bins.items()} == {name: counts[name] for name in bins}


def verb(capsys: pytest.CaptureFixture, *arguments: str) -> str:
    main(["data", *arguments])
    return str(capsys.readouterr().out)


def test_the_verbs_on_a_good_set(tiny: list[str], capsys: pytest.CaptureFixture) -> None:
    assert verb(capsys, "check", *tiny) == (
        "no faults: 16 images (train 8, val 4, test 4), 16 boxes, 2 classes\n"
    )
    text = verb(capsys, "card", *tiny)
    for words in (
        "Boxes by class",
        "bright",
        "16_32",
        "native_16_32",
        "64 x 64",
        "Groups of near-duplicates across splits",
    ):
        assert words in text
    report = json.loads(verb(capsys, "card", "--json", *tiny))
    assert report["splits"]["train"]["images"] == 8


def test_check_reports_every_fault_that_skipping_would_drop(
    tiny: list[str], squares: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    root = tmp_path / "spoilt"
    shutil.copytree(squares, root)
    for number in range(8):
        (root / "labels" / f"train{number}.txt").write_text(
            "".join(f"9 0.5 0.5 0.1 0.{n}\n" for n in range(1, 6))
        )
    overrides = [*tiny, f"data.root={root}", f"data.splits={root}/splits", "data.on_error=skip"]
    with pytest.raises(SystemExit) as leaving:
        main(["data", "check", *overrides])
    assert leaving.value.code == 1
    printed = capsys.readouterr().out
    assert "40 faults in the data set" in printed
    assert printed.count("class 9, expected 0 to 1") == 40  # every fault is listed
