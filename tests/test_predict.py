"""Does `gffpn predict` find, name, write and continue what it promises?"""

import csv
import errno
import io
import json
import os
import re
import shutil
import signal
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from blobs import Blobs, painted
from gffpn.__main__ import main
from gffpn.data.readers.images import read_image, upright_rgb
from gffpn.deploy import detector as loading
from gffpn.deploy import pipeline
from gffpn.deploy.detector import ImageDetector
from gffpn.deploy.drawing import caption, colour, free_place, ink
from gffpn.deploy.journal import Journal, Result
from gffpn.deploy.predict import verdict
from gffpn.deploy.progress import progress_line
from gffpn.deploy.sources import images
from gffpn.deploy.writers import folder_name
from gffpn.machine.signals import stop_asked

DENT = (4, 6, 12, 10, 255)
WEAK = (20, 20, 24, 28, 204)
EVERYTHING = "pictures,yolo,crops,coco,csv"


@pytest.fixture(autouse=True)
def network(monkeypatch: pytest.MonkeyPatch) -> Blobs:
    """Let every command load a network that finds bright rectangles."""
    blobs = Blobs((64, 64))
    monkeypatch.setattr(loading, "open_network", lambda *_, **__: blobs)
    return blobs


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Write five images of 64 x 64 pixels, of which one is clean, and a broken file."""
    folder = tmp_path / "photos"
    (folder / "lot 2").mkdir(parents=True)
    for number in range(4):
        save(folder / f"{number}.png", painted(64, 64, DENT))
    save(folder / "lot 2" / "0.png", painted(64, 64, DENT, WEAK))
    save(folder / "2.png", painted(64, 64))
    (folder / "broken.png").write_bytes((folder / "0.png").read_bytes()[:60])
    return folder


def save(path: Path, pixels: np.ndarray) -> None:
    Image.fromarray(pixels).save(path)


def predict(*words: object) -> int:
    try:
        main(["predict", "RUN", *map(str, words)])
    except SystemExit as leaving:
        return int(leaving.code or 0)
    return 0


def contents(folder: Path) -> dict[str, bytes]:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_all_outputs_of_a_folder(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    out = tmp_path / "out"
    assert predict(photos, "--out", out, "--write", EVERYTHING) == 1
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [
        "NG 0.png: dent 1.00",
        "NG 1.png: dent 1.00",
        "OK 2.png",
        "NG 3.png: dent 1.00",
        "NG lot 2/0.png: dent 1.00, dent 0.80",
    ]
    assert f"{photos}/broken.png: not readable as an image" in printed.err
    assert "Scores from 0.25 (the default, because the run has no operating point)" in printed.err
    assert "5 images: 1 OK, 4 NG with 5 detections, 1 not readable" in printed.err
    written = set(contents(out))
    assert {"pictures/2.jpg", "pictures/lot 2/0.jpg", "labels/2.txt"} <= written
    assert {"crops/dent/lot 2/0_001.png", "crops/dent/lot 2/0_002.png"} <= written
    # cx, cy, w, h of 4..12 x 6..10 in 64 pixels
    assert (out / "labels" / "0.txt").read_text() == "0 0.1250000 0.1250000 0.1250000 0.0625000 1.0000\n"
    assert (out / "labels" / "2.txt").read_text() == ""
    # 25 % of 8 pixels around it: 2..14 x 4..12
    assert read_image(out / "crops" / "dent" / "0_001.png").shape == (8, 12, 3)
    with (out / "detections.csv").open() as file:
        rows = list(csv.reader(file))
    assert rows[1] == ["0.png", "dent", "1.0000", "4.00", "6.00", "12.00", "10.00"]
    assert len(rows) == 6
    coco = json.loads((out / "detections.coco.json").read_text())
    assert [image["file_name"] for image in coco["images"]][-1] == "lot 2/0.png"
    assert coco["categories"] == [{"id": 1, "name": "dent"}, {"id": 2, "name": "scratch"}]
    assert coco["annotations"][-1] == {
        "id": 5,
        "image_id": 5,
        "category_id": 1,
        "bbox": [20.0, 20.0, 4.0, 8.0],
        "area": 32.0,
        "iscrowd": 0,
        "score": pytest.approx(0.8),
    }


def test_a_killed_prediction_goes_on(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """Killed at the third image, in the middle of its picture and of its line in the journal."""
    (photos / "broken.png").unlink()
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    words = ["--write", EVERYTHING, "--batch", 1]
    assert predict(photos, "--out", whole, *words) == 0
    add = Journal.add

    def dies(journal: Journal, result: object) -> None:
        if len(journal) == 2:
            raise KeyboardInterrupt
        add(journal, result)

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "add", dies)
        assert predict(photos, "--out", killed, *words) == 130
    with (killed / "detections.jsonl").open("a") as journal:
        journal.write('{"name": "2.png", "stem"')
    (killed / "pictures" / ".2.jpg.123").write_bytes(b"half")
    assert not (killed / "detections.csv").exists()
    capsys.readouterr()
    assert predict(photos, "--out", killed, *words) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines()[0] == "OK 2.png"
    assert "5 images, 2 of them by an earlier call: 1 OK, 4 NG" in printed.err
    assert contents(killed) == contents(whole)


def test_a_finished_prediction_takes_new_and_changed_images_only(
    photos: Path, tmp_path: Path, network: Blobs, capsys: pytest.CaptureFixture
) -> None:
    (photos / "broken.png").unlink()
    out = tmp_path / "out"
    assert predict(photos, "--out", out) == 0
    before = sum(network.batches)
    save(photos / "1.png", painted(64, 64))
    save(photos / "10.png", painted(64, 64, DENT))
    capsys.readouterr()
    assert predict(photos, "--out", out) == 0
    assert sum(network.batches) == before + 2
    assert capsys.readouterr().out.splitlines() == ["OK 1.png", "NG 10.png: dent 1.00"]
    with (out / "detections.csv").open() as file:
        assert [row[0] for row in csv.reader(file)][1:] == ["0.png", "10.png", "3.png", *["lot 2/0.png"] * 2]


def described(out: Path) -> list[str]:
    """Return the images of the COCO file, and check that the CSV file and the pictures are of the same."""
    coco = json.loads((out / "detections.coco.json").read_text())
    names = [image["file_name"] for image in coco["images"]]
    flawed = {names[one["image_id"] - 1] for one in coco["annotations"]}
    with (out / "detections.csv").open() as file:
        assert {row[0] for row in list(csv.reader(file))[1:]} == flawed
    pictures = {name.removeprefix("pictures/")[:-4] for name in contents(out) if name.startswith("pictures/")}
    assert pictures == {name if "mp4/" in name else name.rpartition(".")[0] for name in names}
    return names


def test_the_files_of_all_images_describe_the_folder(photos: Path, tmp_path: Path) -> None:
    """New photos arrive and earlier ones are moved away; then a call has only one of them."""
    (photos / "broken.png").unlink()
    out = tmp_path / "out"
    assert predict(photos, "--out", out) == 0
    (photos / "0.png").rename(tmp_path / "0.png")
    save(photos / "7.png", painted(64, 64, DENT))
    assert predict(photos, "--out", out) == 0
    assert described(out) == ["0.png", "1.png", "2.png", "3.png", "7.png", "lot 2/0.png"]
    save(photos / "2.png", painted(64, 64, DENT))
    assert predict(photos / "2.png", "--out", out) == 0
    assert described(out) == ["0.png", "1.png", "3.png", "lot 2/0.png", "7.png", "2.png"]


def test_a_file_that_can_be_read_again_has_its_results_again(photos: Path, tmp_path: Path) -> None:
    """A list names an image on a disk that is away for one call; the file itself has not changed."""
    out = tmp_path / "out"
    (photos / "list.txt").write_text("lot 2/0.png\n1.png\n")
    words = (photos / "list.txt", photos / "3.png", "--out", out)
    assert predict(*words) == 0
    (photos / "lot 2").rename(photos / "away")
    assert predict(*words) == 1
    assert described(out) == ["1.png", "3.png"]
    (photos / "away").rename(photos / "lot 2")
    assert predict(*words) == 0
    assert described(out) == ["lot 2/0.png", "1.png", "3.png"]


def test_a_shorter_video_leaves_no_frame_of_the_earlier_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gffpn.data.index import DataError
    from gffpn.deploy import video

    def torn(_: object) -> Iterator[np.ndarray]:
        yield painted(64, 64)
        raise DataError("clip.mp4: not readable as a video")

    frame = painted(64, 64, DENT)
    monkeypatch.setattr(video, "library", lambda _: None)
    out, clip = tmp_path / "out", tmp_path / "clip.mp4"
    for content, frames, code, number in (
        (b"long", lambda _: iter([frame] * 4), 0, 4),
        (b"short", lambda _: iter([frame] * 3), 0, 3),
        (b"torn", torn, 1, 1),
    ):
        clip.write_bytes(content)
        monkeypatch.setattr(video, "frames", frames)
        assert predict(clip, "--out", out, "--write", EVERYTHING) == code
        assert described(out) == [f"clip.mp4/{one:06}" for one in range(1, number + 1)]


def test_what_an_unreadable_file_had_is_forgotten(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "out"
    (photos / "broken.png").unlink()
    assert predict(photos, "--out", out, "--write", EVERYTHING) == 0
    (photos / "0.png").write_bytes(b"no image")
    capsys.readouterr()
    assert predict(photos, "--out", out, "--write", EVERYTHING) == 1
    assert "1 not readable" in capsys.readouterr().err
    assert "0.png,dent" not in (out / "detections.csv").read_text().replace("lot 2/0.png,dent", "")
    kept = [name for name in contents(out) if name.rpartition("/")[2] in ("0.jpg", "0.txt", "0_001.png")]
    assert kept
    assert all("lot 2/" in name for name in kept)


def test_a_folder_that_cannot_be_listed_is_named(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    def refusing(path: str) -> object:
        if os.path.basename(path) == "lot 2":
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(ValueError, match="lot 2: cannot be listed: Permission denied"):
        images([str(photos)])


def test_other_settings_are_refused_or_start_over(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "out"
    predict(photos, "--out", out)
    capsys.readouterr()
    assert predict(photos, "--out", out, "--conf", 0.9) == 2
    message = capsys.readouterr().err.splitlines()[-1]
    assert "holds predictions with other settings (conf: 0.25, now 0.9); --out chooses another" in message
    assert predict(photos, "--out", out, "--conf", 0.9, "--overwrite") == 1
    assert "NG lot 2/0.png: dent 1.00\n" in capsys.readouterr().out
    assert predict(photos, "--out", out, "--write", "yolo", "--overwrite") == 1
    assert {"detections.csv", "detections.coco.json"}.isdisjoint(contents(out))


@pytest.mark.parametrize(
    ("first", "again"),
    [
        (["--classes", "dent", "scratch"], ["--classes", "scratch", "dent"]),
        (["--classes", "dent"], ["--classes", "dent", "dent"]),
        ([], ["--classes", "scratch", "dent"]),
        (["--write", "csv,yolo"], ["--write", "yolo,csv"]),
        (["--write", "csv"], ["--write", "csv,csv"]),
        (["--slice", "32"], ["--slice", "032"]),
        (["--max-det", "300"], []),
        (["--conf", "0.25"], []),
    ],
)
def test_equal_settings_in_other_words_continue(
    first: list[str], again: list[str], photos: Path, tmp_path: Path
) -> None:
    assert predict(photos / "0.png", "--out", tmp_path / "out", *first) == 0
    assert predict(photos / "0.png", "--out", tmp_path / "out", *again) == 0


def test_earlier_pictures_are_no_images(
    photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(photos)
    for source in (".", ".", "**/*.*"):
        predict(source, *(["--overwrite"] if "*" in source else []))
        assert "5 images" in capsys.readouterr().err


def test_exit_codes_of_a_production_line(photos: Path, tmp_path: Path) -> None:
    clean, flawed = photos / "2.png", photos / "0.png"
    for number, (sources, words, code) in enumerate(
        (
            ([clean], ["--fail-on-detection"], 0),
            ([clean, flawed], ["--fail-on-detection"], 3),
            ([flawed], [], 0),
            ([flawed], ["--fail-on-detection", "--classes", "scratch"], 0),
            ([flawed, photos / "broken.png"], ["--fail-on-detection"], 1),
            ([photos / "missing.png"], [], 2),
            ([flawed], ["--classes", "scrath"], 2),
            ([flawed], ["--conf", "1.5"], 2),
            ([flawed], ["--max-det", "0"], 2),
            ([flawed], ["--batch", "0"], 2),
            ([flawed], ["--slice", "big"], 2),
            ([flawed], ["--write", "xml"], 2),
            ([flawed], ["--write", "none"], 0),
        )
    ):
        assert predict(*sources, "--out", tmp_path / str(number), *words) == code, (sources, words)


def test_sources_in_order_and_once(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def names(*sources: object) -> list[str]:
        return [item.name for item in images([str(source) for source in sources])]

    (photos / "._0.png").write_bytes(b"left by macOS")
    (photos / "notes.md").write_text("no image")
    os.symlink(photos, photos / "lot 2" / "loop")
    save(tmp_path / "on another disk.png", painted(8, 8))
    everything = ["0.png", "1.png", "2.png", "3.png", "broken.png", "lot 2/0.png"]
    assert names(photos) == everything
    assert names(photos / "3.png", photos) == ["3.png", *(name for name in everything if name != "3.png")]
    assert names(f"{photos}/**/0.png") == ["0.png", "lot 2/0.png"]
    assert names(tmp_path / "on another disk.png", photos / "1.png") == [
        "on another disk.png",
        "photos/1.png",
    ]
    (tmp_path / "list.txt").write_text("\ufeffphotos/2.png\n\nphotos/gone.png\n", encoding="utf-8")
    assert names(tmp_path / "list.txt") == ["2.png", "gone.png"]
    save(photos / "2.jpg", painted(8, 8))
    assert [item.stem for item in images([f"{photos}/[12].*"])] == ["1", "2.jpg", "2.png"]
    (tmp_path / "a[1]").mkdir()
    save(tmp_path / "a[1]" / "x.png", painted(8, 8))
    monkeypatch.chdir(tmp_path)
    assert names("a[1]") == ["x.png"]
    for wrong, message in (
        ("nowhere", "no such file"),
        (f"{photos}/*.gif", "contains no image"),
        ("camera:a", "camera:0"),
    ):
        with pytest.raises(ValueError, match=message):
            names(wrong)


def test_a_video_needs_its_library_and_a_broken_one_is_named(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    from gffpn.data.index import DataError
    from gffpn.deploy import video

    (photos / "clip.MP4").write_bytes(b"")

    monkeypatch.setitem(sys.modules, "av", None)
    assert predict(photos, "--out", tmp_path / "out") == 2
    printed = capsys.readouterr().err
    assert f"{photos / 'clip.MP4'}: videos" in printed
    assert "install the extra `video`" in printed

    def frames(source: str) -> object:
        yield painted(64, 64, DENT)
        yield painted(64, 64)
        raise DataError(f"{source}: not readable as a video: truncated")

    monkeypatch.setattr(video, "library", lambda _: None)
    monkeypatch.setattr(video, "frames", frames)
    assert predict(photos / "clip.MP4", photos / "0.png", "--out", tmp_path / "out") == 1
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [
        "NG clip.MP4/000001: dent 1.00",
        "OK clip.MP4/000002",
        "NG 0.png: dent 1.00",
    ]
    assert "clip.MP4: not readable as a video: truncated" in printed.err
    assert (tmp_path / "out" / "pictures" / "clip.MP4" / "000001.jpg").is_file()


def test_frames_of_a_real_video(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Three frames of 64 x 64 pixels; the second one is clean. The codec blurs, so boxes are left out."""
    av = pytest.importorskip("av")
    with av.open(tmp_path / "clip.mp4", "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for boxes in ([(8, 8, 40, 40, 255)], [], [(8, 8, 40, 40, 255)]):
            frame = av.VideoFrame.from_ndarray(painted(64, 64, *boxes), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    (tmp_path / "torn.mp4").write_bytes((tmp_path / "clip.mp4").read_bytes()[:100])
    assert predict(tmp_path / "clip.mp4", tmp_path / "torn.mp4", "--out", tmp_path / "out") == 1
    printed = capsys.readouterr()
    assert [line.partition(":")[0] for line in printed.out.splitlines()] == [
        "NG clip.mp4/000001",
        "OK clip.mp4/000002",
        "NG clip.mp4/000003",
    ]
    assert "torn.mp4: not readable as a video" in printed.err


def test_a_title_in_an_older_encoding_keeps_no_video_from_being_read(tmp_path: Path) -> None:
    from gffpn.deploy.video import frames

    av = pytest.importorskip("av")
    path = tmp_path / "clip.avi"
    with av.open(path, "w") as container:
        container.metadata["title"] = "Pruefung"
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(painted(64, 96), format="rgb24")))
        container.mux(stream.encode())
    content = path.read_bytes()
    assert content.count(b"Pruefung") == 1
    path.write_bytes(content.replace(b"Pruefung", "Prüfung ".encode("latin-1")))
    assert [frame.shape for frame in frames(str(path))] == [(64, 96, 3)]


