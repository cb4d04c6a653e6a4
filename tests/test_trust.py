"""Do two rows differ only in what was varied, and does each row belong to the data and code that it names?"""

import json
import shutil
from pathlib import Path

import numpy as np
import yaml
from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from PIL import Image

from commands import Train, record_of
from gffpn.config.overrides import CONF
from gffpn.runs.code import code_of
from gffpn.runs.folder import RunFolder


def reexported(root: Path, copy: Path) -> Path:
    """Copy a data set with slightly other pixels but the same names, sizes, boxes and times."""
    shutil.copytree(root, copy)
    for path in (copy / "images").iterdir():
        pixels = np.asarray(Image.open(path)).astype(np.int64)
        Image.fromarray((pixels * 9 // 10).astype(np.uint8)).save(path)
        shutil.copystat(root / "images" / path.name, path)
    return copy


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
    start = run.read_start() or {}
    start["code"]["gffpn.layers.conv"] = "0" * 12
    start["libraries"]["torch"] = "1.0"
    run.start.write_text(json.dumps(start))


def test_a_finished_run_of_other_code_is_named_and_runs_again_on_request(
    train: Train, tiny: list[str], tmp_path: Path
) -> None:
    words = [*tiny, "neck=fpn", "logger.wandb=off", "trainer.max_epochs=1"]
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


def test_an_interrupted_run_of_other_code_restarts(train: Train, tiny: list[str], tmp_path: Path) -> None:
    words = [*tiny, "neck=fpn", "logger.wandb=off"]
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


def test_a_file_that_is_edited_during_a_sweep_changes_no_job(
    train: Train, tiny: list[str], tmp_path: Path
) -> None:
    mine = tmp_path / "mine"
    (mine / "optim").mkdir(parents=True)
    (mine / "neck").mkdir()
    (mine / "optim" / "mine.yaml").write_text("defaults: [recipe]\nlr: 0.0012\n")
    shutil.copy(CONF / "neck" / "panet.yaml", mine / "neck" / "late.yaml")
    words = [*tiny, "trainer.max_epochs=1", "logger.wandb=off", "optim=mine", "neck=fpn,late"]
    edits = f"+hydra.callbacks.edits={{_target_: test_trust.Edits, folder: {mine}}}"
    code, output = train("-m", "--config-dir", str(mine), *words, edits)
    assert code == 0, output
    runs = [RunFolder(path.parent) for path in (tmp_path / "runs").glob("*/metrics.json")]
    assert [yaml.safe_load(run.config.read_text())["optim"]["lr"] for run in runs] == [0.0012, 0.0012]
    assert f"{mine}/optim/mine.yaml was edited after the sweep started" in output
    assert f"{mine}/neck/late.yaml was edited after the sweep started" in output
