"""Do the benchmarks of evaluation and start-up measure what they report?"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import evaluation, startup
from benchmarks.random_set import random_set


def test_three_evaluations_of_a_random_set_agree(capsys: pytest.CaptureFixture[str]) -> None:
    evaluation.main(["--images=40", "--detections=900", "--classes=3", "--rounds=1"])
    output = capsys.readouterr().out
    assert output.startswith("40 images, 900 detections, 300 objects, 3 classes")
    scene = random_set(40, 900, 3)
    figures = evaluation.ours(scene, size_edges=evaluation.COCO_EDGES).figures
    for reference in (evaluation.pycocotools(scene), evaluation.faster_coco_eval(scene)):
        assert evaluation.largest_difference(figures, reference.figures) < 1e-9
    assert 0.2 < figures["mAP50_95"] < figures["mAP50"] < 0.8
    assert min(figures[f"n_{size}"] for size in ("0_32", "32_96", "96_up")) > 20


def test_differing_evaluations_exit_with_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "TOLERANCE", -1.0)
    with pytest.raises(SystemExit) as caught:
        evaluation.main(["--images=5", "--detections=30", "--classes=2", "--rounds=1"])
    assert caught.value.code == 1


def test_start_up_is_timed_in_rounds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []

    def seconds(words: list[str]) -> float:
        asked.append(words)
        if words[0] == "-c":
            return 4.0
        seeds = words[-1].removeprefix("seed=").split(",") if trains else []
        for seed in seeds:
            folder = Path(words[-2].removeprefix("paths.runs=")) / seed
            folder.mkdir()
            (folder / "metrics.json").touch()
        return 16.0 if "-m" in words[1:] else 10.0

    trains = True
    monkeypatch.setattr(startup, "seconds", seconds)
    startup.main(["--rounds=2", "neck=fpn"])
    output = capsys.readouterr().out
    assert len(asked) == 9
    assert re.search(r"one toy run +10\.00 s, 6\.00 s without the import\n", output)
    assert re.search(r"further run of a sweep +3\.00 s", output)
    trains = False
    with pytest.raises(RuntimeError, match=r"0 runs in .* are finished, expected 4"):
        startup.one_round(["neck=fpn"])


def test_a_failing_command_is_an_error_instead_of_a_time() -> None:
    with pytest.raises(subprocess.CalledProcessError):
        startup.seconds(["-c", "raise SystemExit(3)"])


IMPORTS = """
import gc, sys
from gffpn.machine.imports import first_imports
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


def test_only_the_first_import_runs_without_garbage_collection() -> None:
    subprocess.run([sys.executable, "-c", IMPORTS], check=True)