@pytest.mark.parametrize(
    ("matrix", "size", "corner"),
    [
        ((1, 0, 0, 1), (64, 96), (0, 0)),
        ((0, 1, -1, 0), (96, 64), (0, 1)),  # x' = -y, y' = x: clockwise
        ((-1, 0, 0, -1), (64, 96), (1, 1)),
        ((0, -1, 1, 0), (96, 64), (1, 0)),
        ((-1, 0, 0, 1), (64, 96), (0, 1)),  # mirrored, as by front cameras
        ((1, 0, 0, -1), (64, 96), (1, 0)),
        ((0, 1, 1, 0), (96, 64), (0, 0)),  # rows and columns exchanged
        ((0, -1, -1, 0), (96, 64), (1, 1)),
    ],
)
def test_frames_are_upright(
    matrix: tuple[int, ...], size: tuple[int, int], corner: tuple[int, int], tmp_path: Path
) -> None:
    """The track's header is given a matrix as phones write it; the bright corner was at the top left."""
    from gffpn.deploy.video import frames

    av = pytest.importorskip("av")
    path = tmp_path / "clip.mp4"
    with av.open(path, "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        frame = av.VideoFrame.from_ndarray(painted(64, 96, (0, 0, 32, 32, 255)), format="rgb24")
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    content = bytearray(path.read_bytes())
    a, b, c, d = (side << 16 for side in matrix)
    start = content.index(b"tkhd") + 44
    content[start : start + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    (upright,) = frames(str(path))
    assert upright.shape == (*size, 3)
    red = [[int(upright[y, x, 0]) > 128 for x in (8, -8)] for y in (8, -8)]
    assert red == [[(y, x) == corner for x in (0, 1)] for y in (0, 1)]


def test_a_display_matrix_by_hand() -> None:
    """The pixels 0 1 2 in the upper row and 3 4 5 in the lower one, where each matrix sends them."""
    from gffpn.deploy.video import upright

    pixels = np.arange(6, dtype=np.uint8).reshape(2, 3, 1)
    for matrix, rows in (
        (None, [[0, 1, 2], [3, 4, 5]]),
        ((0, 1, -1, 0), [[3, 0], [4, 1], [5, 2]]),  # clockwise
        ((-1, 0, 0, 1), [[2, 1, 0], [5, 4, 3]]),
        ((1, 0, 0, -1), [[3, 4, 5], [0, 1, 2]]),
        ((0, 1, 1, 0), [[0, 3], [1, 4], [2, 5]]),
        ((0, -1, -1, 0), [[5, 2], [4, 1], [3, 0]]),
    ):
        a, b, c, d = matrix or (0, 0, 0, 0)
        given = None if matrix is None else struct.pack("=9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
        assert upright(pixels, given)[:, :, 0].tolist() == rows


def test_unusual_files_are_read_as_in_training(tmp_path: Path) -> None:
    """16-bit grey, transparent, and rotated by EXIF: a path, an open image and an array give the same."""
    pixels = painted(20, 64, DENT)
    grey = np.zeros((20, 64), np.uint16)
    grey[6:10, 4:12] = 65535
    Image.fromarray(grey).save(tmp_path / "deep.png")
    Image.fromarray(np.dstack([pixels, np.full((20, 64), 90, np.uint8)])).save(tmp_path / "alpha.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # to be rotated by 90 degrees clockwise
    Image.fromarray(np.ascontiguousarray(np.rot90(pixels))).save(tmp_path / "turned.png", exif=exif)
    detector = ImageDetector(Blobs((32, 64)))
    for name in ("deep.png", "alpha.png", "turned.png"):
        found = detector(tmp_path / name)
        assert found.boxes.tolist() == [[4, 6, 12, 10]], name
        with Image.open(tmp_path / name) as opened:
            assert detector(opened).boxes.tolist() == found.boxes.tolist()
        assert detector(read_image(tmp_path / name)).boxes.tolist() == found.boxes.tolist()
    assert detector(grey).boxes.tolist() == [[4, 6, 12, 10]]
    assert detector(grey).names == ["scratch"]
    for wrong in (np.zeros((3, 20, 64), np.uint8), np.zeros((20, 64, 3), np.float32), np.zeros((0, 4, 3))):
        with pytest.raises(ValueError, match=r"image: got an array of shape"):
            detector(wrong)


def test_the_limits_of_a_detector() -> None:
    """Scores 1.00 and 0.80, classes dent and scratch; 204 / 255 counts at a threshold of exactly 0.8."""
    pixels = painted(32, 32, DENT, WEAK)
    pixels[20:28, 20:24, 1] = 255
    for options, names in (
        ({}, ["dent", "scratch"]),
        ({"threshold": 0.8}, ["dent", "scratch"]),
        ({"threshold": 0.81}, ["dent"]),
        ({"only": ["scratch"]}, ["scratch"]),
        ({"max_detections": 1}, ["dent"]),
    ):
        assert ImageDetector(Blobs(), **options)(pixels).names == names


def test_boxes_in_the_padding_are_clipped_to_the_image() -> None:
    """16 x 32 pixels fill the upper half of the input; the lower half is padding."""

    class Everywhere(Blobs):
        def _found(self, image: np.ndarray) -> object:
            from gffpn.deploy.detections import Detections

            boxes = np.array([[4, 8, 12, 24], [4, 20, 12, 28]], np.float32)
            return Detections(boxes, np.float32([0.9, 0.8]), np.int64([0, 0]), self.classes)

    found = ImageDetector(Everywhere())(np.zeros((16, 32, 3), np.uint8))
    assert found.boxes.tolist() == [[4, 8, 12, 16]]


def test_large_images_are_held_one_at_a_time(
    photos: Path, network: Blobs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    predict(photos, "--out", tmp_path / "a", "--batch", 4)
    assert network.batches == [4, 1]
    network.batches.clear()
    monkeypatch.setattr(pipeline, "HELD_BYTES", 64 * 64 * 3)
    predict(photos, "--out", tmp_path / "b", "--batch", 4)
    assert network.batches == [1] * 5
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_names_are_written_where_they_hide_no_object(tmp_path: Path) -> None:
    """Above the box lies another object, so the name goes below; at the lower edge it goes beside."""
    taken = np.array([[10.0, 30, 20, 40], [0, 15, 60, 28]])
    size = (100, 100)
    assert free_place((10, 30, 20, 40), (30, 10), taken, size) == (10, 41, 40, 51)
    assert free_place((10, 60, 20, 70), (30, 10), taken, size) == (10, 50, 40, 60)
    blocked = np.array([[10.0, 90, 20, 100], [0, 70, 60, 88]])
    assert free_place((10, 90, 20, 100), (30, 10), blocked, size) == (21, 90, 51, 100)
    everywhere = np.array([[0.0, 0, 100, 100]])
    assert free_place((10, 30, 20, 40), (30, 10), everywhere, size) is None


def test_the_picture_leaves_the_object_visible(photos: Path, tmp_path: Path) -> None:
    """64 pixels are enlarged 12 times; inside of the box, only JPEG's rounding changes the pixels."""
    predict(photos / "0.png", "--out", tmp_path / "out")
    shown = read_image(tmp_path / "out" / "pictures" / "0.jpg").astype(int)
    assert shown.shape == (768, 768, 3)
    assert np.abs(shown[7 * 12 : 9 * 12, 5 * 12 : 11 * 12] - [255, 0, 0]).max() < 40


def test_many_detections_are_counted() -> None:
    boxes = ((0.0, 0.0, 5.0, 5.0),) * 6
    many = Result("a.png", "a", (), 64, 64, boxes, (0.9, 0.8, 0.7, 0.6, 0.5, 0.4), (0, 0, 1, 0, 0, 0))
    assert verdict(many, ["dent", "hole"]) == "NG a.png: 5 dent (best 0.90), 1 hole (best 0.70)"


def test_captions_can_be_read() -> None:
    assert [caption(name, 3) for name in ("Überwurf [/]", "划痕", "a\nb")] == ["Überwurf [/]", "#3", "#3"]
    assert (ink((255, 255, 0)), ink((60, 20, 255))) == ("black", "white")
    assert len({colour(label) for label in range(40)}) == 40


def test_class_names_become_folders_on_every_system() -> None:
    assert [folder_name(3, name) for name in ("dent", "a/b", "Kratzer [/]", "..", "ä 1")] == [
        "dent",
        "3_a_b",
        "3_Kratzer [_]",
        "3_",
        "ä 1",
    ]


def test_progress_by_hand() -> None:
    """20 images in 4 seconds are 5 images/s; 60 are left."""
    assert progress_line(30, 10, 90, 4.0) == "30 of 90 images, 5.0 images/s, 0:12 left"
    assert progress_line(20, 0, None, 4.0) == "20 images, 5.0 images/s"
    assert progress_line(10, 10, 90, 4.0) == "10 of 90 images, 0.0 images/s, 0:00 left"


def test_frames_of_a_camera_are_numbered_on_and_never_taken_for_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    from gffpn.deploy import video

    seen = [[painted(64, 64)] * 2, [painted(64, 64, DENT)] * 2]
    monkeypatch.setattr(video, "library", lambda _: None)
    monkeypatch.setattr(video, "frames", lambda _: iter(seen.pop(0)))
    words = ("camera:0", "--out", tmp_path / "out", "--fail-on-detection")
    assert predict(*words) == 0
    assert capsys.readouterr().out.splitlines() == ["OK camera0/000001", "OK camera0/000002"]
    assert predict(*words) == 3
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("NG camera0/000003: dent")
    assert second.startswith("NG camera0/000004: dent")


@pytest.fixture
def heard() -> Iterator[None]:
    """Hear Ctrl-C, which a script's process in the background ignores."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("source", ["camera:0", "clip.mp4"])
def test_an_interrupted_stream_loses_nothing(
    source: str,
    number: signal.Signals,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    """Stopped at the third frame, while the first batch still waits for more; then it goes on."""
    from gffpn.deploy import video

    def endless(_: object) -> object:
        yield painted(64, 64, DENT)
        yield painted(64, 64, DENT)
        os.kill(os.getpid(), number)
        for _ in range(3):
            yield painted(64, 64)
        raise AssertionError("goes on")

    monkeypatch.chdir(tmp_path)
    Path("clip.mp4").write_bytes(b"a video")
    monkeypatch.setattr(video, "library", lambda _: None)
    monkeypatch.setattr(video, "frames", endless)
    before = signal.getsignal(number)
    assert predict(source, "--out", "out") == 130
    assert signal.getsignal(number) == before
    assert "Interrupted." in capsys.readouterr().err
    assert len(list(Path("out/pictures").rglob("*.jpg"))) == 2
    assert len(Path("out/detections.csv").read_text().splitlines()) == 1 + 2
    assert len(json.loads(Path("out/detections.coco.json").read_text())["annotations"]) == 2
    monkeypatch.setattr(video, "frames", lambda _: iter([painted(64, 64, DENT)] * 3))
    assert predict(source, "--out", "out") == 0
    found = 5 if source == "camera:0" else 3
    assert len(Path("out/detections.csv").read_text().splitlines()) == 1 + found


@pytest.mark.usefixtures("heard")
def test_a_second_interruption_ends_at_once() -> None:
    with stop_asked() as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop.is_set()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)


def test_nothing_of_earlier_detections_is_left(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = (photos, "--out", out, "--write", EVERYTHING)
    predict(*words)
    mine = out / "labels" / "mine.txt"
    mine.write_text("of the user")
    save(photos / "0.png", painted(64, 64))  # clean now
    predict(*words)
    assert not (out / "crops" / "dent" / "0_001.png").exists()
    assert (out / "crops" / "dent" / "lot 2" / "0_002.png").exists()
    predict(*words, "--conf", "0.9", "--overwrite")
    assert not (out / "crops" / "dent" / "lot 2" / "0_002.png").exists()
    predict(photos, "--out", out, "--write", "coco", "--overwrite")
    assert {name for name in contents(out) if "/" in name} == {"labels/mine.txt"}


def test_a_folder_with_equal_names_does_not_replace_another(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    shutil.copytree(photos, tmp_path / "lot B")
    assert predict(photos, "--out", tmp_path / "out") == 1
    assert predict(tmp_path / "lot B", "--out", tmp_path / "out") == 2
    message = capsys.readouterr().err
    assert f"images below: {photos}, now {tmp_path / 'lot B'}); --out chooses another folder" in message
    assert predict(photos / "lot 2", "--out", tmp_path / "out") == 2
    message = capsys.readouterr().err
    assert f"give {photos} itself, of which only new and changed images are taken; --out chooses" in message


def test_stems_are_unique(tmp_path: Path) -> None:
    for name in ("a.jpg", "a.png", "a.jpg.png", "b.png", "c"):
        save(tmp_path / f"{name}.png", painted(64, 64))
        (tmp_path / f"{name}.png").rename(tmp_path / name)
    found = list(images([str(tmp_path / name) for name in ("a.jpg", "a.png", "a.jpg.png", "b.png", "c")]))
    assert [item.stem for item in found] == ["a.jpg", "a.png", "a.jpg.png", "b", "c"]


@pytest.mark.parametrize("calls", [1, 2])
@pytest.mark.parametrize(
    "files",
    [
        ("a.png", "a.jpg"),
        ("a.png", "A.jpg"),
        ("a.jpg.png", "a.png", "a.jpg"),
        ("b/0.png", "c/0.png"),
        ("clip.mp4", "clip/000001.png"),
        ("clip.mp4", "clip.mov"),
        ("camera0/000001.png", "camera0/x.png"),
    ],
)
def test_no_image_takes_the_place_of_another(
    files: tuple[str, ...], calls: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each file appears in a call of its own, or all in one; a camera runs beside them."""
    from gffpn.deploy import video

    monkeypatch.setattr(video, "library", lambda _: None)
    monkeypatch.setattr(video, "frames", lambda _: iter([painted(64, 64)]))
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for position, name in enumerate(files):
        (source / name).parent.mkdir(exist_ok=True)
        if name.endswith((".png", ".jpg")):
            Image.fromarray(painted(64, 64, DENT)).save(source / name)
        else:
            (source / name).write_bytes(b"a video")
        if calls == 2 or position == len(files) - 1:
            assert predict(source, "camera:0", "--out", out, "--write", "pictures,yolo,csv") == 0
    frames = len(files) if calls == 2 else 1
    written = set(contents(out))
    assert len([one for one in written if one.endswith(".jpg")]) == len(files) + frames
    assert len([one for one in written if one.endswith(".txt")]) == len(files) + frames
    objects = sum(name.endswith((".png", ".jpg")) for name in files)
    texts = [path.read_text() for path in (out / "labels").rglob("*.txt")]
    assert sum(bool(text) for text in texts) == objects
    with (out / "detections.csv").open() as file:
        assert len(list(csv.reader(file))) == 1 + objects


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("detections.jsonl", "junk\n", "detections.jsonl, line 1: damaged: remove its folder, or choose"),
        ("detections.jsonl", '{"image": "a.png"}\n', "detections.jsonl, line 1: damaged"),
        ("detections.jsonl", "3\n", "detections.jsonl, line 1: damaged"),
        ("settings.json", "{\n", "settings.json: damaged: .*; --overwrite starts over"),
    ],
)
def test_a_damaged_file_of_an_earlier_call_is_named(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture, name: str, text: str, message: str
) -> None:
    out = tmp_path / "out"
    assert predict(photos, "--out", out) == 1  # one of the photos is damaged
    (out / name).write_text(text)
    assert predict(photos, "--out", out) == 2
    assert re.search(message, capsys.readouterr().err)


def test_a_later_image_of_equal_stem_keeps_both(tmp_path: Path) -> None:
    for name, boxes in (("a.png", [DENT]), ("a.jpg", [])):
        save(tmp_path / name, painted(64, 64, *boxes))
        assert predict(tmp_path / name, "--out", tmp_path / "out", "--write", "yolo") == 0
    assert (tmp_path / "out" / "labels" / "a.txt").read_text()
    assert (tmp_path / "out" / "labels" / "a.jpg.txt").read_text() == ""


@pytest.mark.parametrize("words", [[], ["--overwrite"]])
@pytest.mark.parametrize(
    "name",
    [
        "pictures/0.jpg",
        "labels/0.txt",
        "crops/dent/0_001.png",
        "detections.csv",
        "detections.coco.json",
        "detections.jsonl",
        "settings.json",
    ],
)
def test_files_that_no_prediction_wrote_are_kept(
    name: str, words: list[str], photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    mine = tmp_path / "out" / name
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    assert predict(photos / "0.png", "--out", tmp_path / "out", "--write", EVERYTHING, *words) == 2
    assert "exists, but no prediction wrote it; --out chooses another folder" in capsys.readouterr().err
    assert mine.read_text() == "mine"


@pytest.mark.parametrize("pattern", ["", "/*/*.png", "/**/*.png"])
def test_a_subfolder_that_appears_later_moves_no_name(
    pattern: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    for folder in ("b", "a"):
        (tmp_path / "in" / folder).mkdir(parents=True)
        save(tmp_path / "in" / folder / "0.png", painted(64, 64))
        assert predict(f"{tmp_path}/in{pattern}", "--out", tmp_path / "out") == 0
        assert capsys.readouterr().out == f"OK {folder}/0.png\n"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (f"{'a' * 251}.png", "File name too long"),
        (f"{'a' * 248}.bmp", "File name too long"),  # the picture's name fits, but the crop's does not
        ("ö" * 124 + ".png", "File name too long"),
        ("d.png", "Is a directory"),  # d.jpg is a folder of images, and has one among the pictures
    ],
)
def test_a_name_that_does_not_fit_ends_no_other_image(
    name: str, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    (source / "d.jpg").mkdir(parents=True)
    save(source / "d.jpg" / "0.png", painted(64, 64, DENT))
    written = ("--out", out, "--write", EVERYTHING)
    assert predict(source, *written) == 0
    for other in (name, "z.png"):
        save(source / other, painted(64, 64, DENT))
    capsys.readouterr()
    assert predict(source, *written) == 1
    printed = capsys.readouterr()
    assert printed.out == "NG z.png: dent 1.00\n"
    assert f"{name}: its results cannot have its name ({reason}); rename the image" in printed.err
    assert not [one for one in contents(out) if "/" in one and Path(one).name.startswith(name[:-4])]
    assert name not in (out / "detections.csv").read_text()


def test_a_source_with_a_long_name_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "list.txt").write_text(f"{'b' * 300}.png\n")
    assert predict("a" * 300, "--out", tmp_path / "out") == 2
    assert "aaa: no such file or folder" in capsys.readouterr().err
    assert predict(tmp_path / "list.txt", "--out", tmp_path / "out") == 1
    assert "bbb.png: not readable as an image" in capsys.readouterr().err


def test_a_full_disk_is_one_line(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "pictures/0.jpg")

    monkeypatch.setattr("gffpn.deploy.writers.Pictures.write", full)
    assert predict(photos, "--out", tmp_path / "out") == 4
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line == "ERROR: [Errno 28] No space left on device: 'pictures/0.jpg'"


def test_a_picture_is_no_larger_than_its_format_allows(tmp_path: Path) -> None:
    save(tmp_path / "line.png", painted(8, 66_000))
    assert predict(tmp_path / "line.png", "--out", tmp_path / "out") == 0
    with Image.open(tmp_path / "out" / "pictures" / "line.jpg") as picture:
        assert picture.width == 65_500


def test_an_image_of_the_caller_keeps_its_orientation() -> None:
    image = Image.fromarray(painted(20, 64, DENT))
    image.getexif()[0x0112] = 6
    stream = io.BytesIO()
    image.save(stream, "PNG", exif=image.getexif())
    opened = Image.open(stream)
    assert upright_rgb(opened).shape == (64, 20, 3)
    assert upright_rgb(opened.copy()).shape == (64, 20, 3)
