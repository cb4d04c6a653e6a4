"""Is the index of a large set remembered, and read again after every change that matters?"""

import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import large_set
from gffpn.build.index import build_index
from gffpn.config.compose import compose_config
from gffpn.data.index import DataError, DataIndex, ImageRecord
from gffpn.data.readers import annotation, index_memo, inspection, intake
from gffpn.data.readers.auto import Auto
from gffpn.data.readers.index_memo import read_index
from gffpn.files.folder_stamp import folder_stamp
from gffpn.files.sources import Modules, code_digest

IMAGES = 20
ARGUMENTS = {
    "classes": None,
    "splits": None,
    "fractions": (0.8, 0.1, 0.1),
    "split_seed": 0,
    "group_pattern": None,
    "outside": "refuse",
    "unusual_images": "refuse",
    "on_error": "raise",
    "crowd": None,
    "corners": None,
    "shapes": "refuse",
    "unlabelled": None,
}
LABEL = "yolo/labels/000003.txt"


class Reading:
    """A drawn set, the number of times that its files were read, and what was logged."""

    def __init__(self, folder: Path, log: pytest.LogCaptureFixture) -> None:
        self.folder, self.log, self.times = folder, log, 0

    def __call__(
        self, form: str, *, image_size: tuple[int, int] = (64, 64), **changes: object
    ) -> tuple[DataIndex, list[str]]:
        """Return the index and the log; `changes` are arguments that are not as in conf/data/auto.yaml."""
        self.log.clear()
        arguments: dict[str, Any] = {**ARGUMENTS, "root": str(self.folder / form), **changes}
        with self.log.at_level(logging.INFO, "gffpn.data.readers"):
            index = read_index(Auto(self.folder / "cache", image_size, **arguments))
        return index, [f"{one.name} {one.levelname} {one.getMessage()}" for one in self.log.records]

    @property
    def memos(self) -> list[Path]:
        return list(self.folder.glob("cache/read-sets/*"))


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Reading:
    """Draw a set that counts as large, and as unchanged for long."""
    large_set.draw(tmp_path, IMAGES)
    reading, inspect = Reading(tmp_path, caplog), inspection.inspect

    def counted(*arguments: object) -> object:
        reading.times += 1
        return inspect(*arguments)

    monkeypatch.setattr(intake, "inspect", counted)
    monkeypatch.setattr(index_memo, "FEWEST", IMAGES)
    monkeypatch.setattr(index_memo, "SETTLED_NS", -(10**11))
    return reading


def facts(record: ImageRecord) -> tuple[object, ...]:
    arrays = (record.boxes, record.labels, record.crowd)
    plain = (record.path, record.name, record.height, record.width, record.group, record.content)
    return (*plain, *((array.dtype, array.shape, array.tobytes()) for array in arrays))


def write_crowd_and_duplicate(folder: Path) -> None:
    """Make the first annotation of the COCO set a crowd, and repeat a line of a YOLO label."""
    content = json.loads((folder / "coco/annotations.json").read_text())
    content["annotations"][0]["iscrowd"] = 1
    (folder / "coco/annotations.json").write_text(json.dumps(content))
    text = (folder / LABEL).read_text()
    (folder / LABEL).write_text(text + text.splitlines()[0])


@pytest.mark.parametrize("form", large_set.FORMS)
def test_an_unchanged_set_is_remembered_with_everything_that_was_said(read: Reading, form: str) -> None:
    write_crowd_and_duplicate(read.folder)
    first, said = read(form, crowd="ignore", group_pattern=r"(\d)$")
    again, said_again = read(form, crowd="ignore", group_pattern=r"(\d)$")
    assert read.times == 1
    assert said == said_again
    assert any("drew val and test from train" in line for line in said)
    assert first.mended == again.mended
    assert bool(first.mended) == (form == "yolo")
    assert any(record.has_crowd for part in again.splits.values() for record in part) == (form == "coco")
    assert first.fingerprint == again.fingerprint
    assert (first.classes, [*first.splits]) == (again.classes, [*again.splits])
    for split, part in first.splits.items():
        assert list(map(facts, part)) == list(map(facts, again.splits[split]))


def edit(folder: Path) -> None:
    """Change a digit of a label and set its time back."""
    path, before = folder / LABEL, (folder / LABEL).stat()
    first, rest = path.read_text().split(" ", 1)
    path.write_text(f"{(int(first) + 1) % 8} {rest}")
    assert path.stat().st_size == before.st_size
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def rename(folder: Path) -> None:
    for name in ("images/{}.jpg", "labels/{}.txt"):
        os.rename(folder / "yolo" / name.format("000003"), folder / "yolo" / name.format("x"))


def remove(folder: Path) -> None:
    for name in ("images/000003.jpg", "labels/000003.txt"):
        (folder / "yolo" / name).unlink()


def replace_by_link(folder: Path) -> None:
    os.rename(folder / LABEL, folder / "moved.txt")
    (folder / LABEL).symlink_to(folder / "moved.txt")


def rename_class(folder: Path) -> None:
    (folder / "yolo/classes.txt").write_text("\n".join(["dent", *large_set.CLASSES[1:]]))


def write_lists(folder: Path) -> None:
    for split, numbers in {"train": range(10), "val": range(10, 15), "test": range(15, 20)}.items():
        (folder / "yolo" / f"{split}.txt").write_text("".join(f"{number:06}\n" for number in numbers))


