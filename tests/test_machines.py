"""Does a sweep yield the same results with joblib and submitit? Are several processes and SLURM set up?"""

import csv
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from lightning.fabric.plugins.precision.precision import _PRECISION_INPUT_STR_ALIAS_CONVERSION

from commands import TIMES, Train
from gffpn.config.check import check
from gffpn.config.compose import compose_config
from gffpn.config.resolve import resolved, starts_processes
from gffpn.machine.devices import FULL_NAMES
from gffpn.machine.processes import asked_for
from gffpn.runs.identity import run_name
from gffpn.suite import submission
from gffpn.suite.run import run
from kill_and_resume import figures

DDP = ["trainer=ddp", "trainer.devices=2"]


def table(runs: Path) -> list[dict[str, Any]]:
    """Return the rows of the sweep's table without folders and times."""
    rows = csv.DictReader((runs / "sweeps" / "both" / "results.csv").read_text().splitlines())
    drop = ("run", "launcher", "overrides", *TIMES)
    return [{k: v for k, v in row.items() if not k.startswith(drop)} for row in rows]


@pytest.mark.slow
def test_every_launcher_writes_the_same_table(uneven: list[str], tmp_path: Path, train: Train) -> None:
    overrides = [*uneven, "trainer.max_epochs=1"]
    for neck in ("fpn", "panet"):
        run(compose_config([*overrides, f"neck={neck}", f"paths.runs={tmp_path}/here"]))
    here = figures(tmp_path / "here")
    assert len(here) == 2
    tables = []
    # of submitit one job, because each is a process that imports torch
    for launcher, necks, networks in (
        ("joblib", "fpn,panet", "2 networks"),
        ("submitit_local", "fpn", "1 network"),
    ):
        words = [f"neck={necks}", f"hydra/launcher={launcher}", f"paths.runs={tmp_path}/{launcher}"]
        code, printed = train("-m", *overrides, *words, "name=both")
        assert code == 0
        assert f"Measuring the FPS of {networks} while no other run uses the machine" in printed
        assert "minutes were measured while other runs used the same machine: all rows" in printed
        assert "FPS are not measured" not in printed
        expected = {name: {**metrics, "launcher": launcher} for name, metrics in here.items()}
        found = figures(tmp_path / launcher)
        assert found == {name: expected[name] for name in found}
        tables.append(table(tmp_path / launcher))
        assert len(found) == len(tables[-1])
    assert [row["status"] for row in tables[0]] == ["finished", "finished"]
    assert tables[0][:1] == tables[1]


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
    ("key", "names"),
    [
        ("precision", ["32-true", "32", "'32'", "null"]),
        ("precision", ["bf16-mixed", "bf16"]),
        ("limit_train_batches", ["1.0", "null"]),
        ("limit_eval_batches", ["1.0", "null"]),
        ("deterministic", ["false", "null"]),
    ],
)
def test_one_value_with_several_names_is_one_run(key: str, names: list[str]) -> None:
    configs = [compose_config([f"trainer.{key}={name}"]) for name in names]
    for config in configs:
        check(config)
    assert len({run_name(resolved(config), "data") for config in configs}) == 1
    assert str(resolved(configs[-1])["trainer"][key]).lower() == names[0]


@pytest.mark.parametrize("name", ["16-mixed", "16", "'16'"])
def test_fp16_on_a_cpu_is_bf16_as_which_it_is_trained(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    words = [f"trainer.precision={name}", "trainer.accelerator=cpu"]
    assert resolved(compose_config(words))["trainer"]["precision"] == "bf16-mixed"
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    assert resolved(compose_config(words[:1]))["trainer"]["precision"] == "16-mixed"


def test_every_short_name_of_a_precision_is_known() -> None:
    assert FULL_NAMES == {"None": "32-true", **_PRECISION_INPUT_STR_ALIAS_CONVERSION}


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


@pytest.mark.parametrize(
    ("said", "line"),
    [
        (
            "sbatch: error: Invalid generic resource (gres) specification\n",
            "sbatch: Invalid generic resource (gres) specification: the partition has no such GPUs: "
            "set hydra.launcher.gpus_per_node=null",
        ),
        (
            "sbatch: error: Memory specification can not be satisfied\n"
            "sbatch: error: Batch job submission failed: Requested node configuration is not available\n",
            "sbatch: Memory specification can not be satisfied; Requested node configuration is not "
            "available: set hydra.launcher.mem_gb=N or null",
        ),
        (
            "sbatch: error: invalid partition specified: nix\n"
            "sbatch: error: Batch job submission failed: Invalid partition name specified\n",
            "sbatch: invalid partition specified: nix; Invalid partition name specified: "
            "set hydra.launcher.partition=NAME (sinfo lists the partitions)",
        ),
        ("sbatch: error: Slurm controller is busy\n", "sbatch: Slurm controller is busy"),
    ],
)
def test_a_refusal_of_sbatch_is_one_line_with_the_override_that_helps(said: str, line: str) -> None:
    assert submission.refusal(said) == line


def test_a_job_runs_until_it_is_no_longer_in_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [b"7_0\n7_1\n8\n", b"7_0\n", b""]
    monkeypatch.setattr(subprocess, "check_output", lambda *args, **kwargs: answers.pop(0))
    queue = submission.Queue()
    for job in ("7_0", "7_1"):
        queue.register_job(job)
    for left in (["7_0", "7_1"], ["7_0"], []):
        queue.update()
        assert [job for job in ("7_0", "7_1") if not queue.is_done(job, "cache")] == left


def test_a_repeated_command_waits_for_the_jobs_of_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    for job in ("7_0", "7_1", "7"):
        (tmp_path / ".submitit" / job).mkdir(parents=True)
    for job in ("7_0", "7_1"):
        (tmp_path / ".submitit" / job / f"{job}_submitted.pkl").touch()
    answers = [{"7_1", "9"}, {"7_1"}, {"9"}]
    monkeypatch.setattr(submission, "queued", lambda: answers.pop(0))
    monkeypatch.setattr(submission, "INTERVAL_S", 0)
    submission.wait_for_earlier(tmp_path)
    assert not answers
    line = "Waiting for the SLURM jobs of an earlier command (scancel 7_1 ends them)\n"
    assert capsys.readouterr().out == line
