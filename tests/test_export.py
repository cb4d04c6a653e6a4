"""Does `python -m gffpn export` check its file against the run, and refuse what it cannot export?"""

import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import gffpn
from gffpn.__main__ import main as verbs
from gffpn.config.compose import compose_config
from gffpn.data.letterbox import letterboxed
from gffpn.data.readers.images import read_image
from gffpn.deploy import export as exporting
from gffpn.deploy.compare import Agreement
from gffpn.deploy.finished import finished_run
from gffpn.deploy.onnx_file import session
from gffpn.deploy.page import markdown
from gffpn.suite.run import run

DOC = Path(__file__).parents[1] / "docs" / "inference.md"


class Exploit:
    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("executed",)


def refused(capsys: pytest.CaptureFixture, *words: object) -> str:
    with pytest.raises(SystemExit) as leaving:
        verbs(["export", *map(str, words)])
    assert leaving.value.code in (1, 2)
    (line,) = capsys.readouterr().err.splitlines()
    return line


@pytest.mark.slow
def test_export_of_a_run(tiny: list[str], tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    overrides = [*tiny, "neck=none", "head=yolov5", "trainer.max_epochs=1"]
    config = compose_config(overrides)
    run(config)
    (folder,) = {path.parent for path in Path(config.paths.runs).glob("*/config.yaml")}
    sharpen(folder / "checkpoints" / "best.ckpt")
    capsys.readouterr()
    out = tmp_path / "out" / "detector.onnx"
    verbs(["export", str(folder), "--out", str(out), "--limit", "3"])
    page = capsys.readouterr().out
    assert {path.name for path in out.parent.iterdir()} == {
        "detector.onnx",
        "detector.onnx.json",
        "detector.onnx.md",
    }
    record = json.loads((out.parent / "detector.onnx.json").read_text())
    assert (out.parent / "detector.onnx.md").read_text() in page
    assert record["about"]["classes"] == ["dark", "bright"]
    check = record["check"]
    agreement = check["agreement"]
    assert agreement["images"] == agreement["images_of_same_count"] == 3
    assert agreement["pairs"] == agreement["detections_torch"] == agreement["detections_onnx"] > 0
    assert agreement["largest_box_difference_px"] < 1e-3
    assert check["figures"]["onnx"] == pytest.approx(check["figures"]["torch"], abs=1e-6)
    assert check["figures"]["onnx"]["n_8_16"] + check["figures"]["onnx"]["n_16_32"] == 3
    assert check["latency"]["images"] == 4
    assert 0 < check["latency"]["onnx"]["median_ms"] <= check["latency"]["onnx"]["p95_ms"]
    kept = session(out, threads=1).get_modelmeta().custom_metadata_map
    assert json.loads(kept["classes"]) == ["dark", "bright"]
    assert json.loads(kept["image_size"]) == [64, 64]
    assert json.loads(kept["iou_threshold"]) == 0.6
    assert kept["data_fingerprint"] == finished_run(folder).record.data.fingerprint
    printed = documented(out, next(Path(config.data.root).glob("images/test*.png")), capsys)
    assert printed[0].split()[0] in ("dark", "bright")
    loaded(folder, out, next(Path(config.data.root).glob("images/test*.png")))
    refusals(folder, tmp_path, capsys)


@pytest.mark.parametrize("name", ["metrics.onnx", "start.onnx", "README.onnx"])
def test_no_other_file_is_replaced(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run is a stand-in; only the files that are written matter."""
    about = dict.fromkeys(("run", "score_threshold", "iou_threshold", "max_detections"), 0)
    config = SimpleNamespace(trainer=SimpleNamespace(threads=None))
    run = SimpleNamespace(config=config, image_size=(64, 64), detector=lambda: ())
    monkeypatch.setattr(exporting, "finished_run", lambda *_, **__: run)
    monkeypatch.setattr(exporting, "Deployed", lambda *_: torch.nn.Identity())
    monkeypatch.setattr(exporting, "facts", lambda *_: {**about, "image_size": [64, 64], "classes": ["dent"]})
    monkeypatch.setattr(exporting, "write_onnx", lambda _, path, __: path.touch())
    for suffix in (".json", ".md"):
        (tmp_path / name).with_suffix(suffix).write_text("the run's")
    exporting.export(tmp_path, tmp_path / name, (), split="test", limit=0)
    for suffix in (".json", ".md"):
        assert (tmp_path / name).with_suffix(suffix).read_text() == "the run's"
    assert len(list(tmp_path.iterdir())) == 5


def test_a_folder_is_no_file_to_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused before the work."""
    run = SimpleNamespace(config=SimpleNamespace(trainer=SimpleNamespace(threads=None)))
    monkeypatch.setattr(exporting, "finished_run", lambda *_, **__: run)
    (tmp_path / "a.onnx").mkdir()
    with pytest.raises(ValueError, match=r"--out: got .*a\.onnx, a folder, expected the name of a file"):
        exporting.export(tmp_path, tmp_path / "a.onnx", (), split="test", limit=0)


def loaded(folder: Path, detector: Path, image: Path) -> None:
    """Compare `gffpn.load` of the file and of the run."""
    point = finished_run(folder).record.operating_point
    assert gffpn.load(detector).threshold == (point.threshold if point else 0.25)
    ours, theirs = (gffpn.load(path, threshold=0.0, device="cpu")(image) for path in (folder, detector))
    assert len(ours) == len(theirs) > 0
    np.testing.assert_allclose(ours.boxes, theirs.boxes, atol=1e-3)
    np.testing.assert_allclose(ours.scores, theirs.scores, atol=1e-5)
    assert ours.names == theirs.names
    middle = float(theirs.scores[len(theirs) // 2])
    network = gffpn.load(detector, threshold=middle).network
    pixels = np.stack([read_image(image).transpose(2, 0, 1)] * 5)
    assert all(len(one) and (one.scores >= np.float32(middle)).all() for one in network(pixels))
    with pytest.raises(ValueError, match="expected 'cpu' for an ONNX file"):
        gffpn.load(detector, device="gpu")
    with pytest.raises(ValueError, match="an ONNX file computes in fp32"):
        gffpn.load(detector, half=True)
    with pytest.raises(ValueError, match=r"--max-det: got 301, expected at most 300, which .*\.onnx"):
        gffpn.load(detector, max_detections=301)
    broken = detector.with_name("broken.onnx")
    broken.write_bytes(b"no model")
    with pytest.raises(ValueError, match=r"broken.onnx: not readable as ONNX"):
        gffpn.load(broken)
    with pytest.raises(ValueError, match=r"missing.onnx: no such file"):
        gffpn.load(detector.with_name("missing.onnx"))


def documented(detector: Path, image: Path, capsys: pytest.CaptureFixture) -> list[str]:
    """Run the example of docs/inference.md and return the lines that it prints."""
    (example,) = re.findall(r"```python\n(.*?)```", DOC.read_text(), re.DOTALL)
    names = {'"detector.onnx"': repr(str(detector)), '"part.png"': repr(str(image)), "0.25": "0.0"}
    for name, own in names.items():
        assert name in example
        example = example.replace(name, own)
    exec(compile(example, "inference.md", "exec"), {})
    return str(capsys.readouterr().out).splitlines()


def test_the_example_fits_a_photo_as_training_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """61 x 47 pixels would become 64 x 49.31, and become 64 x 49."""
    photo = np.random.default_rng(0).integers(0, 256, (47, 61, 3), dtype=np.uint8)
    Image.fromarray(photo).save(tmp_path / "part.png")
    about = {"image_size": "[96, 64]", "classes": '["dark", "bright"]'}

    class Session:
        def __init__(self, path: str, providers: list[str]) -> None:
            pass

        def get_modelmeta(self) -> SimpleNamespace:
            return SimpleNamespace(custom_metadata_map=about)

        def run(self, outputs: None, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
            np.testing.assert_array_equal(feed["images"][0], letterboxed(photo, (96, 64)))
            boxes = np.array([[0, 0, 64, 49], [32, 24.5, 48, 36.75]], np.float32)
            return [boxes[None], np.array([[0.75, 0.5]]), np.array([[1, 0]]), np.array([2])]

    monkeypatch.setitem(sys.modules, "onnxruntime", SimpleNamespace(InferenceSession=Session))
    assert documented(Path("x.onnx"), tmp_path / "part.png", capsys) == [
        "bright 0.75 [0.0, 0.0, 61.0, 47.0]",
        "dark 0.5 [30.5, 23.5, 45.8, 35.2]",
    ]


def sharpen(checkpoint: Path) -> None:
    """Spread the scores of a barely trained head, whose near-ties rounding errors would decide."""
    kept = torch.load(checkpoint, weights_only=True)
    for name, x in kept["state_dict"].items():
        if name.startswith("detector.head.predictions") and name.endswith("weight"):
            x *= 400
    torch.save(kept, checkpoint)


def refusals(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert "/nowhere: not a run, expected a folder" in refused(capsys, "/nowhere")
    assert "--split: got 'tset', expected one of ['test', 'val']" in refused(
        capsys, folder, "--split", "tset"
    )
    assert "--limit: got -1" in refused(capsys, folder, "--limit", -1)
    assert "expected a file name that ends in .onnx" in refused(capsys, folder, "--out", tmp_path / "a.pt")
    line = refused(capsys, folder, "--out", folder / "config.yaml" / "a.onnx")
    assert "config.yaml: cannot be written to (Not a directory); --out chooses another folder" in line
    assert "neck=fpn: expected KEY=VALUE with KEY one of" in refused(capsys, folder, "neck=fpn")
    assert "trainer.threads: got 'two'" in refused(capsys, folder, "trainer.threads=two")
    assert "data.root=/nowhere: no such folder" in refused(capsys, folder, "data.root=/nowhere")
    (folder / "metrics.json").rename(folder / "kept.json")
    assert "the run is interrupted, expected a finished one" in refused(capsys, folder)
    (folder / "kept.json").rename(folder / "metrics.json")
    best = folder / "checkpoints" / "best.ckpt"
    of_another_version = torch.load(best, weights_only=True)
    torch.save({**of_another_version, "callbacks": Exploit()}, best)
    assert f"{best}: refused, because loading it would execute code (print)" in refused(capsys, folder)
    del of_another_version["state_dict"]["detector.backbone.stem.conv.weight"]
    torch.save(of_another_version, best)
    line = refused(capsys, folder)
    assert "best.ckpt: the weights do not fit this version's network; train it again: Missing key(s)" in line
    torch.save({"epoch": 1}, best)
    assert f"{best}: holds no tensors by name, expected a state dict" in refused(capsys, folder)
    torch.save(of_another_version, best)
    config = folder / "config.yaml"
    config.write_text(config.read_text().replace("- bright", "- shiny"))
    assert "data: got fingerprint" in refused(capsys, folder)
    honest = config.read_text()
    # the last two are of gffpn, but compose and construct whatever their arguments say
    for target in (
        "os.system",
        "gffpn.build.os.system",
        "gffpn.nothing",
        "gffpn.build.plug.neck_on",
        "gffpn.neck",
    ):
        config.write_text(honest.replace("gffpn.data.readers.yolo.YOLO", target))
        line = refused(capsys, folder)
        assert f"_target_ {target!r}, expected a class of gffpn" in line
        assert "--allow gffpn" not in line
    best.unlink()
    assert "best.ckpt: missing" in refused(capsys, folder)


def found(*rows: tuple[list[float], float, int]) -> dict[str, Tensor]:
    boxes, scores, labels = zip(*rows, strict=True) if rows else ([], [], [])
    return {
        "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        "scores": torch.tensor(scores, dtype=torch.float32),
        "labels": torch.tensor(labels, dtype=torch.int64),
    }


def test_agreement_by_hand() -> None:
    """Partners may differ in rank, not in class; the last of ours and the last two of theirs have none."""
    ours = found(([0, 0, 9, 9], 0.9, 0), ([20, 20, 30, 30], 0.5, 1), ([40, 40, 50, 50], 0.3, 1))
    theirs = found(
        ([20, 20, 30, 30.25], 0.5, 1),
        ([0, 0, 9, 9], 0.896, 0),
        ([0, 0, 9, 9], 0.7, 1),
        ([4, 4, 5, 5], 0.1, 0),
    )
    agreement = Agreement()
    agreement.add([ours, found()], [theirs, found()])
    assert agreement.summary() == {
        "images": 2,
        "images_of_same_count": 1,
        "detections_torch": 3,
        "detections_onnx": 4,
        "pairs": 2,
        "largest_box_difference_px": 0.25,
        "largest_score_difference": pytest.approx(0.004, abs=1e-6),
        "best_score_without_partner": pytest.approx(0.7),
    }


def test_a_drop_is_shown_by_size() -> None:
    figures: dict[str, Any] = {"mAP50": 0.5, "mAP50_95": 0.25, "AP_0_8": 0.125, "n_0_8": 7}
    figures |= {"AP_8_up": None, "n_8_up": 0}
    latency = {"median_ms": 4.0, "p95_ms": 5.0, "n": 9}
    check = {
        "split": "test",
        "agreement": Agreement().summary(),
        "figures": {"torch": figures, "onnx": {**figures, "AP_0_8": 0.1}},
        "bins": ["0_8", "8_up"],
        "latency": {
            "torch": latency,
            "onnx": {**latency, "median_ms": 2.0},
            "threads": 1,
            "device": "CPU",
            "images": 4,
        },
    }
    about = {"run": "r", "image_size": [64, 32], "classes": ["a"]}
    about |= {"score_threshold": 0.1, "iou_threshold": 0.6, "max_detections": 9}
    record = {"file": "x.onnx", "bytes": 1, "about": about}
    page = re.sub(" +", " ", markdown({**record, "check": check}))
    assert "| mAP50 | | 50.00 | 50.00 | 0.00 |" in page
    assert "| AP_0_8 | 7 | 12.50 | 10.00 | 2.50 |" in page
    assert "| AP_8_up | 0 | n/a | n/a | n/a |" in page
    assert "ratio 2.00" in page
    assert "Not checked" in markdown(record)
