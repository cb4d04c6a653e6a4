"""Does a sweep yield the same results with joblib, submitit or several processes per run; is SLURM set up?"""

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import instantiate

from gffpn.build.detector import build_data, build_task
from gffpn.build.index import build_index
from gffpn.build.trainer import build_tester
from gffpn.config.compose import compose_config
from gffpn.config.resolve import starts_processes
from gffpn.machine.processes import asked_for
from gffpn.runs.folder import RunFolder
from gffpn.suite.run import run
from kill_and_resume import figures, sweep

pytestmark = pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`:UserWarning")

FP32 = ["trainer.accelerator=cpu", "trainer.precision=32-true", "trainer.threads=1", "logger.wandb=off"]
DDP = ["trainer=ddp", "trainer.devices=2"]


@pytest.fixture
def uneven(tiny: list[str], squares: Path, tmp_path: Path) -> list[str]:
    """Return overrides for a sweep whose val and test images two processes cannot divide evenly."""
    (tmp_path / "splits").mkdir()
    for split, count in {"train": 8, "val": 3, "test": 3}.items():
        stems = "".join(f"{split}{k}\n" for k in range(count))
        (tmp_path / "splits" / f"{split}.txt").write_text(stems)
    kept = [o for o in tiny if not o.startswith(("paths.runs", "data.splits"))]
    return [*kept, *FP32, f"data.splits={tmp_path}/splits"]


def table(runs: Path) -> list[dict[str, Any]]:
    """Return the rows of the sweep's table without folders and times."""
    rows = csv.DictReader((runs / "sweeps" / "killed" / "results.csv").read_text().splitlines())
    drop = ("run", "launcher", "minutes", "fps", "latency_", "rounds", "overrides")
    return [{k: v for k, v in row.items() if not k.startswith(drop)} for row in rows]


@pytest.mark.slow
def test_every_launcher_writes_the_same_table(uneven: list[str], tmp_path: Path) -> None:
    overrides = [*uneven, "trainer.max_epochs=1"]
    for neck in ("fpn", "panet"):
        run(compose_config([*overrides, f"neck={neck}", f"paths.runs={tmp_path}/here"]))
    here = figures(tmp_path / "here")
    assert len(here) == 2
    tables = []
    for launcher in ("joblib", "submitit_local"):
        done = sweep(tmp_path / launcher, [*overrides, "neck=fpn,panet", f"hydra/launcher={launcher}"])
        assert done.returncode == 0, done.stderr
        assert "other runs may have used the same machine" in done.stdout
        expected = {name: {**metrics, "launcher": launcher} for name, metrics in here.items()}
        assert figures(tmp_path / launcher) == expected
        tables.append(table(tmp_path / launcher))
    assert [row["status"] for row in tables[0]] == ["finished", "finished"]
    assert tables[0] == tables[1]


@pytest.mark.slow
def test_two_processes_yield_the_same_figures_as_one(uneven: list[str], tmp_path: Path) -> None:
    """No image counts twice in a sweep whose val and test sets the processes cannot divide evenly."""
    # one image per process and step: one process has two steps of val and test, the other has one
    done = sweep(tmp_path / "runs", [*uneven, *DDP, "neck=fpn", "batch_size=2"])
    assert done.returncode == 0, done.stderr
    assert "self.log" not in done.stderr
    assert [row["status"] for row in table(tmp_path / "runs")] == ["finished"]
    folder = RunFolder(next((tmp_path / "runs").glob("*/metrics.json")).parent)
    metrics = folder.read_metrics()
    assert metrics["processes"] == 2
    assert metrics["test/n_8_16"] + metrics["test/n_16_32"] == 3
    config = compose_config([*uneven, "neck=fpn"])
    data = build_data(config, build_index(config))
    (alone,) = build_tester(config, RunFolder(tmp_path / "alone"), []).test(
        build_task(config, data),
        data,
        ckpt_path=folder.checkpoints / "best.ckpt",
        weights_only=True,
        verbose=False,
    )
    expected = {k: None if v != v else pytest.approx(v, abs=1e-6) for k, v in alone.items()}
    assert {name: metrics[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("devices", "num_nodes", "accelerator", "count"),
    [
        (1, 1, "auto", 1),
        (2, 3, "cpu", 6),
        ([0, 3], 1, "gpu", 2),
        ("auto", 1, "auto", 4),
        (-1, 2, "gpu", 8),
        ("auto", 1, "cpu", 1),
    ],
)
def test_the_number_of_processes_of_a_run(
    devices: Any, num_nodes: int, accelerator: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert asked_for(devices, num_nodes, accelerator) == count


@pytest.mark.parametrize(
    ("overrides", "environment", "starts"),
    [
        ([], {}, False),
        (DDP, {}, True),
        (DDP, {"LOCAL_RANK": "0"}, False),
        (["trainer.num_nodes=2"], {}, True),
        (["trainer=ddp"], {}, False),
    ],
)
def test_which_runs_start_processes(
    overrides: list[str], environment: dict[str, str], starts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert starts_processes(compose_config(overrides)) is starts


def test_slurm_sets_the_number_of_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert compose_config(["trainer=slurm"]).trainer.devices == 1
    monkeypatch.setenv("SLURM_NTASKS_PER_NODE", "4")
    monkeypatch.setenv("SLURM_NNODES", "2")
    trainer = compose_config(["trainer=slurm"]).trainer
    assert (trainer.devices, trainer.num_nodes, trainer.strategy) == (4, 2, "ddp")


def test_the_slurm_launcher_resubmits_a_run() -> None:
    config = compose_config(["hydra/launcher=slurm"])
    assert config.hydra.launcher.max_num_timeout > 0
    launcher = instantiate({**config.hydra.launcher, "submitit_folder": "jobs"})
    assert launcher.params["timeout_min"] == 1440
