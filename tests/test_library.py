"""Do the examples of docs/library.md work, and do their networks train?"""

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

import gffpn
from commands import record_of, run_tiny
from gffpn.data.readers.images import read_image
from gffpn.runs.predictions import read_predictions

DOC = Path(__file__).parents[1] / "docs" / "library.md"
LOAD, RETINANET, FCOS, ALONE = re.findall(r"```python\n(.*?)```", DOC.read_text(), re.DOTALL)


def names_of(example: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    torch.manual_seed(0)
    exec(compile(example, "library.md", "exec"), names)
    return names


@pytest.mark.parametrize("example", [RETINANET, FCOS], ids=["retinanet", "fcos"])
def test_gffpn_trains_in_torchvisions_detectors(example: str) -> None:
    """A few steps on two images lower the loss, and every parameter of the neck takes part."""
    assert len(example.strip().splitlines()) <= 14
    names = names_of(example)
    model, neck = names["model"].train(), names["backbone"].neck
    model.transform.min_size, model.transform.max_size = (64,), 64
    images = list(torch.rand(2, 3, 64, 64))
    box = torch.tensor([[8.0, 8, 40, 40]])
    targets = [{"boxes": box, "labels": torch.tensor([label])} for label in (1, 2)]
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    losses = []
    for _ in range(6):
        loss = sum(model(images, targets).values())
        optimizer.zero_grad()
        loss.backward()
        losses.append(loss.item())
        optimizer.step()
    assert losses[-1] < 0.8 * losses[0]
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in neck.parameters())
    assert neck.__class__.__name__ == "GFFPN"
    with torch.no_grad():
        assert set(model.eval()(images)[0]) == {"boxes", "scores", "labels"}


def test_the_neck_alone_on_a_timm_backbone() -> None:
    names = names_of(ALONE)
    assert [tuple(x.shape[2:]) for x in names["maps"]] == [(8, 12), (4, 6), (2, 3)]


def test_levels_that_do_not_fit_are_refused() -> None:
    levels = [(64, 4), (128, 8), (256, 16), (512, 32)]
    with pytest.raises(ValueError, match=r"got outputs of \[128, 256, 512\] channels, expected one number"):
        gffpn.backbone_with_neck(torch.nn.Identity(), levels, "gffpn", ["size=n"])
    with pytest.raises(ValueError, match=r"got levels with strides \[8, 16, 32\]"):
        gffpn.neck("gffpn", levels[1:])
    with pytest.raises(ValueError, match="gffpm"):
        gffpn.neck("gffpm", levels)


def test_arguments_of_another_kind_are_refused() -> None:
    """One text in place of a list, and a second name of a neck, which would have been built instead."""
    levels = [(64, 4), (128, 8), (256, 16), (512, 32)]
    with pytest.raises(ValueError, match=r"overrides: got 'size=n', expected a list, such as \['size=n'\]"):
        gffpn.neck("gffpn", levels, "size=n")
    with pytest.raises(ValueError, match="overrides: got 'neck=fpn', but the name of the neck is 'gffpn'"):
        gffpn.neck("gffpn", levels, ["size=n", "neck=fpn"])
    wrong: list[dict[str, Any]] = [{"classes": "dark"}, {"allowed": "mine"}]
    for options in wrong:
        with pytest.raises(ValueError, match=r"got '\w+', expected a list, such as \['\w+'\]"):
            gffpn.load("runs/NAME", **options)
    with pytest.raises(ValueError, match=r"slicing: got 640, expected Slicing\(SIDE\)"):
        gffpn.load("runs/NAME", slicing=640)


