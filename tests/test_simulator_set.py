"""Do twins and labels follow the dials, and is a simulated set written whole, by one writer at a time?"""

import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from gffpn.data.tinyindus import TinyIndusSim
from gffpn.files import sources
from gffpn.files.sources import Source
from tinyindus import store
from tinyindus.classes import CLASS_NAMES, CLASSES
from tinyindus.dials import PRESETS, Dials, preset
from tinyindus.labels import JITTER
from tinyindus.scene import render
from tinyindus.store import write_dataset
from tinyindus.write import run_lengths, write_pictures

SIZE = (192, 224)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    counts = {"train": 6, "val": 3, "test": 3}
    root = tmp_path_factory.mktemp("sim")
    return write_dataset(root, dials=Dials(), image_size=SIZE, counts=counts, seed=1, progress=False)


def test_run_lengths_go_down_the_columns() -> None:
    mask = np.array([[True, False], [True, True]])
    assert run_lengths(mask, (1, 0, 3, 2), (3, 4)) == [3, 2, 2, 1, 4]
    assert run_lengths(np.ones((3, 1), bool), (0, 0, 1, 3), (3, 2)) == [0, 3, 3]


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # raised by pycocotools
def test_the_annotations_are_valid_coco(folder: Path) -> None:
    coco = COCO(str(folder / "annotations" / "train.json"))
    assert [c["name"] for c in coco.loadCats(coco.getCatIds())] == list(CLASS_NAMES)
    assert len(coco.getImgIds()) == 6
    assert "SIMULATED" in coco.dataset["info"]["description"]
    assert coco.dataset["info"]["dials"]["contrast"] == 1.0
    annotations = coco.loadAnns(coco.getAnnIds())
    assert annotations
    for annotation in annotations:
        mask = coco.annToMask(annotation)
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        x, y, w, h = annotation["bbox"]
        assert mask.sum() == annotation["area"]
        assert x <= columns[0]
        assert columns[-1] < x + w
        assert y <= rows[0]
        assert rows[-1] < y + h
        assert {"side", "visibility", "product", "defect"} <= set(annotation)
    assert {image["group"] for image in coco.loadImgs(coco.getImgIds())} == {
        f"train-{i:06d}" for i in range(6)
    }


def test_the_index_matches_the_rendered_scenes(tmp_path: Path) -> None:
    source = TinyIndusSim(tmp_path, SIZE, preset="paper", seed=1, train_images=6, val_images=3, test_images=3)
    index = source.index()
    assert index.classes == CLASS_NAMES
    assert {split: len(records) for split, records in index.splits.items()} == {
        "train": 6,
        "val": 3,
        "test": 3,
    }
    record = index.splits["val"][2]
    assert (record.name, record.group, record.height, record.width) == (
        "images/val/000002.png",
        "val-000002",
        *SIZE,
    )
    assert record.path.is_file()
    scene = render(2, "val", Dials(), SIZE, 1)
    assert record.boxes.tolist() == [list(t.box) for t in scene.truths]
    assert record.labels.tolist() == [t.label for t in scene.truths]


def test_the_set_is_written_once_and_whole(folder: Path) -> None:
    stamp = (folder / "annotations" / "test.json").stat().st_mtime_ns
    counts = {"train": 6, "val": 3, "test": 3}
    again = write_dataset(
        folder.parent, dials=Dials(), image_size=SIZE, counts=counts, seed=1, progress=False
    )
    assert again == folder
    assert (again / "annotations" / "test.json").stat().st_mtime_ns == stamp
    assert {p.name for p in folder.parent.iterdir()} == {folder.name, f".{folder.name}.lock"}


def test_workers_write_the_scenes_that_one_process_renders(tmp_path: Path) -> None:
    size = (64, 64)
    source = TinyIndusSim(tmp_path, size, train_images=40, val_images=4, test_images=6, preset="demo")
    index = source.index()
    scene = render(5, "test", PRESETS["demo"], size, 0)
    assert index.splits["test"][5].boxes.tolist() == [list(t.box) for t in scene.truths]
    document = json.loads(next(tmp_path.glob("tinyindus-*/*/annotations/test.json")).read_text())
    assert [image["file_name"] for image in document["images"]] == [f"test/{i:06d}.png" for i in range(6)]


