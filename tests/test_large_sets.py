"""Is a large set read without work that grows faster than it, and measured by the benchmark?"""

import gc
import os
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from benchmarks import large_set
from benchmarks.large_set import Taken
from gffpn.build.index import build_index
from gffpn.config.compose import compose_config
from gffpn.data.card.duplicates import connections
from gffpn.data.index import DataError, DataIndex
from gffpn.data.readers import auto
from gffpn.data.readers.annotation import Annotation, checked_boxes
from gffpn.data.readers.faults import Faults, Kind
from gffpn.data.readers.listing import suffix_of, without_suffix
from gffpn.data.readers.recognise.recognition import recognise
from gffpn.data.readers.root import Root, below


def read(folder: Path, form: str) -> DataIndex:
    place = folder / form
    return build_index(compose_config(["data=auto", f"data.root={place}", f"paths.cache={folder / 'cache'}"]))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("large")
    large_set.draw(folder, 60)
    return folder


def test_both_forms_of_the_drawn_set_are_the_same(drawn: Path) -> None:
    coco, yolo = (read(drawn, form) for form in large_set.FORMS)
    assert coco.fingerprint == yolo.fingerprint
    records = [record for part in coco.splits.values() for record in part]
    assert len(records) == len({record.content for record in records}) == 60
    assert 60 * 5 < sum(len(record.boxes) for record in records) < 60 * 10
    assert not coco.mended


