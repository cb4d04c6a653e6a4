"""Do the training benchmarks measure what they claim to measure?"""

import json
import os
import sys
from pathlib import Path

import pytest
import torch

from benchmarks import rival, rival_accuracy
from gffpn.__main__ import main as verbs
from gffpn.benchmark.limits import Limits, Roofline, measure_limits
from gffpn.build.index import build_index
from gffpn.callbacks import part_clock
from gffpn.callbacks.part_clock import EPOCH, REST, STEP, PartClock
from gffpn.config.compose import compose_config, image_size
from gffpn.data.index import DataIndex


def test_time_is_attributed_to_the_innermost_part(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([10.0, 11.0, 13.0, 16.0, 20.0, 25.0, 31.0])
    monkeypatch.setattr(part_clock.time, "perf_counter", lambda: next(now))
    clock = PartClock(epoch=1, wait=lambda: None)
    network = torch.nn.Identity()
    clock.watch(network, "neck")
    for _ in range(2):  # the clock ignores the first epoch
        clock.start(EPOCH)  # 10
        clock.start("[Strategy]Single.training_step")  # 11
        network(torch.ones(1))  # 13 to 16
        clock.start("an unknown action")  # 20
        clock.stop("an unknown action")  # 25
        clock.stop("[Strategy]Single.training_step")  # 31
        if clock.began is None:
            clock.stop(EPOCH)
    assert clock.began == 10
    assert clock.seconds == {REST: 1, STEP: 2 + 4 + 5 + 6, "neck": 3}


def test_the_roofline_equals_a_calculation_by_hand() -> None:
    a, b = torch.ones(2, 3), torch.ones(3, 4)
    flops, moved = 2 * 2 * 3 * 4, 4 * (6 + 12 + 8)
    with Roofline(Limits(matmul_gflops=1e-9, copy_gbytes=1.0)) as slow_arithmetic:
        torch.mm(a, b)
    assert (slow_arithmetic.arithmetic, slow_arithmetic.memory) == (pytest.approx(flops), 0)
    with Roofline(Limits(matmul_gflops=1.0, copy_gbytes=1e-9)) as slow_memory:
        torch.mm(a, b).t()  # a view moves no memory
    assert (slow_memory.arithmetic, slow_memory.memory) == (0, pytest.approx(moved))
    with Roofline(Limits(matmul_gflops=1.0, copy_gbytes=1e-9)) as in_place:
        a.add_(1)
    assert in_place.memory == pytest.approx(4 * 6)


def test_limits_of_this_machine_are_positive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gffpn.benchmark.limits.COPIED_BYTES", 2**16)
    monkeypatch.setattr("gffpn.benchmark.limits.SIDES", {"cpu": (32,)})
    limits = measure_limits(torch.device("cpu"), torch.float32)
    assert limits.matmul_gflops > 0
    assert limits.copy_gbytes > 0


@pytest.mark.slow
def test_training_is_timed_end_to_end(
    tiny: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("gffpn.benchmark.limits.COPIED_BYTES", 2**16)
    monkeypatch.setattr("gffpn.benchmark.limits.SIDES", {"cpu": (32,)})
    words = [word for word in tiny if not word.startswith("trainer.max_epochs")]
    verbs(["benchmark-train", "--epochs=1", "--json", *words])
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    rate = 3 * report["gflops_forward"] * report["images_per_second"]
    assert report["gflops_per_second"] == pytest.approx(rate)
    assert {"images", "backbone", "neck", "head", "backward", "validation", "optimiser"} <= set(
        report["step_ms"]
    )
    assert min(report["roofline_step_ms"].values()) > 0


FAKE_YOLO = """#!/bin/sh
for word in "$@"; do
  case $word in project=*) folder=${word#project=};; epochs=*) epochs=${word#epochs=};; esac
done
mkdir -p "$folder/run"
printf 'epoch,time\\n1,1.0\\n%s,8.0\\n' "$epochs" > "$folder/run/results.csv"
echo 'YOLOv8n summary: 8.0 GFLOPs'
"""


def test_the_figures_of_the_rival_are_read(
    tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "yolo"
    program.write_text(FAKE_YOLO)
    program.chmod(0o755)
    asked: list[list[str]] = []

    def ours(words: list[str], epochs: int) -> dict[str, float]:
        asked.append(words)
        return {"images_per_second": 3.0, "gflops_per_second": 6.0}

    monkeypatch.setattr(rival, "our_round", ours)
    rival.main(["--yolo", str(program), "--rounds=1", "--sizes=s", *tiny])
    assert asked[0][-1] == "size=s"
    lines = capsys.readouterr().out.splitlines()
    config = compose_config(tiny)
    images = len(build_index(config).splits["train"])
    rate = 2 * images / 8.0
    gflops = 3 * 8.0 * (image_size(config)[0] / 640) ** 2 * rate
    assert f"{rate:.1f} images/s" in lines[-2]
    assert f"{6.0 / gflops:.2f} x YOLOv8n" in lines[-1]


PERFECT_YOLO = """#!{python}
import json, pathlib, sys
from PIL import Image
words = dict(word.split("=", 1) for word in sys.argv[3:])
folder = pathlib.Path(words["project"]) / words["name"]
folder.mkdir()
if sys.argv[2] == "train":
    (folder / "results.csv").write_text("epoch,time\\n1,20.0\\n2,90.0\\n")
found = []
root = pathlib.Path(words["data"]).parent
for image in (root / "images" / "test").iterdir():
    width, height = Image.open(image).size
    for line in (root / "labels" / "test" / (image.stem + ".txt")).read_text().splitlines():
        label, x, y, w, h = map(float, line.split())
        box = [(x - w / 2) * width, (y - h / 2) * height, w * width, h * height]
        found.append(dict(image_id=image.stem, category_id=int(label), bbox=box, score=0.9))
(folder / "predictions.json").write_text(json.dumps(found))
"""


def test_the_accuracy_of_the_rival_is_that_of_its_detections(
    tiny: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "yolo"
    program.write_text(PERFECT_YOLO.format(python=sys.executable))
    program.chmod(0o755)
    rival_accuracy.main(["--yolo", str(program), "--minutes=1.5", *tiny])
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2:] == [
        "2 epochs in 1.5 minutes",
        "YOLOv8n on test: mAP50 100.0 %, mAP50_95 100.0 %",
    ]


def test_a_missing_rival_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as leaving:
        rival.main(["--yolo", "/nowhere/yolo"])
    assert leaving.value.code == 2
    assert capsys.readouterr().err == "ERROR: --yolo: no program '/nowhere/yolo'\n"


def test_ctrl_c_prints_one_word(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("gffpn.benchmark.training_speed.training_speed", interrupted)
    with pytest.raises(SystemExit) as leaving:
        verbs(["benchmark-train"])
    assert leaving.value.code == 130
    assert capsys.readouterr().err == "Interrupted.\n"


def test_the_data_set_for_the_rival_matches_the_index(tiny: list[str], tmp_path: Path) -> None:
    index: DataIndex = build_index(compose_config(tiny))
    page = json.loads(rival.write_yolo_set(index, tmp_path).read_text())
    assert page["names"] == {str(k): name for k, name in enumerate(index.classes)}
    record = next(r for r in index.splits["train"] if len(r.boxes))
    number = index.splits["train"].index(record)
    (image,) = (tmp_path / page["train"]).glob(f"{number}.*")
    assert os.path.samefile(image, record.path)
    label, x, y, w, h = map(float, (tmp_path / f"labels/train/{number}.txt").read_text().split()[:5])
    assert label == record.labels[0]
    box = [(x - w / 2) * record.width, (y - h / 2) * record.height, w * record.width, h * record.height]
    x1, y1, x2, y2 = record.boxes[0].tolist()
    assert box == pytest.approx([x1, y1, x2 - x1, y2 - y1], abs=1e-3 * record.width)
