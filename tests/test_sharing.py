"""Do the runs of a sweep share a machine's cores, name themselves, and get their FPS measured alone?"""

import io
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from copy import copy
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from joblib.externals.loky.process_executor import TerminatedWorkerError
from omegaconf import DictConfig, OmegaConf
from torch import nn

from commands import SIDE, Train, record_of, run_tiny, train_py, without_times
from gffpn.config.compose import compose_config
from gffpn.config.resolve import resolved
from gffpn.machine.memory import available_memory
from gffpn.machine.others import Neighbours
from gffpn.report.caption import timed_beside_others
from gffpn.runs.folder import RunFolder
from gffpn.runs.identity import determining
from gffpn.runs.predictions import read_predictions
from gffpn.runs.reading import logged_rows
from gffpn.runs.sweeps import SweepPlan, record_job, write_plan
from gffpn.runs.verify import differences
from gffpn.suite import sharing, speeds
from gffpn.suite.forecast import forecast
from gffpn.suite.output import label_of, labelled, print_progress, seconds_left
from gffpn.suite.run import run
from gffpn.suite.sharing import runs_at_a_time, saved_bytes, share_machine, threads_of_processes
from gffpn.suite.speeds import time_runs
from wandb_offline import keys

GB = 10**9
SIX = [["neck=fpn", f"seed={seed}"] for seed in range(6)]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Return an invented machine of four cores and 100 GB, on which a run takes 1 GB; tests change it."""
    made = SimpleNamespace(cores=4, memory=100 * GB, run=1 * GB, device=torch.device("cpu"))
    monkeypatch.setattr(sharing, "usable_cores", lambda: made.cores)
    monkeypatch.setattr(sharing, "available_memory", lambda: made.memory)
    monkeypatch.setattr(sharing, "run_bytes", lambda config: made.run)
    monkeypatch.setattr(sharing, "device", lambda accelerator: made.device)
    monkeypatch.setattr(sharing, "_arms", lambda config, planned: [config])
    monkeypatch.setattr(sharing, "AT_START", 4)
    return made


@pytest.mark.parametrize(
    ("words", "planned", "changes", "runs"),
    [
        ([], SIX, {}, 4),
        ([], SIX[:3], {}, 3),
        ([], SIX[:1], {}, 1),
        ([], SIX, {"cores": 1}, 1),
        ([], SIX, {"memory": 3.9 * GB}, 3),  # 80 % of it are for the runs
        ([], SIX, {"memory": 0}, 1),
        ([], SIX, {"memory": None}, 4),  # not known
        ([], SIX, {"device": torch.device("cuda")}, 1),
        (["trainer.accelerator=cpu"], SIX, {"device": torch.device("cuda")}, 4),
        (["trainer.threads=2"], SIX, {}, 2),
        (["trainer.threads=8"], SIX, {}, 1),
        (["runs_at_a_time=1"], SIX, {}, 1),
        (["runs_at_a_time=6"], SIX, {"cores": 1, "device": torch.device("cuda")}, 6),
        (["runs_at_a_time=6"], SIX[:2], {}, 2),
        (["hydra/launcher=basic"], SIX, {}, 1),
        (["hydra/launcher=joblib", "runs_at_a_time=3"], SIX, {}, 1),
        (["trainer=ddp", "trainer.devices=2", "trainer.accelerator=cpu"], SIX, {}, 1),
        ([], [], {}, 1),  # a sweeper that starts one job at a time by the results so far
        (["+hydra.sweeper.n_jobs=3"], [], {}, 3),  # one that starts three, such as optuna
    ],
)
def test_as_many_runs_start_as_cores_and_memory_carry(
    machine: SimpleNamespace, words: list[str], planned: Sequence[Sequence[str]], changes: Any, runs: int
) -> None:
    vars(machine).update(changes)
    config = compose_config(words)
    assert runs_at_a_time(config, planned) == runs


@pytest.mark.parametrize(("value", "shown"), [("0", "0"), ("many", "'many'")])
def test_a_wrong_number_of_runs_is_refused(value: str, shown: str, train: Train) -> None:
    code, printed = train("-m", "neck=fpn", f"runs_at_a_time={value}")
    assert code == 2
    assert printed == f"ERROR: runs_at_a_time: got {shown}, expected null or a whole number, 1 or more\n"


def test_sharing_chooses_the_launcher_and_changes_no_run(
    machine: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    config = compose_config(["neck=fpn"])
    OmegaConf.set_readonly(config.hydra, False)  # that of a sweep can be written to
    before = determining(resolved(config))
    assert share_machine(config, SIX) == 4
    assert config.hydra.launcher.n_jobs == 4
    assert config.hydra.overrides.hydra[-2:] == ["hydra/launcher=joblib", "hydra.launcher.n_jobs=4"]
    assert determining(resolved(config)) == before
    assert determining(resolved(compose_config(["neck=fpn", "runs_at_a_time=1"]))) == before
    printed = "4 runs at a time, each with 1 CPU thread (runs_at_a_time=1: one after another)\n"
    assert capsys.readouterr().out == printed


def test_a_sweep_outlasts_the_kill_of_a_process(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started = []

    def launch(launcher: SimpleNamespace, jobs: list[list[str]], number: int) -> str:
        started.append((launcher.joblib["n_jobs"], jobs, number))
        if launcher.joblib["n_jobs"] != 1:
            raise TerminatedWorkerError("killed")
        return "all"

    monkeypatch.setattr(sharing, "_launch", launch)
    assert sharing._launch_again(SimpleNamespace(joblib={"n_jobs": 3}), SIX, 5) == "all"
    assert started == [(3, SIX, 5), (2, SIX, 5), (1, SIX, 5)]
    first, second = capsys.readouterr().err.splitlines()
    assert first.endswith("perhaps for lack of memory. Continuing with 2 runs at a time")
    assert second.endswith("Continuing with one run at a time")
    started.clear()
    monkeypatch.setattr(sharing, "usable_cores", lambda: 4)
    sharing._launch_again(SimpleNamespace(joblib={"n_jobs": -2}), SIX, 5)  # joblib: all cores but one
    assert [asked for asked, *_ in started] == [-2, 2, 1]


def test_the_number_of_threads_is_set_for_new_processes_only(monkeypatch: pytest.MonkeyPatch) -> None:
    for before in ("7", None):
        monkeypatch.setenv("OMP_NUM_THREADS", "7")
        if before is None:
            monkeypatch.delenv("OMP_NUM_THREADS")
        with threads_of_processes(2):
            assert os.environ["OMP_NUM_THREADS"] == "2"
        assert os.environ.get("OMP_NUM_THREADS") == before


def test_what_the_backward_pass_needs_is_counted_once() -> None:
    """A convolution saves its input and its weight; ReLU saves its output, which the second one shares."""
    network = nn.Sequential(nn.Conv2d(3, 4, 1, bias=False), nn.ReLU(), nn.Conv2d(4, 5, 1, bias=False))
    images = torch.zeros(2, 3, 8, 8)
    assert saved_bytes(network, images) == 4 * (2 * 3 * 64 + 3 * 4 + 2 * 4 * 64 + 4 * 5)


def test_a_larger_batch_needs_more_memory() -> None:
    words = ["neck=fpn", f"image_size={SIDE}"]
    one, two = (sharing.run_bytes(compose_config([*words, f"batch_size={size}"])) for size in (16, 32))
    assert sharing.PROCESS_BYTES < one < two < 2 * one


@pytest.mark.parametrize(
    ("files", "available"),
    [
        ({}, None),
        ({"proc/meminfo": "MemTotal: 9 kB\nMemAvailable: 8 kB\n"}, 8192),
        ({"sys/fs/cgroup/memory.max": "max", "sys/fs/cgroup/memory.current": "1"}, 8192),
        # 5,000 of which 4,500 are used, 3,500 of them by cached files
        ({"sys/fs/cgroup/memory.max": "5000", "sys/fs/cgroup/memory.current": "4500"}, 4000),
        (
            {
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "3000",
                "sys/fs/cgroup/memory/memory.usage_in_bytes": "2900",
                "sys/fs/cgroup/memory/memory.stat": "total_active_file 100\ntotal_inactive_file 0\n",
            },
            200,
        ),
    ],
)
def test_available_memory_respects_the_limit_of_a_container(
    tmp_path: Path, files: dict[str, str], available: int | None
) -> None:
    known = {"proc/meminfo": "MemAvailable: 8 kB\n"} if files else {}
    known |= {"sys/fs/cgroup/memory.stat": "anon 1000\nactive_file 500\ninactive_file 3000\n"}
    for name, text in (known | files).items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert available_memory(tmp_path) == available


def test_no_more_cores_are_used_than_granted() -> None:
    """LOKY_MAX_CPU_COUNT stands for the CPU limit of a container, which counts in the same place."""
    code = (
        "from gffpn.machine.cores import usable_cores; from gffpn.machine.thread_choice import AT_START; "
        "from tinyindus import write; print(usable_cores(), AT_START, write.usable_cores())"
    )
    limits = {**os.environ, "LOKY_MAX_CPU_COUNT": "1", "OMP_NUM_THREADS": "3"}
    done = subprocess.run([sys.executable, "-c", code], env=limits, capture_output=True, text=True)
    assert done.stdout.split() == ["1", "1", "1"], done.stderr


def test_each_line_says_which_run_printed_it(monkeypatch: pytest.MonkeyPatch) -> None:
    out, err = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    handler = logging.StreamHandler(out)
    logging.getLogger().addHandler(handler)
    try:
        with labelled("neck=fpn seed=1"):
            print("epoch 1", flush=True)
            print("two\nlines", end="", file=sys.stderr)
            assert not sys.stdout.isatty()
            logging.getLogger().warning("a warning")
            assert sys.stdout.encoding == out.encoding
        logging.getLogger().warning("another")
    finally:
        logging.getLogger().removeHandler(handler)
    assert sys.stdout is out
    assert out.getvalue() == "[neck=fpn seed=1] epoch 1\n[neck=fpn seed=1] a warning\nanother\n"
    assert err.getvalue() == "[neck=fpn seed=1] two\n[neck=fpn seed=1] lines\n"
    with labelled(""):
        print("plain")
    assert out.getvalue().endswith("another\nplain\n")


def test_the_name_of_a_run_is_what_varies() -> None:
    jobs = [["image_size=64", f"neck={neck}", f"seed={seed}"] for neck in ("fpn", "panet") for seed in (0, 1)]
    plan = SweepPlan((), {}, tuple(map(tuple, jobs)))
    assert label_of(plan, jobs[1], 1) == "neck=fpn seed=1"
    assert label_of(SweepPlan((), {}, ()), jobs[1], 1) == "run 2"
    assert label_of(None, jobs[1], 1) == "run 2"


def test_the_time_left_is_that_of_the_runs_left() -> None:
    # 10 s each: 6 s and 4 s of the two running ones, and one more, two at a time
    assert seconds_left([9.0, 11.0], [4.0, 6.0], 1, 2) == 10.0
    # the last one runs alone; one that takes longer than the others ends at any moment
    assert seconds_left([10.0], [4.0], 0, 2) == 6.0
    assert seconds_left([10.0], [14.0], 0, 2) == 0.0
    assert seconds_left([], [4.0], 5, 2) is None


def test_progress_counts_finished_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = tmp_path / "sweeps" / "six"
    write_plan(sweep, SweepPlan((), {}, tuple(map(tuple, SIX))))
    started = time.time() - 600
    os.utime(sweep / "sweep.json", (started, started))
    ages = {"before": (0, -500), "done": (60, 300), "failed": (60, None), "training": (480, None)}
    for number, (name, (begun, end)) in enumerate(ages.items()):
        run = tmp_path / name
        run.mkdir()
        record_job(sweep, number, overrides=SIX[number], run=run)
        os.utime(sweep / "jobs" / f"{number:04d}.json", (started + begun, started + begun))
        if end is not None:
            (run / "metrics.json").touch()
            os.utime(run / "metrics.json", (started + end, started + end))
    (tmp_path / "failed" / "traceback.txt").touch()
    record_job(sweep, 4, overrides=SIX[4], run=None, fault="no such data")
    print_progress(sweep, at_a_time=1)
    # the only run that this sweep trained took 240 s: 120 s are left of one, and another waits
    assert capsys.readouterr().out == "2 of 6 runs finished, about 6 min left\n"
    (sweep / "sweep.json").write_text("{")
    print_progress(sweep, at_a_time=1)
    assert capsys.readouterr().out == ""


def test_a_run_that_shared_the_machine_is_timed_afterwards(
    tiny: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*tiny, "neck=fpn", "logger.wandb=offline", "trainer.max_epochs=1", "trainer.threads=1"]
    folder = run_tiny([*words, "hydra/launcher=joblib"])
    printed = capsys.readouterr().out
    assert "Measuring the FPS of 1 network while" in printed
    assert printed.count("W&B is offline; to upload this run") == 1
    timed = record_of(folder)
    assert timed.speed
    assert logged_rows(folder.path)[-1][1]["model/fps_end_to_end"] == timed.speed.fps_end_to_end
    assert {"fps", "model/fps_end_to_end"} <= keys(folder.path).summary
    assert (timed.speed.timed_run, timed.speed.threads) == (folder.path.name, 1)
    assert differences(timed, read_predictions(folder.predictions))[1] == []
    # of an equal network, whose timing failed or was interrupted; the speed is that of the run itself
    content = json.loads(folder.metrics.read_text())
    folder.metrics.write_text(json.dumps({**content, "speed": None}))
    assert record_of(folder).speed is None
    asked: list[str] = []
    measured = speeds._measured

    def fail(*arguments: Any) -> Any:
        asked.append("measured")
        if len(asked) == 1:
            raise OSError("the data is gone")
        return measured(*arguments)

    monkeypatch.setattr(speeds, "_measured", fail)
    monkeypatch.setattr(Neighbours, "share", lambda self: 0.42)
    config = OmegaConf.load(folder.config)
    assert isinstance(config, DictConfig)
    config.logger.wandb = "off"
    twin = RunFolder(folder.path.with_name("twin"))
    twin.path.mkdir()
    for path in (folder.config, folder.start, folder.metrics):
        (twin.path / path.name).write_text(path.read_text())
    twin.config.write_text(twin.config.read_text().replace("seed: 0\nimage", "seed: 1\nimage"))
    both = [(folder, lambda: config), (twin, lambda: config)]
    time_runs(both)
    assert f"WARNING: no FPS of {folder.path}: the data is gone" in capsys.readouterr().err
    time_runs(both)
    time_runs(both)  # there is nothing left to do
    assert len(asked) == 2
    speed = record_of(twin).speed
    assert speed
    assert speed.timed_run == folder.path.name
    assert "WARNING: other processes took 42% of the cores" in capsys.readouterr().err
    assert (speed.others, timed_beside_others(record_of(twin))) == (0.42, True)
    assert logged_rows(twin.path)[-1][1]["model/fps_forward"] == speed.fps_forward
    assert without_times(record_of(folder)) == without_times(timed)


def test_images_simulated_at_two_sizes_are_two_sets(tiny: list[str]) -> None:
    words = [word for word in tiny if not word.startswith(("image_size", "data"))]
    words += ["neck=fpn", "data=tinyindus_sim", "data.train_images=4", "data.val_images=4"]
    words += ["data.test_images=4", "trainer.max_epochs=1", "logger.wandb=off", "hydra/launcher=joblib"]
    configs = []
    for side in (64, 96):
        configs.append(compose_config([*words, f"image_size={side}"]))
        run(configs[-1])
    planned = forecast([*words, "image_size=64,96", "seed=0,0"])
    assert [plan.is_done for plan in planned.plans] == [True, True]
    folders = [plan.folder for plan in planned.plans]
    for folder in folders:
        content = json.loads(folder.metrics.read_text())
        folder.metrics.write_text(json.dumps({**content, "speed": None}))
    time_runs([(folder, partial(copy, config)) for folder, config in zip(folders, configs, strict=True)])
    assert all(record_of(folder).speed for folder in folders)


@pytest.mark.slow
def test_two_runs_at_a_time_end_with_one_table(tiny: list[str], tmp_path: Path, train: Train) -> None:
    runs_in = tmp_path / "o'brien's runs"  # a name that needs quotes
    words = [
        *(word for word in tiny if not word.startswith(("runs_at_a_time", "paths.runs"))),
        f'paths.runs="{runs_in}"',
        "neck=fpn",
    ]
    code, printed = train_py("-m", *words, "seed=0,1", "runs_at_a_time=2", "name=two")
    assert code == 0
    for seed in (0, 1):
        assert f"[seed={seed}] epoch 2/2" in printed
    assert "2 of 2 runs finished\n" in printed
    assert "Measuring the FPS of 1 network" in printed
    runs = [RunFolder(path.parent) for path in sorted(runs_in.glob("fpn_*/metrics.json"))]
    made = [record_of(run) for run in runs]
    assert {one.speed.timed_run for one in made if one.speed} == {runs[0].path.name}
    assert {(one.choice.launcher, one.training.threads) for one in made} == {("joblib", (1,))}
    code, printed = train("-m", *words, "seed=0,1", "runs_at_a_time=1", "name=two")
    assert code == 0
    assert printed.count("Already finished, skipped") == 2
    assert "Measuring" not in printed
