"""Does `gffpn luck` draw small test sets and say how far runs differ on them?"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fake_sweeps import fake_sweep
from gffpn.__main__ import main
from gffpn.stats.replicates import replicates
from gffpn.stats.small_tests import figures_on, luck, small_sets
from hand_predictions import Image, erring_detector, predictions


def test_small_sets_have_the_objects_asked_for_and_whole_groups() -> None:
    found = erring_detector(3, images=60)
    groups = tuple(f"part {number // 2}" for number in range(60))
    found = replace(found, groups=groups)
    objects = np.bincount(found.evaluated.objects.image, minlength=60)
    sets = small_sets(found, 30, 200)
    assert set(np.unique(sets)) == {0, 1}
    assert (sets[::2] == sets[1::2]).all()
    assert np.abs(objects @ sets - 30).max() <= (objects[::2] + objects[1::2]).max() / 2 + 1
    assert abs((objects @ sets).mean() - 30) < 1
    assert (sets.sum(axis=1) > 0).all()
    assert (objects @ small_sets(found, 1, 300) > 0).all()  # also where most groups have more
    assert len(np.unique(sets, axis=1).T) == 200


def test_figures_on_a_small_set_are_those_of_its_images_alone() -> None:
    found = erring_detector(5, images=8)
    sets = np.array([[1, 0], [1, 0], [0, 1], [0, 1], [1, 0], [0, 1], [1, 1], [0, 1]], dtype=np.int32)
    figures, whole = figures_on(found, sets, max_detections=100)
    assert whole == replicates(found, count=2, only=["mAP50"]).points[0]
    for column, figure in zip(sets.T, figures, strict=True):
        images = [_image(found, number) for number in np.flatnonzero(column)]
        alone = predictions(*images, classes=found.classes)
        assert figure == replicates(alone, count=2, only=["mAP50"]).points[0]


def _image(found: object, number: int) -> Image:
    evaluated = found.evaluated
    own = evaluated.detections.image == number
    boxes, labels = evaluated.detections.xyxy[own], evaluated.detections.label[own]
    detections = np.concatenate([boxes, labels[:, None], evaluated.scores[own][:, None]], axis=1)
    true = evaluated.objects.image == number
    objects = np.concatenate([evaluated.objects.xyxy[true], evaluated.objects.label[true][:, None]], axis=1)
    return Image(objects.tolist(), detections.tolist())


def test_differences_by_hand() -> None:
    a = [(np.array([0.5, 0.7]), 0.6), (np.array([0.6, 0.6]), 0.6)]
    b = [(np.array([0.4, 0.4]), 0.5)]
    within, between = luck({"a": a, "b": b}, [("a", "b")])
    assert within.pair == ("a", "a")
    assert within.differences == pytest.approx([-0.1, 0.1, 0.1, -0.1])
    assert within.whole == 0
    assert within.beyond(0.05) == 1
    assert between.pair == ("a", "b")
    assert between.differences == pytest.approx([0.1, 0.3, 0.2, 0.2])
    assert between.whole == pytest.approx(0.1)
    assert between.beyond(0.15) == 0.25


def test_the_verb(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = fake_sweep(tmp_path)
    main(["luck", str(sweep), "--objects", "9", "--sets", "50", "--out", str(tmp_path / "out")])
    printed = capsys.readouterr().out
    assert "fpn, two seeds" in printed
    assert "gffpn \N{MINUS SIGN} fpn" in printed
    page = (tmp_path / "out" / "luck.md").read_text()
    assert "luck of ±8.1 or more" in page
    assert all("Data: tinyindus_sim (SIMULATED data)." in text for text in (printed, page))
    assert "about 9 objects" in (tmp_path / "out" / "luck.svg").read_text()


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["--objects", "10"], "--objects: got 10, expected 1 to a fifth of the test set's 48 objects"),
        (["--marks", "8.1,x"], "--marks: got 8.1,x, expected percent points above 0"),
        (["--marks", "inf"], "--marks: got inf, expected percent points above 0"),
        (["--marks", ","], "--marks: got ,, expected percent points above 0"),
        (["--sets", "0"], "--sets: got 0, expected 1 or more"),
    ],
)
def test_what_cannot_be_drawn_is_refused(
    words: list[str], fault: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = fake_sweep(tmp_path)
    with pytest.raises(SystemExit):
        main(["luck", str(sweep), "--out", str(tmp_path / "out"), *words])
    assert fault in capsys.readouterr().err


def test_one_seed_shows_no_luck(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = fake_sweep(tmp_path, seeds=(0,))
    with pytest.raises(SystemExit):
        main(["luck", str(sweep), "--out", str(tmp_path / "out")])
    assert "necks: no arm has two finished runs, expected two seeds or more" in capsys.readouterr().err
