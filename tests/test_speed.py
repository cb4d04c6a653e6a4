"""Do the benchmarks of evaluation and start-up measure what they say?"""

import pytest

from gffpn.benchmark import evaluation
from gffpn.benchmark.random_set import random_set


def test_three_evaluations_of_a_random_set_agree(capsys: pytest.CaptureFixture[str]) -> None:
    evaluation.main(["--images=40", "--detections=900", "--classes=3", "--rounds=1"])
    told = capsys.readouterr().out
    assert told.startswith("40 images, 900 detections, 300 objects, 3 classes")
    scene = random_set(40, 900, 3)
    figures = evaluation.ours(scene, size_edges=evaluation.COCO_EDGES).figures
    for reference in (evaluation.pycocotools(scene), evaluation.faster_coco_eval(scene)):
        assert evaluation.largest_difference(figures, reference.figures) < 1e-9
    assert 0.2 < figures["mAP50_95"] < figures["mAP50"] < 0.8
    assert min(figures[f"n_{size}"] for size in ("0_32", "32_96", "96_up")) > 20


def test_a_difference_of_two_evaluations_is_exit_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "TOLERANCE", -1.0)
    with pytest.raises(SystemExit) as caught:
        evaluation.main(["--images=5", "--detections=30", "--classes=2", "--rounds=1"])
    assert caught.value.code == 1