CHANGES: dict[str, Callable[[Path], object]] = {
    "edit of equal size and time": edit,
    "renamed image": rename,
    "label moved behind a link": replace_by_link,
    "other class name": rename_class,
    "image less": remove,
    "hidden file": lambda folder: (folder / "yolo/.x").touch(),
    "split lists": write_lists,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_changed_set_is_read_again(read: Reading, change: Callable[[Path], object]) -> None:
    read("yolo")
    change(read.folder)
    changed, said = read("yolo")
    assert read.times == 2
    for path in read.memos:
        path.unlink()
    fresh, said_fresh = read("yolo")
    assert (changed.fingerprint, said) == (fresh.fingerprint, said_fresh)


def test_a_run_reads_its_set_in_this_way(read: Reading) -> None:
    place = [f"data.root={read.folder / 'yolo'}", f"paths.cache={read.folder / 'cache'}"]
    with read.log.at_level(logging.INFO, "gffpn.data.readers"):
        first, again = (build_index(compose_config(["data=auto", *place])) for _ in range(2))
    assert (read.times, again.fingerprint) == (1, first.fingerprint)


def test_other_arguments_and_other_code_read_again(read: Reading, monkeypatch: pytest.MonkeyPatch) -> None:
    first, _ = read("yolo")
    other, _ = read("yolo", split_seed=1)
    assert read.times == 2
    assert other.fingerprint != first.fingerprint
    read("yolo", image_size=(320, 320))  # no reader depends on it
    assert read.times == 2
    monkeypatch.setattr(index_memo, "code_digest", lambda _: "other")
    read("yolo")
    assert read.times == 3


def test_the_code_of_a_reader_is_that_of_rooms_without_torch(
    read: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def noted(modules: Modules) -> str:
        seen.extend(modules)
        return code_digest(modules)

    monkeypatch.setattr(index_memo, "code_digest", noted)
    read("yolo")
    assert {f"gffpn.data.readers.{name}" for name in ("yolo", "auto", "index_memo")} < set(seen)
    assert {name.split(".")[1] for name in seen} <= {"choice", "data", "files", "machine"}


def test_lists_outside_the_root_belong_to_the_set(read: Reading) -> None:
    lists = read.folder / "lists"
    lists.mkdir()
    write_lists(read.folder)
    for split in ("train", "val", "test"):
        (read.folder / "yolo" / f"{split}.txt").rename(lists / f"{split}.txt")
    for _ in range(2):
        read("yolo", splits=str(lists))
    assert read.times == 1
    (lists / "test.txt").write_text("000015\n")
    index, _ = read("yolo", splits=str(lists))
    assert (read.times, len(index.splits["test"])) == (2, 1)


@pytest.mark.parametrize("keep", [0, 100, -1])
def test_a_damaged_memory_is_made_again(read: Reading, keep: int) -> None:
    first, _ = read("coco")
    (path,) = read.memos
    path.write_bytes(path.read_bytes()[:keep])
    again, _ = read("coco")
    assert (read.times, again.fingerprint) == (2, first.fingerprint)
    read("coco")
    assert read.times == 2


def test_a_flipped_bit_in_a_box_is_noticed(read: Reading) -> None:
    first, _ = read("coco")
    (path,) = read.memos
    box = np.concatenate([record.boxes for part in first.splits.values() for record in part]).tobytes()
    raw = path.read_bytes()
    place = raw.index(box)
    path.write_bytes(raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :])
    again, _ = read("coco")
    assert (read.times, again.fingerprint) == (2, first.fingerprint)


def test_faults_are_found_every_time(read: Reading) -> None:
    (read.folder / LABEL).write_text("0 0.5 0.5 0.2\n")
    messages = set()
    for _ in range(2):
        with pytest.raises(DataError, match="000003") as caught:
            read("yolo")
        messages.add(str(caught.value))
    assert len(messages) == 1
    said = [read("yolo", on_error="skip")[1] for _ in range(2)]
    assert said[0] == said[1]
    assert any("dropped, unreadable annotation: labels/000003.txt" in line for line in said[0])
    assert (read.times, read.memos) == (4, [])


def test_a_set_that_may_have_changed_meanwhile_is_not_remembered(
    read: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_memo, "SETTLED_NS", 0)
    annotate = annotation.clear_boxes

    def edited(*arguments: object) -> object:
        edit(read.folder)
        return annotate(*arguments)

    monkeypatch.setattr(intake, "clear_boxes", edited)
    read("yolo")
    assert read.memos == []


@pytest.mark.parametrize("limit", ["FEWEST", "FILES"])
def test_small_sets_and_those_among_many_files_are_not_remembered(
    read: Reading, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(index_memo, limit, {"FEWEST": IMAGES + 1, "FILES": 1}[limit])
    read("yolo")
    assert read.memos == []


def test_without_room_for_the_memory_every_start_reads(read: Reading) -> None:
    (read.folder / "cache").mkdir()
    (read.folder / "cache/read-sets").touch()
    for _ in range(2):
        read("coco")
    assert read.times == 2


def test_a_folder_stamp_follows_links_and_ends(tmp_path: Path) -> None:
    root, disk = tmp_path / "root", tmp_path / "disk"
    for folder in (root, disk):
        folder.mkdir()
    (disk / "a").touch()
    (root / "inner").symlink_to(disk)
    (disk / "back").symlink_to(root)
    first = folder_stamp([root], most=3)
    assert first is not None
    assert first.files == 3  # two links and a file
    assert folder_stamp([root], most=2) is None
    os.rename(disk, tmp_path / "other")
    assert folder_stamp([root], most=3) is None  # a link to nothing
    (root / "inner").unlink()
    (root / "inner").symlink_to(tmp_path / "other")
    second = folder_stamp([root], most=3)
    assert second is not None
    assert second.digest != first.digest
    assert folder_stamp([tmp_path / "missing"], most=3) is None
