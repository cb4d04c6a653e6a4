"""Do a run's figures, and pycocotools', follow from its stored predictions? Is the operating point right?"""

import contextlib
import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from fake_runs import record
from gffpn.__main__ import main as verbs
from gffpn.data.index import DataIndex, ImageRecord
from gffpn.figures import Rates
from gffpn.metrics.evaluated import Evaluated
from gffpn.metrics.matching import SIZE_EDGES, Boxes, Matches, size_ranges
from gffpn.metrics.operating_point import best_threshold, operating_point, rates
from gffpn.runs.folder import RunFolder
from gffpn.runs.predictions import Predictions, read_predictions, write_predictions
from gffpn.runs.record import Record
from gffpn.runs.verify import differences, results
from gffpn.suite.evaluate import predictions

CLASSES = ("n_hole", "edge/left", "never")


def random_predictions(seed: int, *, images: int = 30, each: int = 40) -> Predictions:
    """Return objects and shaken copies of them among false detections, as a detector finds them."""
    rng = np.random.default_rng(seed)

    def boxes(count: int) -> np.ndarray:
        corner = rng.uniform(0, 250, (count, 2))
        return np.concatenate([corner, corner + rng.uniform(4, 120, (count, 2))], axis=1)

    true = boxes(6 * images)
    labels = rng.integers(0, 2, len(true))
    shaken = true + rng.uniform(-6, 6, true.shape)
    shaken[:, 2:] = np.maximum(shaken[:, 2:], shaken[:, :2] + 1)
    others = boxes((each - 6) * images)
    xyxy = np.concatenate([shaken.reshape(images, 6, 4), others.reshape(images, -1, 4)], axis=1)
    found = np.concatenate([labels.reshape(images, 6), rng.integers(0, 2, (images, each - 6))], axis=1)
    scores = rng.uniform(0.001, 1, (images, each)) * np.where(np.arange(each) < 6, 1.0, 0.7)
    position = np.arange(images)
    return Predictions(
        classes=CLASSES,
        names=tuple(f"images/{seed}_{k}.png" for k in range(images)),
        groups=tuple(f"part {k // 2}" for k in range(images)),
        sizes=rng.integers(300, 900, (images, 2)),
        evaluated=Evaluated(
            image_index=position * 2,
            scales=rng.uniform(0.4, 2.0, (images, 2)),
            detections=Boxes(np.repeat(position, each), found.ravel(), single(xyxy.reshape(-1, 4))),
            scores=single(scores.ravel()),
            objects=Boxes(np.repeat(position, 6), labels, single(true)),
            crowd=rng.random(len(true)) < 0.05,
        ),
    )


def single(values: np.ndarray) -> np.ndarray:
    """Return values as a network computes them, in float32."""
    return values.astype(np.float32).astype(np.float64)


SPLITS = {"val": random_predictions(0), "test": random_predictions(1)}


def finished(folder: Path) -> tuple[RunFolder, Record]:
    """Write a run's predictions and the record of their figures."""
    figures, point = results(SPLITS)
    run = RunFolder(folder)
    made = replace(record(), test=figures["test"], val=figures["val"], operating_point=point)
    write_predictions(run.predictions, SPLITS)
    run.finish(made)
    return run, made


def test_predictions_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "predictions.npz"
    write_predictions(path, SPLITS)
    read = read_predictions(path)
    assert list(read) == ["val", "test"]
    for split, expected in SPLITS.items():
        got = read[split]
        assert (got.classes, got.names, got.groups) == (expected.classes, expected.names, expected.groups)
        np.testing.assert_array_equal(got.sizes, expected.sizes)
        for one, other in zip(
            (
                *got.evaluated[:2],
                *got.evaluated.detections,
                got.evaluated.scores,
                *got.evaluated.objects,
                got.evaluated.crowd,
            ),
            (
                *expected.evaluated[:2],
                *expected.evaluated.detections,
                expected.evaluated.scores,
                *expected.evaluated.objects,
                expected.evaluated.crowd,
            ),
            strict=True,
        ):
            np.testing.assert_array_equal(one, other)
    assert [path.name for path in tmp_path.iterdir()] == ["predictions.npz"]


