"""Is a wrong override reported in one line with the allowed values, before anything is read or built?"""

import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import pytest
import torch
from hydra.utils import get_class
from omegaconf.errors import ConfigAttributeError
from torch import Tensor, nn

from commands import own_logging
from gffpn.__main__ import main as verbs
from gffpn.build.detector import rehearse
from gffpn.config.compose import compose_config
from gffpn.config.overrides import CONF, start
from gffpn.config.resolve import resolved
from gffpn.config.yaml_types import fits, words
from gffpn.necks.none import NoNeck
from gffpn.pyramid import Levels, check_image_size
from gffpn.runs.identity import run_name
from gffpn.suite.run import run

Refused = Callable[..., str]


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path) -> Refused:
    """Return a function that runs `python train.py OVERRIDES...` and returns its one-line error.

    It checks that the exit code is 2 and that nothing was started.
    """
    from gffpn.suite import train

    def answer(*overrides: str) -> str:
        monkeypatch.setattr(sys, "argv", ["train.py", *overrides, f"paths.runs={tmp_path}/runs"])
        with pytest.raises(SystemExit) as leaving, own_logging():
            start(train.main)
        assert leaving.value.code == 2
        printed = capsys.readouterr()
        (line,) = printed.err.splitlines()
        assert line.startswith("ERROR: ")
        assert printed.out == ""
        assert not (tmp_path / "runs").exists()
        return line

    return answer


