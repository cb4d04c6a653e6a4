"""Does `gffpn evaluate` give a run's own figures on its own data, and match classes by name on other data?"""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf

from commands import record_of, run_tiny, tiny_overrides
from fake_runs import figures, record
from gffpn.__main__ import main
from gffpn.config.compose import compose_config
from gffpn.config.resolve import resolved
from gffpn.config.stored import stored_config
from gffpn.data.index import DataError, DataIndex, ImageRecord
from gffpn.deploy.evaluate import evaluate, known_to
from gffpn.deploy.slices import Slicing
from gffpn.runs.evaluation import Evaluation, read_evaluation, write_evaluation
from gffpn.runs.folder import RunFolder
from gffpn.verbs.evaluate import page


@pytest.fixture(scope="module")
def run(squares: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Train two epochs."""
    overrides = tiny_overrides(squares, tmp_path_factory.mktemp("evaluate"))
    return run_tiny([*overrides, "neck=none", "trainer.threads=1"])


@pytest.mark.parametrize("slicing", [None, Slicing(64)], ids=["plain", "one_slice"])
def test_the_own_data_gives_the_own_figures(run: RunFolder, slicing: Slicing | None) -> None:
    record = record_of(run)
    found = evaluate(run.path, [], slicing=slicing, on="cpu", batch=4)
    assert found.figures.columns() == pytest.approx(record.test.columns(), abs=1e-6)
    assert found.same_data
    assert found.unknown == {}
    assert found.absent == ()
    if record.operating_point:
        assert found.rates == record.operating_point.test
    assert evaluate(run.path, [], split="val", on="cpu").figures.images == record.val.images


def test_a_run_from_before_a_setting_of_its_reader_is_still_evaluated(run: RunFolder, tmp_path: Path) -> None:
    shutil.copytree(run.path, tmp_path / "older")
    older = RunFolder(tmp_path / "older")
    config = OmegaConf.load(older.config)
    for key in ("unlabelled", "shapes", "outside"):
        del config.data[key]
    OmegaConf.save(config, older.config)
    assert evaluate(older.path, [], on="cpu").same_data


def test_newer_settings_come_from_the_own_configuration_alone(run: RunFolder, tmp_path: Path) -> None:
    """A run from elsewhere may name any file as its data set."""
    config = OmegaConf.load(run.config)
    other = {"_target_": config.data._target_, "unlabelled": {"_target_": "builtins.print"}}
    OmegaConf.save(OmegaConf.create(other), tmp_path / "other.yaml")
    del config.data.unlabelled
    for name in (str(tmp_path / "other"), "x" * 300, "../data/yolo"):
        config.choice.data = name
        OmegaConf.save(config, tmp_path / "config.yaml")
        assert "unlabelled" not in stored_config(tmp_path / "config.yaml", []).data
    found = replace(evaluate(run.path, [], on="cpu"), data=str(tmp_path / "other"))
    assert write_evaluation(tmp_path / "run", found).parent == tmp_path / "run" / "evaluations"


def test_classes_of_another_set_are_matched_by_name(
    run: RunFolder, squares: Path, capsys: pytest.CaptureFixture
) -> None:
    """The set calls its classes bright and hole: label 0, the run's dark squares, is bright there."""
    words = [
        "data=yolo",
        f"data.root={squares}",
        "data.classes=[bright,hole]",
        f"data.splits={squares}/splits",
    ]
    main(["evaluate", str(run.path), *words, "--split", "all", "--device", "cpu", "--slice", "48"])
    printed = capsys.readouterr().out
    assert "16 images" in printed
    assert "Left out, because the run does not know their classes: hole: 8." in printed
    assert "Classes of the run without objects here: dark." in printed
    (path,) = (run.path / "evaluations").iterdir()
    assert str(path) in printed
    found = read_evaluation(path)
    assert path.name == f"{found.name}.json" == f"yolo_{found.fingerprint}_all_slice48-0.2-nms.json"
    assert not found.same_data
    assert [(one.name, one.objects) for one in found.figures.classes] == [("dark", 0), ("bright", 8)]
    path.write_text(path.read_text().replace('"split"', '"spilt"'))
    with pytest.raises(ValueError, match=r"damaged: split: missing"):
        read_evaluation(path)


def test_what_cannot_be_evaluated_is_refused(
    run: RunFolder, squares: Path, capsys: pytest.CaptureFixture
) -> None:
    base = ["data=yolo", f"data.root={squares}"]
    for words, code, message in (
        ([*base, "data.classes=[a,b]"], 1, "none of the run's ['dark', 'bright']"),
        ([*base, "neck=fpn"], 2, "neck=fpn: expected data=NAME or data.KEY=VALUE"),
        (["data=yollo"], 2, "yollo"),
        (["--split", "tset"], 2, "--split: got 'tset'"),
        (["data.root=/nowhere"], 1, "/nowhere: no such folder"),
    ):
        with pytest.raises(SystemExit) as leaving:
            main(["evaluate", str(run.path), *words])
        assert leaving.value.code == code
        assert message in capsys.readouterr().err


def test_a_setting_that_the_runs_data_do_not_have_is_refused(tmp_path: Path) -> None:
    config = resolved(compose_config(["data=tinyindus_sim"]))
    OmegaConf.save(OmegaConf.create(config), tmp_path / "config.yaml")
    message = r"data\.root: the run's data set, tinyindus_sim, has no such setting; leave it out"
    with pytest.raises(ValueError, match=message):
        stored_config(tmp_path / "config.yaml", ["data.root=/elsewhere"])
    with pytest.raises(ValueError, match=r"paths\.cache: got nothing, expected a folder"):
        stored_config(tmp_path / "config.yaml", ["paths.cache="])


@pytest.mark.parametrize("word", ["trainer.accelerator=foo", "loader.cache=foo", "trainer.threads=1"])
def test_a_setting_without_effect_is_refused(word: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"{word}: has no effect on an evaluation"):
        evaluate(tmp_path, [word])


@pytest.mark.parametrize(("split", "own", "noted"), [("test", True, 0), ("all", True, 1), ("all", False, 0)])
def test_figures_on_images_of_the_training_have_a_note(split: str, own: bool, noted: int) -> None:
    found = Evaluation(
        run="run",
        data="yolo",
        fingerprint="f",
        same_data=own,
        split=split,
        classes=("pock", "flaw"),
        absent=(),
        unknown={},
        slices=None,
        figures=figures(),
        threshold=None,
        rates=None,
        ms_per_image=1.0,
        device="a processor",
        provenance=record().provenance,
    )
    assert page(found, record().test).count("NOTE: the run was trained on images of this split") == noted


def test_labels_by_hand(tmp_path: Path) -> None:
    """The set has (c, x, a), the run (a, b, c): label 0 becomes 2, 2 becomes 0, and 1 is left out."""
    boxes = np.arange(16, dtype=np.float32).reshape(4, 4)
    crowd = np.array([False, True, False, False])
    record = ImageRecord(Path("i.png"), "i.png", 20, 20, boxes, np.array([0, 1, 2, 1]), crowd=crowd)
    clean = ImageRecord(Path("j.png"), "j.png", 20, 20, boxes[:0], np.zeros(0, np.int64))
    index = DataIndex(("c", "x", "a"), {"train": (clean,), "val": (), "test": (record,)})
    known = known_to(("a", "b", "c"), index, "test")
    assert known.absent == ("b",)
    assert known.unknown == {"x": 2}
    (kept,) = known.records
    assert kept.labels.tolist() == [2, 0]
    assert kept.boxes.tolist() == boxes[[0, 2]].tolist()
    assert kept.crowd.tolist() == [False, False]
    assert [one.name for one in known_to(("a", "b", "c"), index, "all").records] == ["j.png", "i.png"]
    with pytest.raises(DataError, match="the val split is empty; --split all"):
        known_to(("a",), index, "val")


def test_a_damaged_image_is_named(run: RunFolder, squares: Path, tmp_path: Path) -> None:
    """An image of another set that was damaged after it had been checked."""
    from gffpn.deploy import evaluate as module

    root = shutil.copytree(squares, tmp_path / "copy")
    words = ["data=yolo", f"data.root={root}", "data.classes=[dark,bright]", f"data.splits={root}/splits"]
    build = module.build_index

    def then_damaged(config: object) -> DataIndex:
        index = build(config)
        (root / "images" / "test0.png").write_bytes(b"\x89PNG")
        return index

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "build_index", then_damaged)
        with pytest.raises(DataError, match=r"test0.png: not readable as an image"):
            evaluate(run.path, words, on="cpu")
