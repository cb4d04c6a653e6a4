"""Does `python -m gffpn speed` time every form and name the fastest?"""

import csv
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from gffpn.__main__ import main as verbs
from gffpn.benchmark.forms import COMPILED, GRAPH, ONNX, Form, FormTurn, forms, take_form
from gffpn.benchmark.plan import Options, subject
from gffpn.benchmark.speed import _write, contestant, markdown, rows_of

TOY = ["image_size=64", "trainer.accelerator=cpu"]
OPTIONS = Options(out=Path("."), classes=3, rounds=1, seconds=0.0, batch=2, training=False)


@pytest.mark.slow
def test_the_files_list_every_form(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    words = ["--rounds", "1", "--seconds", "0", "--batch", "3", "--out", str(tmp_path)]
    verbs(["speed", "neck=none", *TOY, *words])
    (table,), (page,) = (
        list(tmp_path.glob(f"speed_*_none_cspdarknet-n_tal_64.{kind}")) for kind in ("csv", "md")
    )
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    asked = [form.name for form in forms(torch.device("cpu"), compiled=False, onnx=True)]
    assert [row["form"] for row in rows] == asked
    assert (asked[0], asked[-1]) == ("as trained, fp32", "folded, fp32, ONNX Runtime")
    for row in rows:
        whole = float(row["end_to_end_ms"])
        assert (row["fault"], row["rounds"], row["batch"]) == ("", "1", "3")
        assert float(row["times_as_fast"]) == pytest.approx(float(rows[0]["end_to_end_ms"]) / whole)
        if "ONNX" not in row["form"]:
            assert 0 < float(row["forward_ms"]) < whole
            assert float(row["decoding_ms"]) == pytest.approx(whole - float(row["forward_ms"]))
    best = min(rows, key=lambda row: float(row["end_to_end_ms"]))["form"]
    assert f"Fastest at batch 1: **{best}**" in page.read_text()
    assert "the initial ones, not trained" in capsys.readouterr().out


def test_every_form_computes_the_same_function() -> None:
    asked = subject("fpn", TOY, OPTIONS)
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    plain, *others = (form for form in forms(torch.device("cpu"), compiled=False, onnx=False))
    with torch.inference_mode():
        expected = take_form(asked.detector, plain, asked.setting)(images)
        for form in others:
            loose = 1e-4 if form.precision == "32-true" else 0.1
            for got, one in zip(
                take_form(asked.detector, form, asked.setting)(images), expected, strict=True
            ):
                torch.testing.assert_close(got.float(), one, atol=loose, rtol=loose)


def test_each_device_has_its_forms() -> None:
    gpu = forms(torch.device("cuda"), compiled=True, onnx=True)
    assert {form.engine for form in gpu} == {"eager", GRAPH, COMPILED}
    assert {form.precision for form in gpu} >= {"32-true", "16-mixed"}
    assert {form.engine for form in forms(torch.device("cpu"), compiled=True, onnx=True)} == {
        "eager",
        COMPILED,
        ONNX,
    }
    asked = subject("fpn", TOY, OPTIONS)
    with pytest.raises(ValueError, match="engine: got 'steam', expected one of"):
        take_form(asked.detector, Form(True, engine="steam"), asked.setting)


def test_a_failed_form_is_a_row_with_its_error(capsys: pytest.CaptureFixture) -> None:
    turn = FormTurn(Form(True), subject("fpn", TOY, OPTIONS))
    turn.run = lambda images: 1 / 0
    assert not turn.take(0)
    (row,) = rows_of([turn])
    assert row["fault"] == "ZeroDivisionError: division by zero"
    assert row["end_to_end_ms"] is row["decoding_share"] is row["batch_images_s"] is None
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_cuda_graph_returns_what_its_network_returns() -> None:
    asked = subject("fpn", ["image_size=64", "trainer.accelerator=gpu"], OPTIONS)
    plain, graph = (take_form(asked.detector, Form(True, engine=e), asked.setting) for e in ("eager", GRAPH))
    with torch.inference_mode():
        for seed in range(3):
            images = torch.randint(
                0, 256, (1, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed)
            )
            images = images.cuda()
            for got, one in zip(graph(images), plain(images), strict=True):
                torch.testing.assert_close(got, one, atol=1e-4, rtol=1e-4)


def test_wrong_arguments_are_refused(capsys: pytest.CaptureFixture) -> None:
    for words, message in (
        (["neck=fnp"], "did you mean 'fpn'"),
        (["--run", "/nowhere"], "/nowhere: not a run"),
        (["--run", "/nowhere", "--classes", "3"], "--classes: the run has its own number of classes"),
        (["--batch", "0"], "--batch: got 0"),
        (
            ["--out", f"{__file__}/new"],
            "cannot be written to (Not a directory); --out chooses another folder",
        ),
    ):
        with pytest.raises(SystemExit) as leaving:
            verbs(["speed", *words])
        assert leaving.value.code == 2
        assert message in capsys.readouterr().err


def test_the_page_and_its_file_name_the_overrides(tmp_path: Path) -> None:
    asked = contestant(["neck=fpn", "neck.widen=2", *TOY], OPTIONS, run=None)
    assert markdown([], asked).startswith("# Speed of fpn cspdarknet-n tal, neck.widen=2: ")
    assert _write([], "", asked, tmp_path).name.endswith("_fpn_cspdarknet-n_tal_64_neck.widen=2.md")


def test_a_form_is_timed_on_the_images_of_its_subject() -> None:
    images = torch.arange(3, dtype=torch.uint8).reshape(3, 1, 1, 1).expand(3, 3, 64, 64)
    turn = FormTurn(Form(True), replace(subject("fpn", TOY, replace(OPTIONS, batch=5)), images=images))
    seen: list[list[int]] = []

    def run(batch: torch.Tensor) -> None:
        seen.append(batch[:, 0, 0, 0].tolist())

    turn.run, turn.read = run, lambda raw: raw
    for number in range(4):
        assert turn.take(number)
    assert seen[::2] == [[0], [1], [2], [0]]
    assert seen[1::2] == [[0, 1, 2, 0, 1]] * 4