def refusal(words: Sequence[str], capsys: pytest.CaptureFixture) -> str:
    """Return what a verb prints that refuses its arguments."""
    with pytest.raises(SystemExit) as leaving:
        verbs(words)
    assert leaving.value.code == 2
    return str(capsys.readouterr().err)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("predict", "RUN", ".", "--merge", "nmm"),
            "--merge: has no effect without slices; add --slice auto",
        ),
        (("predict", "RUN", ".", "--overlap", "0.2"), "--overlap: has no effect without slices; add --slice"),
        (("predict", "m.onnx", ".", "--allow", "mine"), "--allow: an ONNX file constructs no classes"),
        (("predict", "m.onnx", ".", "--half"), "--half: an ONNX file computes in fp32"),
        (("evaluate", "RUN", "--overlap", "0"), "--overlap: has no effect without slices; add --slice auto"),
        (("export", "RUN", "--limit", "0", "--split", "val"), "--split: has no effect with --limit 0"),
        (("speed", "--allow", "mine"), "--allow: has no effect without a run; add --run FOLDER"),
        (("speed", "--run", "RUN", "--classes", "3"), "--classes: the run has its own number of classes"),
        (("report", "--text", "--no-pictures"), "--no-pictures: --text writes no pictures of test images"),
    ],
)
def test_an_option_without_effect_is_refused(
    words: tuple[str, ...],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("m.onnx", "0.png"):
        (tmp_path / name).touch()
    assert message in refusal(words, capsys)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("neck=fnp", "neck: got 'fnp', expected one of ["),
        ("neck=fnp", "'panet_p2']; did you mean 'fpn'?"),
        ("experiments=tabel6", "'twins_small']; did you mean 'table6'?"),
        ("neck.fues=add", "neck.fues: no such key, expected one of ['base', 'fusion',"),
        ("lr=0.1", "did you mean 'optim.lr'?"),
        ("epochs=3", "did you mean 'trainer.max_epochs'?"),
        ("batch=4", "did you mean 'batch_size'?"),
        ("threads=2", "did you mean 'trainer.threads'?"),
        ("neck.widn=2", "did you mean 'neck.base.widen'?"),
        (
            "data.root=/x",
            "data.root: the simulated set has none; to read a folder: data=auto data.root=FOLDER",
        ),
        ("neck.fues=add", "did you mean 'neck.fusion'?"),
        ("nek=fpn", "nek: no such key, expected one of ['ablation', 'augment',"),
        ("neck=[", "neck=[: no viable alternative at input '[': expected KEY=VALUE"),
        ("seed", "seed: missing EQUAL at '<EOF>': expected KEY=VALUE"),
        ("neck=fpn,panet", "neck=fpn,panet: several values, expected one; use python train.py -m"),
        ("neck=fpn ablation=star", "neck=fpn takes no 'fusion' (ablation=star sets it), only ['depth',"),
        ("~neck", "neck: missing, but every run needs one"),
        ("~neck.base.depth", "neck.base.depth: missing, but FPN needs it"),
        ("neck.fusion=multiply", "fusion: got 'multiply', expected one of ['star', 'add']"),
        ("neck.lpam.dim=wide", "neck.lpam.dim: got 'wide', expected a whole number"),
        ("neck.lpam.mix=stir", "neck.lpam.mix: got 'stir', expected one of ['attend',"),
        ("head=yolov5 head.loss.box_loss=abc", "box_loss: got 'abc', expected one of ['ciou',"),
        ("augment.scale=[1]", "augment.scale: got [1], expected a list of 2: a number, a number"),
        ("optim.lr=fast", "optim.lr: got 'fast', expected a number"),
        ("optim.lr=-1", "optim.lr: got -1"),
        ("image_size=abc", "image_size: got 'abc', expected a number of pixels or [height, width]"),
        ("image_size=[320]", "image_size: got [320], expected"),
        ("batch_size=0", "batch_size: got 0, expected a whole number, 1 or more"),
        ("batch_size=true", "batch_size: got True, expected a whole number"),
        ("trainer.max_epochs=-1", "trainer.max_epochs: got -1, expected a whole number, 1 or more"),
        ("trainer.fps_seconds=-1", "trainer.fps_seconds: got -1, expected a number of seconds, 0 or more"),
        ("seed=x", "seed: got 'x', expected a whole number, 0 or more"),
        ("seed=1.5", "seed: got 1.5, expected"),
        ("paths.cache=", "paths.cache: got '', expected a folder"),
        ("seed=${foo}", "Interpolation key 'foo' not found"),
        ("loader.cache=tape", "loader.cache: got 'tape', expected one of ['disk', 'ram', 'none']"),
        ("logger.wandb=maybe", "logger.wandb: got 'maybe', expected one of ['auto',"),
        ("logger.run_id=abc", "logger.run_id: got 'abc', expected one of ['token', 'hash']"),
        ("data=voc data.on_error=ignore", "on_error: got 'ignore', expected one of ['raise', 'skip']"),
        ("data=yolo data.unusual_images=keep", "unusual_images: got 'keep', expected one of"),
        ("data.contrast=high", "data.contrast: got 'high', expected a number or null"),
        ("hydra.job.chdir=true", "hydra.job.chdir: got true, expected false; relative paths start where"),
        ("hydra.run.dir=out", "hydra.run.dir: has no effect; paths.runs=FOLDER is where runs"),
    ],
)
def test_a_wrong_override_is_reported_in_one_line(refused: Refused, override: str, message: str) -> None:
    assert message in refused(*override.split())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ("-m neck=fpn,fnp", "neck: got 'fnp', expected one of"),
        ("-m neck=fpn batch_size=4,0", "batch_size: got 0"),
        ("-m neck=fpn,gffpn ablation=star", "neck=fpn takes no 'fusion' (ablation=star sets it)"),
        ("-m optim.lr=0.1,fast", "optim.lr: got 'fast'"),
        ("experiments=table6 ablation=star,stra", "ablation: got 'stra', expected one of"),
        ("experiments=table6 seed=0,x", "seed: got 'x'"),
        (
            "-m neck=fpn,panet experiment.contrasts=[[gffpn,fpn]]",
            "[gffpn, fpn]: gffpn names no arm",
        ),
        ("-m neck=fpn,gffpn experiment.contrasts=[[gfpn,fpn]]", "did you mean gffpn?"),
        ("-m neck=fpn,gffpn experiment.margin=5", "experiment.margin: got 5"),
        ("-m neck=fpn,gffpn experiment.primary_endpoint=mAP50", "experiment.primary_endpoint: got mAP50"),
        ("-m neck=fpn,panet hydra/launcher=slurm", "hydra/launcher=slurm: this machine has no srun"),
        ("-m neck=fpn,panet hydra.job.chdir=true", "hydra.job.chdir: got true, expected false"),
        ("-m neck=fpn,panet hydra.sweep.dir=out", "hydra.sweep.dir: has no effect; paths.runs=FOLDER"),
        ("-m neck=fpn,panet hydra.sweep.subdir=out", "hydra.sweep.subdir: has no effect"),
    ],
)
def test_a_sweep_is_refused_before_its_first_job(
    refused: Refused, overrides: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)  # no SLURM
    assert message in refused(*overrides.split())


