"""Do two rows differ only in what was varied, and does each row belong to the data and code that it names?"""

import ast
import importlib
import json
import shutil
from contextlib import nullcontext
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import yaml
from hydra.experimental.callback import Callback
from hydra.utils import get_object
from omegaconf import DictConfig
from PIL import Image

from commands import Train, record_of
from fake_runs import record
from gffpn.config.overrides import CONF
from gffpn.data import cache
from gffpn.data.cache import ImageCache
from gffpn.data.index import ImageRecord
from gffpn.files.sources import syntax_digest
from gffpn.runs.code import code_of
from gffpn.runs.folder import RunFolder
from gffpn.runs.record import Record
from gffpn.runs.sweeps import read_jobs, read_plan


def reexported(root: Path, copy: Path) -> Path:
    """Copy a data set with slightly other pixels but the same names, sizes, boxes and times."""
    shutil.copytree(root, copy)
    for path in (copy / "images").iterdir():
        pixels = np.asarray(Image.open(path)).astype(np.int64)
        Image.fromarray((pixels * 9 // 10).astype(np.uint8)).save(path)
        shutil.copystat(root / "images" / path.name, path)
    return copy


@pytest.mark.slow
def test_equal_names_and_other_pixels_are_another_run(
    train: Train, tiny: list[str], squares: Path, tmp_path: Path
) -> None:
    other, same = reexported(squares, tmp_path / "other"), tmp_path / "same"
    shutil.copytree(squares, same)
    kept = [word for word in tiny if not word.startswith(("data.root", "trainer.max_epochs"))]
    code, output = train("-m", *kept, f"data.root={squares},{other},{same}", "trainer.max_epochs=1")
    assert code == 0, output
    runs = sorted((tmp_path / "runs").glob("*/metrics.json"))
    assert len(runs) == 2
    assert output.count("Already finished, skipped") == 1
    first, second = (record_of(RunFolder(path.parent)).data for path in runs)
    assert first.fingerprint != second.fingerprint


def started_by_other_code(run: RunFolder) -> None:
    """Change a run's record so that one layer and one library seem to have been different when it started."""
    for path in (run.start, run.metrics):
        if path.exists():
            content = json.loads(path.read_text())
            content["provenance"]["code"]["gffpn.layers.conv"] = "0" * 12
            content["provenance"]["libraries"]["torch"] = "1.0"
            path.write_text(json.dumps(content))


@pytest.mark.slow
def test_a_finished_run_of_other_code_is_named_and_runs_again_on_request(
    train: Train, tiny: list[str], tmp_path: Path
) -> None:
    words = [*tiny, "neck=fpn", "trainer.max_epochs=1"]
    train(*words)
    (path,) = (tmp_path / "runs").glob("fpn_*")
    run = RunFolder(path)
    started_by_other_code(run)
    first = run.read()
    _, output = train(*words)
    assert "Already finished, skipped" in output
    assert "other code (gffpn.layers.conv, torch 1.0 -> " in output
    assert "rerun=changed" in output
    assert run.read() == first
    _, output = train(*words, "rerun=changed")
    assert "This run runs again (gffpn.layers.conv, torch" in output
    assert "epoch 1/1" in output
    (earlier,) = (tmp_path / "runs" / "replaced").iterdir()
    assert RunFolder(earlier).read() == first
    _, output = train(*words, "rerun=changed")
    assert "Already finished" in output
    assert "other code" not in output


def test_the_code_of_a_run_does_not_depend_on_what_the_process_digested_before(tmp_path: Path) -> None:
    """A sweep's process digests the code of all its runs, a worker's only that of one."""
    neck, launcher = "gffpn.necks.fpn.FPN", "hydra._internal.core_plugins.basic_launcher.BasicLauncher"
    alone = code_of([neck], tmp_path)
    assert "hydra" in code_of([neck, launcher], tmp_path)
    assert code_of([neck], tmp_path) == alone
    assert not [name for name in alone if name.startswith("gffpn.deploy")]  # gffpn.load imports it


def test_an_interrupted_run_of_other_code_restarts(train: Train, tiny: list[str], tmp_path: Path) -> None:
    words = [*tiny, "neck=fpn"]
    train(*words)
    (path,) = (tmp_path / "runs").glob("fpn_*")
    run = RunFolder(path)
    run.metrics.unlink()
    started_by_other_code(run)
    _, output = train(*words)
    assert "This run restarts (gffpn.layers.conv" in output
    assert "epoch 1/2" in output


class Edits(Callback):
    """Hydra callback that edits and removes configuration files after the first job."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    def on_job_end(self, config: DictConfig, **kwargs: object) -> None:
        (self.folder / "optim" / "mine.yaml").write_text("lr: ${nonsense}")
        (self.folder / "neck" / "late.yaml").unlink(missing_ok=True)


@pytest.mark.slow
def test_a_file_that_is_edited_during_a_sweep_changes_no_job(
    train: Train, tiny: list[str], tmp_path: Path
) -> None:
    mine = tmp_path / "mine"
    (mine / "optim").mkdir(parents=True)
    (mine / "neck").mkdir()
    (mine / "optim" / "mine.yaml").write_text("defaults: [recipe]\nlr: 0.0012\n")
    shutil.copy(CONF / "neck" / "panet.yaml", mine / "neck" / "late.yaml")
    words = [*tiny, "trainer.max_epochs=1", "optim=mine", "neck=fpn,late"]
    edits = f"+hydra.callbacks.edits={{_target_: test_trust.Edits, folder: {mine}}}"
    code, output = train("-m", "--config-dir", str(mine), *words, edits)
    assert code == 0, output
    runs = [RunFolder(path.parent) for path in (tmp_path / "runs").glob("*/metrics.json")]
    assert [yaml.safe_load(run.config.read_text())["optim"]["lr"] for run in runs] == [0.0012, 0.0012]
    assert f"{mine}/optim/mine.yaml was edited after the sweep started" in output
    assert f"{mine}/neck/late.yaml was edited after the sweep started" in output


def test_data_that_change_during_a_sweep_end_it(
    train: Train, tiny: list[str], squares: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own"
    shutil.copytree(squares, own)
    started: list[str] = []

    def edit(*_: object, **__: object) -> None:
        started.append("a run")
        label = own / "labels/train0.txt"
        label.write_text(label.read_text().replace("0 ", "1 ", 1))
        raise ValueError("enough for this test")

    monkeypatch.setattr("gffpn.suite.execution.fit_and_test", edit)
    words = [*tiny, "logger.wandb=off", "neck=fpn,panet", f"data.root={own}", f"data.splits={own}/splits"]
    code, output = train("-m", *words)
    assert code == 1
    assert len(started) == 1
    assert "FAILED: neck=panet: DataError: the data changed since the sweep started; repeat" in output


def test_a_sweep_says_that_it_takes_the_name_of_another(
    train: Train, tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise ValueError("enough for this test")

    monkeypatch.setattr("gffpn.suite.execution.fit_and_test", stop)
    monkeypatch.setattr("gffpn.suite.run.check_start", lambda _: None)
    words = ["-m", *tiny, "logger.wandb=off", "name=mine"]
    for necks, said in (("fpn", False), ("fpn,panet", False), ("fpn,panet", False), ("panet", True)):
        _, output = train(*words, f"neck={necks}")
        assert ("sweeps/mine had the table of other runs" in output) == said, necks
    assert "neck=fpn,panet" in output.partition("The earlier sweep: ")[2]


def test_a_sweep_that_is_extended_keeps_which_of_its_runs_had_finished(
    train: Train, tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fit(config: DictConfig, *_: object, **__: object) -> Record:
        return record(config.choice.neck, seed=config.seed)

    monkeypatch.setattr("gffpn.suite.execution.fit_and_test", fit)
    monkeypatch.setattr("gffpn.suite.run.check_start", lambda _: None)
    words = ["-m", *tiny, "logger.wandb=off", "name=mine", "neck=fpn,panet"]
    noted = "the sweep mine had verdicts on 2 of these seeds before it was extended on 20"
    for seeds, said in (("0,1", False), ("0,1,2", True)):
        _, output = train(*words, f"seed={seeds}")
        assert (noted in " ".join(output.split())) == said
    plan = read_plan(tmp_path / "runs/sweeps/mine")
    assert plan
    assert [(one.seeds, len(one.runs)) for one in plan.earlier] == [(("0", "1"), 4)]


def test_a_finished_sweep_whose_repetition_is_interrupted_lacks_nothing(
    train: Train, tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fit(config: DictConfig, *_: object, **__: object) -> Record:
        return record(config.choice.neck, seed=config.seed)

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    def missing() -> list[str]:
        plan = read_plan(folder)
        assert plan
        return [" ".join(job["overrides"][-2:]) for job in read_jobs(folder, plan.jobs) if not job["run"]]

    mine = tmp_path / "conf/neck/mine.yaml"
    mine.parent.mkdir(parents=True)
    mine.write_text((CONF / "neck/fpn.yaml").read_text())
    monkeypatch.setattr("gffpn.suite.execution.fit_and_test", fit)
    monkeypatch.setattr("gffpn.suite.run.check_start", lambda _: None)
    words = ["--config-dir", str(mine.parent.parent), "-m", *tiny, "name=mine", "neck=fpn,mine"]
    folder = tmp_path / "runs/sweeps/mine"
    train(*words, "seed=0,1")
    assert missing() == []
    monkeypatch.setattr("gffpn.suite.run.check", interrupt)
    # which the end of an interrupted process does
    monkeypatch.setattr("gffpn.suite.sweep.alone", lambda *_, **__: nullcontext())
    monkeypatch.setattr("gffpn.suite.sweep.atexit", Mock())
    train(*words, "seed=0,1")
    assert missing() == []
    train(*words, "seed=1,2")  # whose jobs have other numbers
    assert missing() == ["neck=fpn seed=2", "neck=mine seed=2"]
    mine.write_text(mine.read_text().replace("widen: 1.0", "widen: 2.0"))
    train(*words, "seed=1")
    assert missing() == ["neck=mine seed=1"]


def code_in(
    folder: Path, files: dict[str, str], target: str, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """Return the modules that count for `target` after writing a user's files and importing the target."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    monkeypatch.syspath_prepend(folder)
    importlib.invalidate_caches()
    get_object(target)
    own = {name.partition(".")[0].removesuffix(".py").partition("/")[0] for name in files}
    found = code_of([target], folder / "cache")
    return {name: digest for name, digest in found.items() if name.partition(".")[0] in own}


def test_the_code_of_a_users_neck_is_all_that_it_imports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {
        "uneck/__init__.py": "",
        "uneck/neck.py": "from . import blocks\nfrom .deep.inner import x\nclass Neck: ...\n"
        "def late():\n    import ulate, uspace.part\n    importlib.import_module('uby_name')\n",
        "uneck/blocks.py": "import numpy, torch",
        "uneck/deep/__init__.py": "x = 1",
        "uneck/deep/inner.py": "x = 2",
        "uneck/unused.py": "",
        "ulate.py": "",
        "uspace/part.py": "",
        "uby_name.py": "",
    }
    found = code_in(tmp_path, files, "uneck.neck.Neck", monkeypatch)
    expected = {"uneck", "uneck.neck", "uneck.blocks", "uneck.deep", "uneck.deep.inner"}
    assert set(found) == expected | {"ulate", "uspace.part", "uby_name"}


def test_only_the_syntax_tree_of_a_module_counts() -> None:
    def digest(text: str) -> str:
        return syntax_digest(ast.parse(text))

    one = digest("class A:\n    x = 1\n\ndef f(a): return a + 1\n")
    assert one == digest('"""Title."""\nclass A:\n    "doc"\n    x = 1  # why\ndef f(a):\n    return (a + 1)')
    assert one != digest("class A:\n    x = 2\n\ndef f(a): return a + 1\n")
    assert digest("x = 'a'") != digest("x = 'b'")


def test_what_only_records_does_not_count() -> None:
    found = code_of(["gffpn.necks.fpn.FPN"], Path("/nonexistent"))
    assert {"gffpn.necks.fpn", "gffpn.layers.conv", "gffpn.task", "gffpn.runs.verify"} <= set(found)
    assert not [name for name in found if name.startswith(("gffpn.report", "gffpn.necks.gffpn", "torch"))]


def test_a_key_of_the_image_cache_is_its_code(
    tmp_path: Path, squares: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = squares / "images" / "test0.png"
    record = ImageRecord(path, "a", 64, 64, np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
    first = ImageCache([record], tmp_path / "c", image_size=(32, 32))
    monkeypatch.setattr(cache, "_CODE", ["other"])
    assert ImageCache([record], tmp_path / "c", image_size=(32, 32)).folder != first.folder


def test_replaced_folders_never_collide(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        (tmp_path / "run").mkdir()
        assert RunFolder(tmp_path / "run").set_aside().name == f"run.{number}"
    shutil.rmtree(tmp_path / "replaced" / "run.1")
    (tmp_path / "run").mkdir()
    assert RunFolder(tmp_path / "run").set_aside().name == "run.4"


def test_a_sweep_with_a_file_that_is_no_yaml_is_refused(
    train: Train, tiny: list[str], tmp_path: Path
) -> None:
    (tmp_path / "neck").mkdir()
    (tmp_path / "neck" / "broken.yaml").write_text("a: [1\nb: {")
    for words in (["-m"], []):
        code, output = train(*words, "--config-dir", str(tmp_path), *tiny, "neck=broken")
        assert code == 2
        assert "Traceback" not in output
        assert "broken.yaml" in output