def test_folders_are_resolved_once_and_not_for_every_image(
    drawn: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve, calls = os.path.realpath, []

    def counted(path: str, **options: bool) -> str:
        calls.append(path)
        return resolve(path, **options)

    monkeypatch.setattr(os.path, "realpath", counted)
    for form in large_set.FORMS:
        read(drawn, form)
    inside = [Path(path) for path in calls if Path(path).is_relative_to(drawn)]
    assert not [path for path in inside if path.suffix in (".jpg", ".txt")]
    assert 0 < len(inside) < 20


def test_the_index_is_read_without_garbage_collection(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    states: list[bool] = []

    def noted(root: Root) -> object:
        states.append(gc.isenabled())
        return recognise(root)

    monkeypatch.setattr(auto, "recognise", noted)
    read(drawn, "coco")
    assert (states, gc.isenabled()) == ([False], True)
    with pytest.raises(DataError, match="no form that data=auto recognises"):
        read(drawn / "coco", "images")
    assert (states, gc.isenabled()) == ([False] * 2, True)
    gc.disable()
    try:
        read(drawn, "coco")
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_a_fingerprint_is_computed_once(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = read(drawn, "coco")
    first = index.fingerprint
    monkeypatch.setattr(np, "ascontiguousarray", None)
    assert index.fingerprint == first


def test_links_lead_to_their_targets_wherever_they_lie(tmp_path: Path) -> None:
    (tmp_path / "disk" / "lot").mkdir(parents=True)
    (tmp_path / "disk" / "lot" / "a.png").touch()
    root = tmp_path / "set"
    root.mkdir()
    (root / "images").symlink_to(tmp_path / "disk")
    (root / "one.png").symlink_to(tmp_path / "disk" / "lot" / "a.png")
    where = Root(str(root), "images")
    real = tmp_path.resolve() / "disk" / "lot" / "a.png"
    assert where.inside("images/lot/a.png") == where.inside("one.png") == real
    assert where.inside("images/lot/./a.png") == where.inside(r"images\lot\a.png") == real
    assert where.inside("images/lot/") == where.inside("images/lot/.") == real.parent
    assert where.inside("images/lot/b.png") == real.with_name("b.png")
    assert where.inside(".") == where.inside("") == root.resolve()
    for name in (
        "../a.png",
        "/a.png",
        "images/../a.png",
        "C:/a.png",
        "C:a.png",
        r"\\disk\a",
        "a\0",
        "\ud800",
    ):
        assert where.inside(name) is None, name


PATHS = [
    "a",
    "a.b",
    "lot/a.jpg",
    "./a",
    "a/",
    "a//b",
    "/a",
    "a/./b",
    r"a\b",
    "",
    ".",
    ".a",
    "a/.b",
    "a/..",
    "//a",
]


@pytest.mark.parametrize(
    "folder", ["", ".", "images", "images/train", "images/", "./images", r"images\lot", "/x"]
)
def test_short_paths_are_those_of_pathlib(folder: str) -> None:
    for name in PATHS:
        plain = PurePosixPath(folder.replace("\\", "/"), name.replace("\\", "/"))
        assert below(folder, name) == str(plain), name


def test_suffixes_are_those_of_the_standard_library() -> None:
    for name in [*PATHS, "a.JPG", "a.tar.gz", "lot.1/a", "lot.1/.a", "..a", "a/..b.c", "a.", "...", "a..b"]:
        assert without_suffix(name) == os.path.splitext(name)[0], name
        assert suffix_of(name) == os.path.splitext(name)[1].lower(), name


@pytest.mark.parametrize(
    ("side", "box", "expected"),
    [
        (100, (0.0, 0.0, 100.0, 100.0), None),
        (100, (99.0, 0.0, 99.00003, 9.0), None),  # float32 has steps of 0.0000076 here
        (100, (99.0, 0.0, 99.000001, 9.0), Kind.EMPTY_BOX),
        (100, (0.0, 9.0, 9.0, 9.0), Kind.EMPTY_BOX),
        (100, (float("nan"), 0.0, 9.0, 9.0), Kind.NOT_FINITE),
        (100, (0.0, 0.0, 9.0, float("nan")), Kind.NOT_FINITE),
        (100, (0.0, 0.0, 103.0, 9.0), Kind.BOX_OUTSIDE),
        (1 << 25, (2.0**24, 0.0, 2.0**24 + 1, 9.0), Kind.EMPTY_BOX),  # and of 2 here
        (1 << 25, (2.0**24, 0.0, 2.0**24 + 8, 9.0), None),
    ],
)
def test_a_box_is_checked_in_full_unless_it_cannot_have_a_fault(
    side: int, box: tuple[float, float, float, float], expected: Kind | None, tmp_path: Path
) -> None:
    faults = Faults(tmp_path, "raise")
    annotation = Annotation("a.png", "a.txt", None, [box], ["dent"])
    found = list(checked_boxes(annotation, side, side, {"dent": 0}, "refuse", faults))
    assert found == ([] if expected else [(box, 0, False)])
    assert faults.number() == faults.number(expected) == (1 if expected else 0)


def test_connections_are_those_of_all_comparisons() -> None:
    rng = np.random.default_rng(0)
    grey = rng.integers(0, 256, (1, 32, 32)) + rng.integers(-7, 8, (150, 32, 32))  # differ by up to 14
    grey = np.concatenate([grey, rng.integers(0, 256, (50, 32, 32))]).clip(0, 255).astype(np.uint8)
    grey[70] = grey[3]
    most = np.abs(grey[:, None].astype(np.int16) - grey[None]).max((2, 3))
    for tolerance in (10, 12, 13, 14):
        number, expected = connected_components(most <= tolerance, directed=False)
        links = [link for found in connections(grey, tolerance) for link in found]
        assert len(links) == len(grey) - number
        assert all(most[link] <= tolerance for link in links)
        edges = coo_array((np.ones(len(links)), tuple(zip(*links, strict=True))), most.shape)
        assert connected_components(edges, directed=False)[1].tolist() == expected.tolist()
    assert connections(grey, 10) == [[(3, 70)]]


def test_processes_are_measured() -> None:
    filled = "b = bytearray(200_000_000); b[::4096] = b'x' * len(b[::4096])"
    taken = large_set.measured(["-c", f"{filled}; sum(range(3_000_000))"])
    assert 190 < taken.mib < 300
    assert 0 < taken.cpu <= 1.2 * taken.seconds + 0.1
    assert large_set.measured(["-c", f"print('{large_set.HEADER}12.5')"]).seconds == 12.5
    with pytest.raises(large_set.subprocess.CalledProcessError):
        large_set.measured(["-c", "raise SystemExit(3)"])


def test_the_table_shows_the_time_of_each_further_image(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def measured(words: list[str]) -> Taken:
        images = next(int(part) for part in ("20", "10") if part in str(words))
        return Taken(1 + images / 100, 0.5, 64.4)

    monkeypatch.setattr(large_set, "measured", measured)
    large_set.main(["--images", "20", "10", "--folder", str(tmp_path / "sets"), "--only", "evaluation"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "| images | 10: s | CPU s | MiB | us | 20: s | CPU s | MiB | us |"
    assert lines[2:] == ["| evaluation | 1.10 | 0.50 | 64 |  | 1.20 | 0.50 | 64 | 10000 |"]


def test_an_epoch_is_timed_without_a_network(drawn: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [f"paths.cache={drawn / 'cache'}", f"data.root={drawn / 'coco'}", "data=auto"]
    large_set.epoch([*large_set.TRAINING, *paths])
    assert float(capsys.readouterr().out.rpartition(large_set.HEADER)[2]) > 0
    large_set.evaluation(20)
    assert float(capsys.readouterr().out.rpartition(large_set.HEADER)[2]) > 0