def test_a_faulty_data_set_is_refused_once_for_a_whole_sweep(
    tiny: list[str],
    squares: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    from gffpn.suite import train

    root = tmp_path / "spoilt"
    shutil.copytree(squares, root)
    (root / "labels" / "train0.txt").write_text("9 0.5 0.5 0.1 0.1")
    overrides = [*tiny, f"data.root={root}", f"data.splits={root}/splits", "neck=fpn,panet,gffpn"]
    monkeypatch.setattr(sys, "argv", ["train.py", "-m", *overrides])
    with pytest.raises(SystemExit) as leaving:
        start(train.main)
    assert leaving.value.code == 1
    shown = capsys.readouterr()
    assert shown.err.count("1 fault in the data set") == shown.err.count("train0.txt, line 1: class 9") == 1
    assert shown.out == ""
    assert not (tmp_path / "runs").exists()


def test_a_device_that_the_machine_lacks_is_refused_before_there_is_a_folder(
    tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    from gffpn.suite import train

    runs = tmp_path / "none_yet"
    words = [*tiny, "trainer.accelerator=abacus", f"paths.runs={runs}"]
    monkeypatch.setattr(sys, "argv", ["train.py", *words])
    with pytest.raises(SystemExit) as leaving:
        start(train.main)
    assert leaving.value.code == 2
    assert "trainer.accelerator: got 'abacus', this machine has ['auto'," in capsys.readouterr().err
    assert not list(runs.glob("*"))


def test_verbs_report_wrong_overrides_alike(capsys: pytest.CaptureFixture) -> None:
    for arguments, code, message in [
        (["cost", "neck=fnp"], 2, "ERROR: neck: got 'fnp', expected one of"),
        (["cost", "neck=fpn", "--classes", "0"], 2, "ERROR: --classes: got 0, expected 1 or more"),
        (["match", "neck=fpn", "to=gffpn", "--classes", "-1"], 2, "ERROR: --classes: got -1, expected"),
        (["cost", "neck.fusion=multiply"], 2, "ERROR: neck.fusion: got 'multiply', expected one of"),
        (
            ["data", "check", "data=voc", "data.corners=middle"],
            2,
            "ERROR: data.corners: got 'middle', expected",
        ),
        (["data", "check", "batch_size=0"], 2, "ERROR: batch_size: got 0"),
        (["data", "card", "data=voc"], 1, "ERROR: data.root is not set"),
        (["data", "card", "data=voc", "data.root="], 1, "ERROR: data.root is not set"),
        (["data", "card", "data=voc", "paths.cache="], 2, "ERROR: paths.cache: got '', expected a folder"),
    ]:
        with pytest.raises(SystemExit) as leaving:
            verbs(arguments)
        assert leaving.value.code == code
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["predict", "RUN", ""],
            "an argument is empty, after 'predict RUN': is a variable of the shell not set?",
        ),
        (["report", "RUN", "--out", ""], "an argument is empty, after 'report RUN --out'"),
        (["report", "RUN", "--out="], "--out= is empty, after 'report RUN'"),
        (["data", "check", ""], "an argument is empty, after 'data check'"),
        (["train", ""], "an argument is empty, after 'train'"),
    ],
)
def test_an_empty_argument_is_not_the_working_directory(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert message in refusal(arguments, capsys)


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from gffpn.suite import train

    def broken(*_: object) -> None:
        raise ConfigAttributeError("a bug")  # composing raises this error, too

    monkeypatch.setattr("gffpn.suite.plan.build_index", broken)
    monkeypatch.setattr(sys, "argv", ["train.py", f"paths.runs={tmp_path}"])
    with pytest.raises(ConfigAttributeError, match="a bug"):
        start(train.main)


class Windows(nn.Module):
    """A neck that accepts only image sizes that are multiples of 96 pixels."""

    size_multiple = 96

    def __init__(self, in_levels: Levels, *, out_channels: int, width: str, widen: float) -> None:
        super().__init__()
        self.inner = NoNeck(in_levels, out_channels=out_channels, width=width, widen=widen)
        self.in_strides, self.out_levels = self.inner.in_strides, self.inner.out_levels

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        return self.inner(features)


def test_an_image_size_that_a_neck_cannot_take_is_refused_before_data_is_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr("gffpn.suite.plan.build_index", lambda _: pytest.fail("data was read"))
    overrides = ["neck=none", f"neck._target_={__name__}.Windows"]
    with pytest.raises(SystemExit) as leaving:
        run(compose_config([*overrides, "image_size=[320, 96]"]))
    assert leaving.value.code == 2
    assert capsys.readouterr().err == (
        "ERROR: image_size: got 320 x 96 (H x W), neck=none needs multiples of 96: "
        "the nearest are 288 or 384 x 96\n"
    )
    rehearse(compose_config([*overrides, "image_size=192", "augment.crop=96"]))
    with pytest.raises(ValueError, match=r"augment.crop: got 64 x 64 .*the nearest are 96 x 96$"):
        rehearse(compose_config([*overrides, "image_size=192", "augment.crop=64"]))


def test_the_nearest_sizes_are_positive() -> None:
    check_image_size((64, 128), 64, neck="x")
    with pytest.raises(ValueError, match=r"the nearest are 64 x 192 or 256$"):
        check_image_size((32, 200), 64, neck="x")


@pytest.mark.parametrize("neck", sorted(path.stem for path in (CONF / "neck").glob("*.yaml")))
def test_the_size_multiple_of_a_neck_is_a_positive_integer(neck: str) -> None:
    multiple = getattr(get_class(compose_config([f"neck={neck}"]).neck._target_), "size_multiple", 1)
    assert isinstance(multiple, int)
    assert multiple >= 1


def test_the_treatment_of_unusual_images_does_not_change_the_run_name() -> None:
    names = {
        run_name(resolved(compose_config(["data=voc", f"data.unusual_images={choice}"])), "data")
        for choice in ("refuse", "convert")
    }
    assert len(names) == 1


@pytest.mark.parametrize(
    ("value", "hint", "right", "description"),
    [
        (1, float, True, "a number"),
        (True, int, False, "a whole number"),
        (1.0, int, False, "a whole number"),
        ("x", bool | str, True, "true or false or a string"),
        (None, int | None, True, "a whole number or null"),
        ([1, 2.5], tuple[float, float], True, "a list of 2: a number, a number"),
        ([1], tuple[float, float], False, "a list of 2: a number, a number"),
        ([1, 2], list[str], True, "a list, each a string"),
        ("ab", list[str], False, "a list, each a string"),
        (2.0, Literal[0, 1, 2], False, "one of [0, 1, 2]"),
        (True, Literal[0, 1, 2], False, "one of [0, 1, 2]"),
        ({4: 1.0}, dict[int, float], True, "a mapping"),
        ([], dict[int, float], False, "a mapping"),
        ("anything", torch.Tensor, True, "a mapping"),
    ],
)
def test_yaml_values_and_types(value: object, hint: object, right: bool, description: str) -> None:
    assert fits(value, hint) is right
    assert words(hint) == description