def test_a_part_of_a_split_keeps_the_names_of_its_images() -> None:
    """As with trainer.limit_eval_batches, which tests only some of the images."""
    none = np.zeros((0, 4), np.float32)
    images = [
        ImageRecord(Path(name), name, 40, 60, none, np.zeros(0, np.int64), group)
        for name, group in (("a", ""), ("b", "part 1"), ("c", ""))
    ]
    index = DataIndex(CLASSES, {"test": tuple(images)})
    evaluated = Evaluated(np.array([1, 2]), np.ones((2, 2)), *SPLITS["test"].evaluated[2:])
    kept = predictions(index, "test", evaluated)
    assert (kept.classes, kept.names, kept.groups) == (CLASSES, ("b", "c"), ("part 1", "c"))
    assert kept.sizes.tolist() == [[40, 60], [40, 60]]


def test_a_detection_takes_at_most_30_bytes(tmp_path: Path) -> None:
    path = tmp_path / "predictions.npz"
    write_predictions(path, SPLITS)
    detections = sum(len(split.evaluated.scores) for split in SPLITS.values())
    assert path.stat().st_size / detections < 30


def test_a_split_without_detections_is_kept(tmp_path: Path) -> None:
    none = Boxes(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 4)))
    bare = {
        split: replace(one, evaluated=one.evaluated._replace(detections=none, scores=np.zeros(0)))
        for split, one in SPLITS.items()
    }
    write_predictions(tmp_path / "predictions.npz", bare)
    figures, point = results(read_predictions(tmp_path / "predictions.npz"))
    assert (figures["test"].mAP50, point) == (0.0, None)


