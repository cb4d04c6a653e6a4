"""Do the benchmarks of evaluation and start-up measure what they say?"""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gffpn.benchmark import evaluation, startup
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


def test_the_parts_of_a_run_on_paper() -> None:
    # a run of 20 s from 100 s on: 1 s a mark, but 8 s of training, 2 s of test and 3 s of FPS timing
    steps = [1, 1, 1, 1, 1, 8, 1, 2, 1, 3, 1]
    times = np.cumsum([100, *steps]).tolist()
    marks = list(zip(times, ["tell ends", *startup.OF_A_RUN], strict=True))
    marks.insert(7, (106.5, "on_train_batch_start begins"))  # the second step
    (run,) = startup.runs_of(marks)
    assert startup.added(run) == pytest.approx(sum(steps) - 8 - 2 - 3)
    assert run["data index"] == 1
    assert run[""] == 8 + 2 + 3


def test_a_report_takes_the_import_off() -> None:
    first = dict.fromkeys(startup.TO_FIRST_STEP.values(), 1.0)
    further = {**dict.fromkeys(startup.OF_A_RUN.values(), 0.25), "": 60.0}
    first |= {startup.IMPORT: 4.0}
    told = startup.report([5.5], [first], [further])
    assert re.search(r"command to the first step +13\.00\n", told)
    assert re.search(r"\(allowed: 3\), in the same process +9\.00\n", told)
    assert re.search(r"\(allowed: 3\), in its own +7\.50\n", told)
    assert re.search(r"in all \(allowed: 3\) +2\.00\n", told)
    assert "60.00" not in told


def test_the_clock_sees_all_that_the_tables_need(tiny: list[str], tmp_path: Path) -> None:
    start, marks = startup.command(["-m", "seed=0,1", *tiny, *startup.TOY, "neck=fpn"], tmp_path)
    first = startup.parts(marks, startup.TO_FIRST_STEP, start)
    assert min(first.values()) > 0
    (run,) = startup.runs_of(marks)
    ends = [when for when, name in marks if name == "tell ends"]
    assert sum(run.values()) == pytest.approx(ends[1] - ends[0])
    assert 0 < startup.added(run) < ends[1] - ends[0]


IMPORTS = """
import gc, sys
from gffpn.suite.imports import first_imports
with first_imports():
    assert not gc.isenabled()
assert gc.isenabled() and gc.get_freeze_count() > 0
gc.unfreeze()
try:
    with first_imports():
        raise ImportError
except ImportError:
    assert gc.isenabled()
gc.unfreeze()
sys.modules["lightning"] = None
with first_imports():
    assert gc.isenabled()
assert gc.get_freeze_count() == 0
"""


def test_only_the_first_import_goes_uncollected() -> None:
    subprocess.run([sys.executable, "-c", IMPORTS], check=True)