@pytest.fixture(scope="module")
def folder(squares: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train one epoch and return the run's folder."""
    from commands import tiny_overrides

    overrides = tiny_overrides(squares, tmp_path_factory.mktemp("library"))
    short = ["neck=none", "trainer.max_epochs=1", "trainer.threads=1"]
    return run_tiny([*(o for o in overrides if "max_epochs" not in o), *short]).path


def test_half_precision_where_the_machine_has_it(
    folder: Path, squares: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Emulated here if need be: the scores change, by less than a hundredth."""
    from gffpn.deploy import network

    image = next(squares.glob("images/*.png"))
    exact = gffpn.load(folder, threshold=0.0, device="cpu")(image)
    for precision, equal in (("32-true", True), ("bf16-mixed", False)):
        with monkeypatch.context() as patch:
            patch.setattr(network, "precision", lambda *_, value=precision: value)
            detector = gffpn.load(folder, threshold=0.0, device="cpu", half=True)
        found = detector(image)
        assert detector.network.precision == precision
        assert (found.scores.tobytes() == exact.scores.tobytes()) is equal
        assert abs(found.scores[0] - exact.scores[0]) < 0.01


def test_detections_do_not_depend_on_the_parts_of_a_batch(folder: Path, squares: Path) -> None:
    images = np.stack([read_image(path).transpose(2, 0, 1) for path in sorted(squares.glob("images/*.png"))])
    expected = gffpn.load(folder, threshold=0.0, device="cpu").network(images[:1])
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        found = gffpn.load(folder, threshold=0.0, device="cpu").network(images[:5])
    finally:
        torch.set_num_threads(before)
    assert len(found) == 5
    np.testing.assert_allclose(found[0].scores, expected[0].scores, atol=1e-5)
    np.testing.assert_allclose(found[0].boxes, expected[0].boxes, atol=0.01)


def test_more_detections_than_in_the_test_are_returned_if_asked_for(
    folder: Path, squares: Path, tmp_path: Path
) -> None:
    """The run's own limit is 3 here; 64 x 64 pixels have no 300 detections."""
    shutil.copytree(folder, tmp_path / "run")
    config = OmegaConf.load(tmp_path / "run" / "config.yaml")
    config.head.decode.max_detections = 3
    OmegaConf.save(config, tmp_path / "run" / "config.yaml")
    image = next(squares.glob("images/*.png"))
    every = gffpn.load(folder, threshold=0.0, device="cpu")(image)
    assert len(every) > 5
    for asked, expected in ((None, 3), (2, 2), (5, 5), (1000, len(every))):
        detector = gffpn.load(tmp_path / "run", threshold=0.0, device="cpu", max_detections=asked)
        assert detector(image).scores.tolist() == every.scores[:expected].tolist()


def test_a_loaded_run_detects_what_its_test_detected(
    folder: Path, squares: Path, capsys: pytest.CaptureFixture
) -> None:
    """Boxes in native pixels, up to the rounding of folded norms; 64 x 64 pixels need no scaling."""
    expected = read_predictions(folder / "predictions.npz")["test"]
    detector = gffpn.load(folder, threshold=0.0, device="cpu")
    assert detector.classes == ("dark", "bright") == expected.classes
    for position, name in enumerate(expected.names):
        found = detector(squares / name)
        its_own = expected.evaluated.detections.image == position
        assert len(found) == its_own.sum() > 0
        scores = expected.evaluated.scores[its_own]
        np.testing.assert_allclose(found.scores, scores, atol=1e-5)
        distances = np.abs(found.boxes[:, None] - expected.evaluated.detections.xyxy[its_own][None]).max(-1)
        assert distances.min(1).max() < 0.01
    operating = record_of(gffpn.runs.folder.RunFolder(folder)).operating_point
    assert gffpn.load(folder, device="cpu").threshold == (operating.threshold if operating else 0.25)
    image = next(squares.glob("images/*.png"))
    example = LOAD.replace('"runs/NAME"', repr(str(folder)) + ", threshold=0.0").replace(
        "part.png", str(image)
    )
    names_of(example)
    assert capsys.readouterr().out.splitlines()[0].split()[0] in ("dark", "bright")