def test_pycocotools_gives_our_map_on_the_written_files(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    run, made = finished(tmp_path)
    found, truth = tmp_path / "found.json", tmp_path / "truth.json"
    verbs(["predictions", str(run.path), "--coco", str(found), "--truth", str(truth)])
    assert "1200 detections in 30 images" in capsys.readouterr().out
    with contextlib.redirect_stdout(io.StringIO()):
        objects = COCO(str(truth))
        evaluation = COCOeval(objects, objects.loadRes(str(found)), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    assert made.test.mAP50 is not None
    assert 0.2 < made.test.mAP50 < 0.9
    assert evaluation.stats[:2] == pytest.approx([made.test.mAP50_95, made.test.mAP50], abs=1e-9)
    image = json.loads(truth.read_text())["images"][3]
    height, width = SPLITS["test"].sizes[3].tolist()
    assert image == {"id": 4, "file_name": "images/1_3.png", "height": height, "width": width}


def test_coco_boxes_are_in_native_pixels(tmp_path: Path) -> None:
    one = SPLITS["val"].evaluated
    scaled = one._replace(scales=np.full_like(one.scales, 1.0) * [0.5, 0.25])
    run, _ = finished(tmp_path)
    write_predictions(run.predictions, {**SPLITS, "val": replace(SPLITS["val"], evaluated=scaled)})
    verbs(["predictions", str(run.path), "--coco", str(tmp_path / "val.json"), "--split", "val"])
    first = json.loads((tmp_path / "val.json").read_text())[0]
    x1, y1, x2, y2 = one.detections.xyxy[0]
    assert first["bbox"] == pytest.approx([2 * x1, 4 * y1, 2 * (x2 - x1), 4 * (y2 - y1)])
    assert (first["image_id"], first["category_id"]) == (1, one.detections.label[0] + 1)


def test_figures_follow_from_the_predictions(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    run, made = finished(tmp_path)
    verbs(["verify", str(run.path)])
    assert "values of metrics.json follow from predictions.npz" in capsys.readouterr().out
    assert made.operating_point is not None
    changed = replace(made.test.classes[0], AP50=0.5)
    point = replace(made.operating_point, threshold=made.operating_point.threshold + 2e-9)
    wrong = replace(made.test, classes=(changed, *made.test.classes[1:]))
    run.finish(replace(made, test=wrong, operating_point=point))
    with pytest.raises(SystemExit) as leaving:
        verbs(["verify", str(run.path)])
    lines = capsys.readouterr().out.splitlines()
    assert leaving.value.code == 1
    assert lines[0].startswith("test.classes.0.AP50: metrics.json has 0.5, predictions.npz gives 0.")
    assert lines[1].startswith("operating_point.threshold: metrics.json has")
    assert lines[2].startswith("2 of ")


def test_every_changed_detection_shows() -> None:
    figures, point = results(SPLITS)
    made = replace(record(), test=figures["test"], val=figures["val"], operating_point=point)
    assert differences(made, SPLITS)[1] == []
    one = SPLITS["test"].evaluated
    best = int(one.scores.argmax())
    fewer = one._replace(
        detections=Boxes(*(np.delete(part, best, axis=0) for part in one.detections)),
        scores=np.delete(one.scores, best),
    )
    assert differences(made, {**SPLITS, "test": replace(SPLITS["test"], evaluated=fewer)})[1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["verify", "/nowhere"], "/nowhere: not a run, expected a folder"),
        (["predictions", "/nowhere", "--coco", "x.json"], "/nowhere: not a run, expected a folder"),
        (["predictions", "RUN", "--coco", "RUN"], "--coco: got RUN, a folder, expected the name of a file"),
        (
            ["predictions", "RUN", "--coco", "x", "--truth", "RUN/metrics.json/x"],
            "RUN/metrics.json: cannot be written to (Not a directory); --truth chooses another folder",
        ),
        (["predictions", "RUN", "--coco", "x.json", "--split", "train"], "--split: got 'train'"),
        (
            ["predictions", "RUN", "--coco", "RUN/metrics.json"],
            "metrics.json is a file of a run; choose another",
        ),
        (
            ["predictions", "RUN", "--coco", "x", "--truth", "RUN/predictions.npz"],
            "--truth: RUN/predictions.npz",
        ),
        (["predictions", "RUN", "--coco", "x", "--truth", "./x"], "--truth: got x, as for --coco, expected"),
        (
            ["draw", "neck=fpn", "--out", "RUN/metrics.json"],
            "metrics.json, expected a file name that ends in",
        ),
        (["verify", "RUN", "neck=fpn"], "unrecognized arguments: neck=fpn"),
    ],
)
def test_wrong_arguments_are_refused(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    run, _ = finished(tmp_path)
    before = {path: path.read_bytes() for path in run.path.iterdir()}
    with pytest.raises(SystemExit) as leaving:
        verbs([word.replace("RUN", str(run.path)) for word in words])
    assert leaving.value.code == 2
    assert message.replace("RUN", str(run.path)) in capsys.readouterr().err
    assert {path: path.read_bytes() for path in run.path.iterdir()} == before


@pytest.mark.parametrize("name", ["checkpoints/best.ckpt", "logs/attempt_0/metrics.csv"])
def test_files_below_a_run_are_not_replaced(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _ = finished(tmp_path)
    monkeypatch.chdir(run.path)
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text("the run's")
    with pytest.raises(SystemExit):
        verbs(["predictions", ".", "--coco", name])
    assert f"--coco: {name} is a file of a run; choose another name" in capsys.readouterr().err
    assert Path(name).read_text() == "the run's"
    for _ in range(2):  # a user's own
        verbs(["predictions", ".", "--coco", "coco/detections.json"])


def test_a_file_with_other_contents_is_not_replaced(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    run, _ = finished(tmp_path)
    found, truth = tmp_path / "found.json", tmp_path / "annotations.json"
    words = ["predictions", str(run.path), "--coco", str(found), "--truth", str(truth)]
    truth.write_text("{}")
    with pytest.raises(SystemExit):
        verbs(words)
    assert f"--truth: {truth} exists and holds something else; remove it, or" in capsys.readouterr().err
    assert truth.read_text() == "{}"
    assert not found.exists()
    truth.unlink()
    for _ in range(2):
        verbs(words)


def test_an_unfinished_run_and_a_damaged_record_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    run, _ = finished(tmp_path)
    run.metrics.write_text("{")
    for words, message in (
        (["verify"], f"{run.metrics}: damaged"),
        (["predictions", "--coco", "x"], f"{run.path}: the run is interrupted, expected a finished one"),
    ):
        with pytest.raises(SystemExit):
            verbs([words[0], str(run.path), *words[1:]])
        assert message in capsys.readouterr().err
        run.metrics.unlink(missing_ok=True)
        run.predictions.unlink(missing_ok=True)
        run.config.touch()


def test_a_damaged_file_is_refused_in_one_line(tmp_path: Path) -> None:
    run, _ = finished(tmp_path)
    run.predictions.write_bytes(run.predictions.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"predictions\.npz: damaged"):
        read_predictions(run.predictions)


def test_any_damaged_byte_is_harmless_or_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "predictions.npz"
    # few, so that most bytes are those of the file's structure
    few = {split: random_predictions(seed, images=4, each=8) for seed, split in enumerate(SPLITS)}
    write_predictions(path, few)
    whole = path.read_bytes()
    messages = []
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 255]) + whole[place + 1 :])
        try:
            read_predictions(path)
        except ValueError as error:
            messages.append(str(error))
    assert len(messages) > len(whole) / 70
    assert all("damaged" in message for message in messages)


def test_the_verbs_do_not_import_torch(tmp_path: Path) -> None:
    run, _ = finished(tmp_path)
    code = (
        "import sys\nfrom gffpn.__main__ import main\n"
        f"main(['verify', {str(run.path)!r}])\n"
        f"main(['predictions', {str(run.path)!r}, '--coco', {str(tmp_path / 'x.json')!r}])\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def matches(scores: list[float], outcomes: list[int], labels: list[int], objects: list[int]) -> Matches:
    """Return matches at IoU 0.5 alone, of one image; `objects` are counts per class."""
    object_label = np.repeat(np.arange(len(objects)), objects)
    return Matches(
        image_index=np.zeros(1, np.int64),
        num_classes=len(objects),
        ranges=("all",),
        image=np.zeros(len(scores), np.int64),
        label=np.array(labels),
        score=np.array(scores),
        outcome=np.array(outcomes, np.int8)[None, None],
        object_image=np.zeros(len(object_label), np.int64),
        object_label=object_label,
        object_inside=np.ones((1, len(object_label)), np.bool_),
    )


def test_the_operating_point_by_hand() -> None:
    # F1 over both classes: 2/5, 4/6, 4/7, 6/9 at two equal scores, 6/10; the highest of equals
    val = matches([0.9, 0.7, 0.8, 0.6, 0.6, 0.5, 0.4], [1, 0, 1, 0, 1, -1, 0], [0, 0, 1, 1, 1, 1, 1], [2, 2])
    assert best_threshold(val) == 0.8
    assert rates(val, 0.8) == Rates(1.0, 0.5, 2 / 3)
    assert rates(val, 0.6) == Rates(3 / 5, 3 / 4, 6 / 9)
    assert rates(val, 0.4) == Rates(3 / 6, 3 / 4, 6 / 10)
    test = matches([0.8, 0.79], [0, 1], [0, 1], [1, 0])
    point = operating_point(val, test, ("a", "b"))
    assert point is not None
    assert point.test == Rates(0.0, 0.0, 0.0)
    assert point.test_by_class == {"a": Rates(0.0, 0.0, 0.0), "b": Rates(None, None, None)}


def test_there_is_no_operating_point_without_a_true_detection() -> None:
    nothing = matches([0.9], [0], [0], [1])
    assert operating_point(nothing, nothing, ("a",)) is None


def test_the_threshold_has_the_best_f1_of_all() -> None:
    found = SPLITS["val"].evaluated.matches(len(CLASSES), size_ranges(SIZE_EDGES))
    threshold = best_threshold(found)
    assert threshold is not None
    every = [rates(found, score).F1 or 0.0 for score in found.score]
    assert max(every) == rates(found, threshold).F1
