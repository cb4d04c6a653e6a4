"""Does a sweep yield the same results with joblib and submitit? Are several processes and SLURM set up?"""

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import instantiate

from commands import Train
from gffpn.config.compose import compose_config
from gffpn.config.resolve import resolved, starts_processes
from gffpn.machine.processes import asked_for
from gffpn.suite.run import run
from kill_and_resume import figures

DDP = ["trainer=ddp", "trainer.devices=2"]


def table(runs: Path) -> list[dict[str, Any]]:
    """Return the rows of the sweep's table without folders and times."""
    rows = csv.DictReader((runs / "sweeps" / "both" / "results.csv").read_text().splitlines())
    drop = ("run", "launcher", "minutes", "fps", "latency_", "rounds", "overrides")
    return [{k: v for k, v in row.items() if not k.startswith(drop)} for row in rows]


@pytest.mark.slow
def test_every_launcher_writes_the_same_table(uneven: list[str], tmp_path: Path, train: Train) -> None:
    overrides = [*uneven, "trainer.max_epochs=1"]
    for neck in ("fpn", "panet"):
        run(compose_config([*overrides, f"neck={neck}", f"paths.runs={tmp_path}/here"]))
    here = figures(tmp_path / "here")
    assert len(here) == 2
    tables = []
    for launcher in ("joblib", "submitit_local"):
        words = ["neck=fpn,panet", f"hydra/launcher={launcher}", f"paths.runs={tmp_path}/{launcher}"]
        code, printed = train("-m", *overrides, *words, "name=both")
        assert code == 0
        assert "other runs may have used the same machine" in printed
        expected = {name: {**metrics, "launcher": launcher} for name, metrics in here.items()}
        assert figures(tmp_path / launcher) == expected
        tables.append(table(tmp_path / launcher))
    assert [row["status"] for row in tables[0]] == ["finished", "finished"]
    assert tables[0] == tables[1]


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
    assert starts_processes(resolved(compose_config(overrides))) is starts


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