def test_other_code_of_the_simulator_draws_its_own_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if its VERSION was not raised; an edit elsewhere in the project draws nothing."""

    def edit(module: str) -> None:
        monkeypatch.setitem(sources._known, module, Source("0" * 12, ()))

    first = small(tmp_path).index()
    edit("gffpn.layers.conv")
    assert small(tmp_path).index().splits["train"][0].path == first.splits["train"][0].path
    edit("tinyindus.light")
    second = small(tmp_path).index()
    assert second.splits["train"][0].path != first.splits["train"][0].path
    assert second.fingerprint == first.fingerprint


def test_a_null_dial_keeps_the_value_of_the_preset(tmp_path: Path) -> None:
    source = TinyIndusSim(tmp_path, SIZE, preset="demo", contrast=0.5, defects_per_image=(2, 3))
    assert source.dials == replace(preset("demo"), contrast=0.5, defects_per_image=(2, 3))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"preset": "harder"}, "expected one of"),
        ({"size_mode": "area"}, "expected one of"),
        ({"contrast": -1.0}, "expected 0 to 4"),
        ({"side_scale": 0.0}, "expected a number above 0"),
        ({"side_range": (8.0, 4.0)}, "lowest <= highest"),
        ({"empty_share": 1.5}, "expected 0 to 1"),
        ({"defects_per_image": (0, 2)}, "fewest <= most"),
        ({"defects_per_image": (1, 2, 3)}, "expected two numbers"),
        ({"defects_per_image": (1, 2.5)}, "expected whole numbers"),
        ({"side_range": "4-8"}, "expected two numbers"),
        ({"match": 1.5}, "expected 0 to 1"),
        ({"match": [0.9, 0.1]}, "lowest first"),
        ({"match": "all"}, "expected a number"),
        ({"class_shares": "mine"}, "expected one of"),
        ({"missed_labels": 1.5}, "expected 0 to 1"),
        ({"jittered_labels": -0.1}, "expected 0 to 1"),
        ({"flipped_labels": "few"}, "expected a number"),
        ({"lookalike_density": True}, "expected a number"),
    ],
)
def test_wrong_dials_are_refused(tmp_path: Path, wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TinyIndusSim(tmp_path, SIZE, **wrong)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ([{"blurr": 2.0}], "got the dials \\['blurr'\\], expected some of"),
        ([{"blur": 9.0}], "got blur 9.0, expected 0 to 4"),
        ([{"missed_labels": 0.1}], "label noise is for train only"),
        ([2.0], "got the test_dials entry 2.0"),
        ({"blur": 2.0}, "expected a list of entries"),
        ([], "expected a list of entries"),
    ],
)
def test_wrong_entries_of_test_dials_are_refused(tmp_path: Path, wrong: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TinyIndusSim(tmp_path, SIZE, test_dials=wrong)


def test_an_empty_split_is_refused(tmp_path: Path) -> None:
    source = TinyIndusSim(tmp_path, SIZE, val_images=0)
    with pytest.raises(ValueError, match="at least 1 image"):
        source.index()


def small(tmp_path: Path, **dials: object) -> TinyIndusSim:
    return TinyIndusSim(
        tmp_path, (96, 96), train_images=6, val_images=2, test_images=3, preset="demo", seed=2, **dials
    )


def document(source: TinyIndusSim, split: str) -> dict:
    path = source.index().splits[split][0].path
    return json.loads((path.parents[2] / "annotations" / f"{split}.json").read_text())


def pixels(record: object) -> np.ndarray:
    return np.asarray(Image.open(record.path))


def test_twins_share_a_scene_and_differ_in_the_dial(tmp_path: Path) -> None:
    source = small(tmp_path, test_dials=[{}, {"contrast": 0}, {"side_range": [12, 12]}])
    plain = small(tmp_path).index()
    index = source.index()
    test = index.splits["test"]
    assert [r.name for r in test[:4]] == [
        "images/test/000000-0.png",
        "images/test/000000-1.png",
        "images/test/000000-2.png",
        "images/test/000001-0.png",
    ]
    assert [r.group for r in test] == [f"test-{i:06d}" for i in range(3) for _ in range(3)]
    for i, record in enumerate(plain.splits["test"]):
        same, bare, small_side = test[3 * i : 3 * i + 3]
        assert np.array_equal(pixels(record), pixels(same))
        assert np.array_equal(record.boxes, same.boxes)
        assert len(bare.boxes) == 0
        assert not np.array_equal(small_side.boxes, same.boxes)
    assert np.array_equal(pixels(plain.splits["train"][0]), pixels(index.splits["train"][0]))
    stored = document(source, "test")
    assert [image["entry"] for image in stored["images"]] == [0, 1, 2] * 3
    assert [d["contrast"] for d in stored["info"]["test_dials"]] == [3.5, 0, 3.5]
    assert stored["info"]["test_dials"][2]["side_range"] == [12, 12]
    assert index.fingerprint != plain.fingerprint
    numbers = {(a["image_id"], a["defect"]) for a in stored["annotations"]}
    assert len(numbers) == len(stored["annotations"])


def test_a_shifted_test_split_has_one_entry(tmp_path: Path) -> None:
    source = small(tmp_path, test_dials=[{"blur": 2.0, "noise": None}])
    assert source.test_dials == (replace(source.dials, blur=2.0),)
    assert [r.name for r in source.index().splits["test"]] == [f"images/test/{i:06d}-0.png" for i in range(3)]


def test_equal_entries_of_test_dials_are_one_set_however_they_are_written(tmp_path: Path) -> None:
    one = small(tmp_path, test_dials=[{"match": 1, "blur": 2}, {"side_range": [8, 8]}]).index()
    other = small(tmp_path, test_dials=[{"blur": 2.0, "match": 1.0}, {"side_range": [8.0, 8.0]}]).index()
    assert one.fingerprint == other.fingerprint
    assert one.origin.endswith("; test: [{'blur': 2.0, 'match': 1.0}, {'side_range': [8.0, 8.0]}]")


@pytest.mark.slow
def test_workers_draw_the_same_twins_as_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = small(tmp_path / "a", test_dials=[{"match": 0}, {"match": [0.5, 1]}]).index()
    monkeypatch.setattr("tinyindus.write.WORTH_A_WORKER", 4)
    monkeypatch.setattr("tinyindus.write.usable_cores", lambda: 2)
    together = small(tmp_path / "b", test_dials=[{"match": 0}, {"match": [0.5, 1]}]).index()
    assert alone.fingerprint == together.fingerprint
    for a, b in zip(alone.splits["test"], together.splits["test"], strict=True):
        assert np.array_equal(pixels(a), pixels(b))


def test_look_alikes_imitate_the_training_defects(tmp_path: Path) -> None:
    """Twins of different sides then differ only in their defects."""
    source = small(
        tmp_path,
        match=1.0,
        lookalike_density=1.0,
        test_dials=[{"side_range": [4, 4], "contrast": 0}, {"side_range": [48, 48], "contrast": 0}],
    )
    test = source.index().splits["test"]
    for i in range(3):
        assert np.array_equal(pixels(test[2 * i]), pixels(test[2 * i + 1]))


def test_missed_labels_are_stored_separately(tmp_path: Path) -> None:
    clean, spoilt = small(tmp_path), small(tmp_path, missed_labels=1.0)
    stored = document(spoilt, "train")
    assert stored["annotations"] == []
    assert [
        {k: v for k, v in a.items() if k != "id"} for a in document(clean, "train")["annotations"]
    ] == stored["missed"]
    for split in ("val", "test"):
        assert document(spoilt, split)["annotations"] == document(clean, split)["annotations"]
    for a, b in zip(clean.index().splits["train"], spoilt.index().splits["train"], strict=True):
        assert np.array_equal(pixels(a), pixels(b))


def test_spoilt_labels_keep_the_true_values(tmp_path: Path) -> None:
    clean = document(small(tmp_path), "train")["annotations"]
    spoilt = document(small(tmp_path, jittered_labels=1.0, flipped_labels=1.0), "train")["annotations"]
    assert clean
    for truth, label in zip(clean, spoilt, strict=True):
        assert label["clean_bbox"] == truth["bbox"]
        assert label["clean_category_id"] == truth["category_id"]
        assert label["segmentation"] == truth["segmentation"]
        was, given = CLASSES[truth["category_id"] - 1], CLASSES[label["category_id"] - 1]
        assert given.name != was.name
        alone = sum(c.product == was.product for c in CLASSES) == 1
        assert alone or given.product == was.product
        (x, y, w, h), (u, v, s, t) = truth["bbox"], label["bbox"]
        for moved, side in ((u - x, w), (u + s - x - w, w), (v - y, h), (v + t - y - h, h)):
            assert abs(moved) <= JITTER * side + 0.011
        assert u >= 0
        assert v >= 0
        assert u + s <= 96
        assert v + t <= 96


def test_a_share_of_the_labels_is_spoilt(tmp_path: Path) -> None:
    shares = {"missed_labels": 0.2, "jittered_labels": 0.3, "flipped_labels": 0.4}
    dials = replace(preset("demo"), **shares)
    annotation = {"bbox": [10, 10, 20, 20], "category_id": 1}
    given, missed = store.spoil([annotation | {"defect": k} for k in range(2000)], dials, (96, 96), 0, 0)
    assert len(missed) / 2000 == pytest.approx(0.2, abs=0.03)
    assert np.mean(["clean_bbox" in a for a in given]) == pytest.approx(0.3, abs=0.03)
    assert np.mean(["clean_category_id" in a for a in given]) == pytest.approx(0.4, abs=0.03)


def test_two_writers_draw_a_set_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []

    def counted(*given: Any) -> Any:
        drawn.append(given)
        return write_pictures(*given)

    monkeypatch.setattr(store, "write_pictures", counted)
    threads = [threading.Thread(target=small(tmp_path).index) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(drawn) == 1


@pytest.mark.parametrize("damage", ["cut", "missing", "no folder"])
def test_a_damaged_set_is_redrawn(tmp_path: Path, damage: str) -> None:
    source = small(tmp_path)
    whole = source.index()
    folder = whole.splits["val"][0].path.parents[2]
    stale = folder.parent / f".{folder.name}-killed"
    (stale / "images").mkdir(parents=True)
    annotations = folder / "annotations" / "val.json"
    if damage == "cut":
        annotations.write_text(annotations.read_text()[:-9])
    elif damage == "missing":
        whole.splits["val"][1].path.unlink()
    else:
        annotations.unlink()
        annotations.parent.rename(folder / "elsewhere")
    again = source.index()
    assert again.fingerprint == whole.fingerprint
    assert all(record.path.is_file() for records in again.splits.values() for record in records)
    assert {p.name for p in folder.parent.iterdir()} == {folder.name, f".{folder.name}.lock"}
