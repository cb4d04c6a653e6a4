"""Recovery without loss from kills, damaged files, a full disk, W&B failures, NaN losses, parallel sweeps."""

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from filelock import FileLock
from lightning.pytorch.loggers import WandbLogger
from omegaconf import DictConfig, OmegaConf

from commands import ROOT, Train, record_of, run_tiny, tiny_overrides, without_times
from gffpn.callbacks.checkpoints import MovableCheckpoint, WholeCheckpoints
from gffpn.callbacks.finite import FiniteLoss, LossNotFiniteError
from gffpn.files.writing import alone, whole_file, write_atomically
from gffpn.runs.folder import RunFolder
from gffpn.suite import tracking
from gffpn.suite.tracker import RowCount, Tracker
from gffpn.weights import WeightsError
from kill_and_resume import figures, try_moment

FPN = ["neck=fpn"]


@pytest.fixture
def plain(tiny: list[str]) -> list[str]:
    """Return overrides for one run of FPN."""
    return [*tiny, *FPN]


@pytest.fixture(scope="module")
def original(squares: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return run_tiny([*tiny_overrides(squares, tmp_path_factory.mktemp("original")), *FPN])


@pytest.fixture
def finished(original: RunFolder, tmp_path: Path) -> RunFolder:
    """Copy the finished run of `plain` to the folder in which `plain` looks for it."""
    return RunFolder(shutil.copytree(original.path, tmp_path / "runs" / original.path.name))


@pytest.fixture
def two_runs(tiny: list[str]) -> list[str]:
    """Return overrides for a sweep of two runs on a CPU in fp32, without `paths.runs`."""
    kept = [o for o in tiny if not o.startswith(("paths.runs", "loader.workers", "trainer.max_epochs"))]
    engine = ["trainer.accelerator=cpu", "trainer.precision=32-true", "loader.workers=2"]
    return [*kept, *engine, "neck=none,panet", "trainer.max_epochs=3"]


@pytest.mark.slow
def test_a_sweep_killed_while_it_writes_a_checkpoint_loses_nothing(
    two_runs: list[str], tmp_path: Path, train: Train
) -> None:
    code, _ = train("-m", *two_runs, f"paths.runs={tmp_path}/uninterrupted")
    assert code == 0
    expected = figures(tmp_path / "uninterrupted")
    assert len(expected) == 2
    report = try_moment(tmp_path, "while_a_checkpoint_is_written", two_runs, expected, train)
    assert "continues with epoch 3" in report


@pytest.mark.slow
def test_a_run_with_a_truncated_metrics_file_is_not_finished(plain: list[str], finished: RunFolder) -> None:
    folder = finished
    first, text = record_of(folder), folder.metrics.read_text()
    folder.metrics.write_text(text[: len(text) // 2])
    assert folder.status == "interrupted"
    shutil.rmtree(folder.path / "logs")  # not needed for a result
    again = run_tiny(plain)
    assert again.status == "finished"
    assert without_times(record_of(again)) == without_times(first)


@pytest.mark.slow
def test_a_record_of_an_older_version_is_made_again_without_training(
    plain: list[str], finished: RunFolder, capsys: pytest.CaptureFixture
) -> None:
    first = record_of(finished)
    finished.metrics.write_text(json.dumps({"neck": "fpn", "test/mAP50": 0.5}))
    assert finished.status == "interrupted"
    again = run_tiny(plain)
    printed = capsys.readouterr().out
    assert "metrics.json: got version none, expected 2; an older gffpn wrote it" in printed
    assert "epoch 1/2" not in printed
    assert without_times(record_of(again)) == without_times(first)


def test_a_record_of_a_newer_version_is_not_overwritten(
    plain: list[str], finished: RunFolder, capsys: pytest.CaptureFixture
) -> None:
    finished.metrics.write_text('{"version": 1000}')
    with pytest.raises(SystemExit):
        run_tiny(plain)
    assert "got version 1000, expected 2; a newer gffpn wrote it: use that one" in capsys.readouterr().err
    assert finished.metrics.read_text() == '{"version": 1000}'


@pytest.mark.slow
@pytest.mark.parametrize("name", ["best.ckpt", "last.ckpt"])
def test_a_damaged_checkpoint_restarts_the_run(
    plain: list[str], finished: RunFolder, name: str, capsys: pytest.CaptureFixture
) -> None:
    folder = finished
    first = record_of(folder)
    folder.metrics.unlink()
    torn = folder.checkpoints / name
    torn.write_bytes(torn.read_bytes()[:-1000])
    (folder.checkpoints / ".last.ckpt.123").write_bytes(b"of a killed process")
    again = run_tiny(plain)
    output = capsys.readouterr().out
    assert f"{name} damaged; restarting this run" in output
    assert "epoch 1/2" in output
    assert {path.name for path in again.checkpoints.iterdir()} == {"best.ckpt", "last.ckpt"}
    assert without_times(record_of(again)) == without_times(first)


@pytest.mark.slow
def test_a_last_checkpoint_without_its_best_is_dropped(finished: RunFolder) -> None:
    folder = finished
    folder.metrics.unlink()
    (folder.checkpoints / "best.ckpt").unlink()
    assert folder.drop_torn_checkpoints() == ["best.ckpt"]
    assert folder.last_checkpoint is None


def test_a_checkpoint_that_is_not_an_archive_is_dropped(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    path = folder.checkpoints / "last.ckpt"
    WholeCheckpoints().save_checkpoint({"epoch": 1}, path)
    whole = path.read_bytes()
    dropped = []
    for position in range(0, len(whole), 7):
        spoilt = bytearray(whole)
        spoilt[position] ^= 255
        path.write_bytes(spoilt)
        (folder.checkpoints / "best.ckpt").write_bytes(whole)
        dropped.append(folder.drop_torn_checkpoints())
    # a change of a byte that is never read (a date, padding) does no harm
    assert dropped[0] == ["last.ckpt"]
    assert all(names in ([], ["last.ckpt"]) for names in dropped)


def test_a_moved_folder_keeps_its_best_epoch(tmp_path: Path) -> None:
    old = MovableCheckpoint(tmp_path / "old", "best", monitor="val/mAP50", mode="max")
    old.best_model_score = torch.tensor(0.5)
    old.best_model_path = old.kth_best_model_path = f"{tmp_path}/old/best.ckpt"
    old.best_k_models = {f"{tmp_path}/old/best.ckpt": torch.tensor(0.5)}
    new = MovableCheckpoint(tmp_path / "new", "best", monitor="val/mAP50", mode="max")
    new.load_state_dict(old.state_dict())
    assert new.best_model_score == 0.5
    assert new.best_model_path == new.kth_best_model_path == f"{tmp_path}/new/best.ckpt"
    assert list(new.best_k_models) == [f"{tmp_path}/new/best.ckpt"]


def test_a_flipped_bit_is_detected(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    path = folder.checkpoints / "last.ckpt"
    for name in ("best.ckpt", "last.ckpt"):
        content = {"state_dict": {"w": torch.arange(1000.0)}}
        WholeCheckpoints().save_checkpoint(content, folder.checkpoints / name)
    assert folder.drop_torn_checkpoints() == []
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert folder.drop_torn_checkpoints() == ["last.ckpt"]
    assert not path.exists()


class Exploit:
    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("executed",)


def test_loading_a_checkpoint_never_runs_code(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path = tmp_path / "last.ckpt"
    torch.save({"state_dict": {}, "callbacks": Exploit()}, path)
    for asked in (None, False, True):
        with pytest.raises(WeightsError, match=r"last.ckpt: refused, because loading it would execute code"):
            WholeCheckpoints().load_checkpoint(path, weights_only=asked)
    assert "executed" not in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("name", ["best.ckpt", "last.ckpt"])
def test_a_run_whose_checkpoint_would_execute_code_ends_with_one_line(
    plain: list[str], finished: RunFolder, name: str, train: Train
) -> None:
    finished.metrics.unlink()
    torch.save({"state_dict": {}, "callbacks": Exploit()}, finished.checkpoints / name)
    code, printed = train(*plain)
    assert code == 1
    assert "Traceback" not in printed
    (line,) = [line for line in printed.splitlines() if "ERROR" in line]
    assert f"{finished.checkpoints / name}: refused, because loading it would execute code (print)" in line
    assert "executed" not in printed


def test_an_error_names_the_file_and_not_its_draft(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.mkdir()
    with pytest.raises(OSError, match=re.escape(f"Is a directory: '{path}'") + "$"):
        write_atomically(path, "{}")
    assert [file.name for file in tmp_path.iterdir()] == ["a"]


def test_an_incomplete_file_never_replaces_a_complete_one(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    path.write_text("old")

    def fail(draft: Path) -> None:
        draft.write_text("ne")
        raise OSError(errno.ENOSPC, "No space left on device")

    with (
        pytest.raises(OSError, match=r"No space left on device: '.*metrics.json'"),
        whole_file(path) as draft,
    ):
        fail(draft)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["metrics.json"]


@pytest.mark.slow
def test_a_full_disk_ends_the_run_with_a_message(
    plain: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    whole, saves = WholeCheckpoints.save_checkpoint, []

    def save(self: WholeCheckpoints, checkpoint: dict[str, Any], path: Any, **options: Any) -> None:
        saves.append(path)
        if len(saves) == 3:  # the second epoch's first checkpoint
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        whole(self, checkpoint, path, **options)

    monkeypatch.setattr(WholeCheckpoints, "save_checkpoint", save)
    with pytest.raises(SystemExit) as left:
        run_tiny(plain)
    assert left.value.code == 1
    assert "Free some space, then repeat the command to continue" in capsys.readouterr().err
    assert run_tiny(plain).status == "finished"
    output = capsys.readouterr().out
    assert "Resuming" in output
    assert "epoch 1/2" not in output


def test_a_loss_that_is_nan_names_the_images(plain: list[str], capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        run_tiny([*plain, "optim.lr=1e30", "optim.gradient_clip=null", "optim.warmup_epochs=0"])
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("ERROR")]
    assert "the loss is nan at step 1 (epoch 1), on the images images/train" in line


def test_the_images_of_every_step_since_the_last_check_are_named() -> None:
    records = [SimpleNamespace(name=f"{k}.png", path=Path(f"/set/{k}.png")) for k in range(6)]
    trainer = SimpleNamespace(
        global_step=0,
        current_epoch=4,
        is_last_batch=False,
        world_size=1,
        datamodule=SimpleNamespace(index=SimpleNamespace(splits={"train": records})),
    )
    check = FiniteLoss(every=2)

    def step(loss: float, *sources: tuple[int, ...]) -> None:
        trainer.global_step += 1
        batch = {"targets": [{"sources": positions} for positions in sources]}
        check.on_train_batch_end(trainer, None, {"loss": torch.tensor(loss)}, batch, 0)

    step(1.0, (0,))
    step(1.0, (1,))
    step(2.5, (2,))
    with pytest.raises(
        LossNotFiniteError, match=r"inf at step 3 \(epoch 5\), on the images 3.png, 5.png"
    ) as e:
        step(float("inf"), (3, 5, 3))
    notes = "\n".join(e.value.__notes__)
    assert "step 2, loss 2.5: 2.png" in notes
    assert "step 3, loss inf: 3.png, 5.png" in notes
    assert "1.png" not in notes


def test_wandb_is_no_longer_used_after_it_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    calls = []

    def broken(self: WandbLogger, metrics: dict[str, float], step: int | None = None) -> None:
        calls.append(metrics)
        raise ConnectionResetError("Connection lost")

    monkeypatch.setattr(WandbLogger, "log_metrics", broken)
    monkeypatch.setattr(WandbLogger, "__init__", lambda self, experiment: None)
    tracker = Tracker(None, RowCount(Path("none")))
    tracker.log_metrics({"a": 1.0})
    tracker.log_metrics({"a": 2.0})
    assert len(calls) == 1
    output = capsys.readouterr().err
    assert output.count("W&B accepts no more data (Connection lost); the run continues without it") == 1


def test_wandb_that_cannot_start_is_used_offline_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    tried: list[str] = []

    def start(*, mode: str, **settings: Any) -> None:
        tried.append(mode)
        raise ConnectionError("nobody there")

    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.setattr(tracking.wandb, "init", start)
    monkeypatch.setattr(tracking.wandb, "teardown", lambda: None)
    settings = {"wandb": "online", "project": "p", "entity": None, "run_id": "token", "tags": []}
    config = {"choice": {"neck": "fpn", "data": "voc"}}
    folder = RunFolder(tmp_path / "fpn_0123456789")
    assert tracking.wandb_logger(OmegaConf.create(settings), folder, config=config, group="g") is None
    assert tried == ["online", "offline"]
    assert "continues without W&B" in capsys.readouterr().err


def test_the_second_user_of_a_lock_waits_for_the_first(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    order = []

    def second() -> None:
        with alone(tmp_path / "lock", waits_for="the run x"):
            order.append("second")

    with alone(tmp_path / "lock"):
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.3)
        order.append("first")
    thread.join(timeout=10)
    assert order == ["first", "second"]
    assert "Waiting for the run x: another process is using it" in capsys.readouterr().err


@pytest.mark.slow
def test_two_concurrent_sweeps_execute_each_run_once(
    two_runs: list[str], tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one stands still from its first run until the second one waits for it."""
    acquire = FileLock.acquire

    def continued(lock: FileLock, *arguments: Any, **named: Any) -> object:
        if "timeout" in named:
            process.send_signal(signal.SIGCONT)
        return acquire(lock, *arguments, **named)

    monkeypatch.setattr(FileLock, "acquire", continued)
    short = ["trainer.max_epochs=1", "loader.workers=0", f"paths.runs={tmp_path}/runs", "name=both"]
    words = ["-m", *two_runs, *short]
    with subprocess.Popen(
        [sys.executable, "train.py", *words], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        begun = next(line for line in process.stdout if line.startswith("Running: "))
        process.send_signal(signal.SIGSTOP)
        try:
            code, second = train(*words)
        finally:
            process.send_signal(signal.SIGCONT)
        first = begun + process.stdout.read()
    assert (process.returncode, code) == (0, 0), first + second
    assert (first.count("Running: "), second.count("Running: ")) == (2, 0)
    assert second.count("Already finished, skipped") == 2
    assert second.count("Waiting for the sweep") == 1


@pytest.mark.slow
@pytest.mark.parametrize(("launcher", "number"), [("basic", signal.SIGINT), (None, signal.SIGTERM)])
def test_a_signal_ends_a_sweep_with_its_workers_and_says_how_to_continue(
    launcher: str | None, number: signal.Signals, two_runs: list[str], tmp_path: Path
) -> None:
    chosen = [f"hydra/launcher={launcher}"] if launcher else ["runs_at_a_time=2"]
    words = [
        *(word for word in two_runs if not word.startswith("runs_at_a_time")),
        "trainer.max_epochs=500",
        *chosen,
    ]
    command = [sys.executable, "train.py", "-m", *words]
    printed = []
    with subprocess.Popen(
        [*command, f"paths.runs={tmp_path}"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        for line in process.stdout:  # ends when the last worker has ended
            printed.append(line)
            if "epoch 2/" in line:
                process.send_signal(number)
    assert process.returncode == 130
    assert "Interrupted. Repeat the command to continue; finished epochs are kept.\n" in printed
    assert printed[-1] == "2 of 2 runs are not finished. Repeat the command to run only what is missing.\n"
    assert list((tmp_path / "sweeps").glob("*/results.md"))


def test_sigterm_before_the_first_step_prints_one_line(
    plain: list[str], train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    def terminated(config: DictConfig) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    handler = signal.getsignal(signal.SIGTERM)
    for step in ("gffpn.suite.plan.build_index", "gffpn.suite.run.run"):  # in the run, and before it
        with monkeypatch.context() as patch:
            patch.setattr(step, terminated)
            code, output = train(*plain)
        assert code == 130
        assert output == "Interrupted. Repeat the command to continue; finished epochs are kept.\n"
    assert signal.getsignal(signal.SIGTERM) is handler


def test_sigterm_interrupts_training_within_the_step(
    plain: list[str], train: Train, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    handlers = []

    def terminated(self: FiniteLoss, *args: object, **kwargs: object) -> None:
        handlers.append(signal.getsignal(signal.SIGTERM))
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(FiniteLoss, "on_train_batch_end", terminated)
    code, output = train(*plain)
    assert code == 130
    assert output.endswith("Interrupted. Repeat the command to continue; finished epochs are kept.\n")
    # not Lightning's, which first waits for the other processes of the run
    assert handlers == [signal.default_int_handler]
    (folder,) = tmp_path.glob("runs/fpn_*")
    assert RunFolder(folder).status == "interrupted"


def test_a_name_of_the_longest_length_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("\N{CJK UNIFIED IDEOGRAPH-4E00}" * 83 + ".json")
    write_atomically(path, "{}")
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
