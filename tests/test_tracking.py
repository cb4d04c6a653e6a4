"""Is the data that runs log to W&B complete, as read back from its offline files?"""

import json
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import wandb
from lightning.pytorch.loggers import WandbLogger
from omegaconf import OmegaConf

from gffpn.callbacks.pictures import Pictures
from gffpn.runs.folder import RunFolder
from gffpn.suite import tracking
from wandb_offline import BLOCK, HEAD, HEADER, Keys, OfflineRun, attempts, keys, messages, read_offline

CONFIG = {"seed": 3, "choice": {"neck": "fpn", "data": "voc"}, "optim": {"lr": 0.002}}
SETTINGS = OmegaConf.create({"wandb": "auto", "project": "gffpn", "entity": None, "tags": ["tests"]})
CLASSES = ("pock", "flaw")
EPOCHS = 5


def attempt(folder: RunFolder, epoch: int, *, pictures: bool) -> None:
    """Log what one epoch of training logs, through the same calls of the logger."""
    logger = tracking.wandb_logger(SETTINGS, folder, config=CONFIG, group="table6")
    logger.log_metrics({"epoch": epoch, "val/mAP50": 0.25 * (epoch + 1), "val/AP_0_8": float("nan")}, step=9)
    if pictures:
        show_pictures(folder, logger, current_epoch=EPOCHS - 1)
    logger.log_metrics({"model/gflops": 3.5})


def show_pictures(folder: RunFolder, logger: WandbLogger, *, current_epoch: int) -> None:
    """Show a validation image of 20 x 40 (height x width) to `Pictures`.

    It has one object, one confident detection and one weak detection.
    """
    callback = Pictures(folder.path / "pictures", count=4)
    index = SimpleNamespace(classes=CLASSES)
    trainer = SimpleNamespace(
        is_global_zero=True,
        datamodule=SimpleNamespace(index=index),
        loggers=[logger],
        current_epoch=current_epoch,
        max_epochs=EPOCHS,
    )
    target = {"boxes": torch.tensor([[4.0, 5.0, 10.0, 15.0]]), "labels": torch.tensor([1])}
    detections = {
        "boxes": torch.tensor([[4.0, 5.0, 11.0, 15.0], [0.0, 0.0, 9.0, 9.0]]),
        "scores": torch.tensor([0.75, 0.125]),
        "labels": torch.tensor([1, 0]),
    }
    batch = {"images": torch.full((1, 3, 20, 40), 128, dtype=torch.uint8), "targets": [target]}
    callback.on_validation_batch_end(trainer, None, {"detections": [detections]}, batch, 0)
    callback.on_validation_end(trainer, None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Return a run of two epochs that failed after the first and was resumed."""
    folder = RunFolder(tmp_path_factory.mktemp("runs") / "fpn_cspdarknet-n_tal_voc_64_s3_0123456789")
    try:
        with pytest.raises(RuntimeError, match="out of memory"):
            fail_after(folder)
        attempt(folder, 1, pictures=True)
    finally:
        tracking.finish()
    wait_for_exits(folder)
    return folder


def wait_for_exits(folder: RunFolder) -> None:
    """Wait until the exit record of every attempt is on disk.

    W&B's service writes the last records of a run after `finish` has returned.
    """
    deadline = time.monotonic() + 30
    while not all(read_offline(path).exits for path in offline_files(folder)):
        assert time.monotonic() < deadline, "the exit record of an attempt is not on disk"
        time.sleep(0.05)


def fail_after(folder: RunFolder) -> None:
    try:
        attempt(folder, 0, pictures=False)
        raise RuntimeError("out of memory")
    finally:
        tracking.finish()


def offline_files(folder: RunFolder) -> list[Path]:
    return [next(path.glob("run-*.wandb")) for path in attempts(folder.path)]


@pytest.fixture(scope="module")
def run(folder: RunFolder) -> OfflineRun:
    return read_offline(*offline_files(folder))


def test_a_resumed_run_keeps_its_id(folder: RunFolder) -> None:
    runs = [read_offline(path) for path in offline_files(folder)]
    assert [one.run_id for one in runs] == ["0123456789", "0123456789"]
    assert [one.exits for one in runs] == [[1], [0]]


def test_a_run_logs_its_name_group_tags_and_config(run: OfflineRun, folder: RunFolder) -> None:
    assert run.name == folder.path.name
    assert (run.project, run.group, run.tags) == ("gffpn", "table6", ("tests", "fpn", "voc"))
    assert {key: run.config[key] for key in CONFIG} == CONFIG


def test_metrics_are_logged_against_training_steps(run: OfflineRun) -> None:
    assert [row["val/mAP50"] for row in run.history if "val/mAP50" in row] == [0.25, 0.5]
    assert [row["trainer/global_step"] for row in run.history] == [9] * 5
    assert run.step_metrics["*"] == "trainer/global_step"
    assert run.summary["val/mAP50"] == 0.5
    assert run.summary["model/gflops"] == 3.5


def test_keys_of_a_run(folder: RunFolder) -> None:
    logged = {"epoch", "trainer/global_step", "val/mAP50", "val/AP_0_8", "val/pictures", "model/gflops"}
    assert keys(folder.path) == Keys(
        config=frozenset({"seed", "choice", "choice.neck", "choice.data", "optim", "optim.lr"}),
        history=frozenset(logged),
        summary=frozenset(logged),
        boxed_images=frozenset({"val/pictures"}),
        group="table6",
        tags=("tests", "fpn", "voc"),
        run_id="0123456789",
    )


def test_boxes_are_fractions_of_the_image(run: OfflineRun, folder: RunFolder) -> None:
    (pictures,) = [row["val/pictures"] for row in run.history if "val/pictures" in row]
    assert (pictures["height"], pictures["width"], pictures["count"]) == (20, 40, 1)
    files = attempts(folder.path)[-1] / "files"
    assert [path for path in pictures["filenames"] if not (files / path).exists()] == []
    (boxes,) = pictures["all_boxes"]
    stored = {kind: json.loads((files / boxes[kind]["path"]).read_text()) for kind in boxes}
    assert stored["truth"]["class_labels"] == {"0": "pock", "1": "flaw"}
    (truth,) = stored["truth"]["box_data"]
    assert (truth["class_id"], truth["box_caption"]) == (1, "flaw")
    assert truth["position"] == pytest.approx({"minX": 0.1, "minY": 0.25, "maxX": 0.25, "maxY": 0.75})
    (detection,) = stored["detections"]["box_data"]
    assert detection["position"]["maxX"] == pytest.approx(0.275)
    assert detection["scores"] == {"score": 0.75}


@pytest.mark.parametrize(("epoch", "sent"), [(3, False), (4, True)])
def test_wandb_gets_only_the_pictures_of_the_last_validation(
    epoch: int, sent: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[str] = []
    monkeypatch.setattr(WandbLogger, "log_image", lambda self, key, images, boxes: logged.append(key))
    show_pictures(RunFolder(tmp_path), WandbLogger(), current_epoch=epoch)
    assert logged == (["val/pictures"] if sent else [])
    assert (tmp_path / "pictures" / "val.png").exists()


@pytest.mark.parametrize("asked", ["auto", "online", "offline"])
@pytest.mark.parametrize(
    ("environment", "mode"),
    [("online", "online"), ("offline", "offline"), ("dryrun", "offline"), ("disabled", "disabled")],
)
def test_the_environment_decides_the_mode(
    asked: str, environment: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", environment)
    assert tracking.wandb_mode(asked) == mode


@pytest.mark.parametrize(("account", "mode"), [(True, "online"), (False, "offline")])
def test_auto_is_online_only_with_an_account(
    account: bool, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def login(*, prompt: bool) -> bool:
        assert not prompt
        return account

    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.setattr(wandb, "login", login)
    assert tracking.wandb_mode("auto") == mode
    assert tracking.wandb_mode("online") == "online"
    assert tracking.wandb_mode("offline") == "offline"


def test_unknown_modes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"logger.wandb: got 'on', expected one of \['auto', 'online'"):
        tracking.wandb_mode("on")
    monkeypatch.setenv("WANDB_MODE", "of")
    with pytest.raises(ValueError, match="WANDB_MODE: got 'of', expected one of"):
        tracking.wandb_mode("auto")


def test_a_disabled_run_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    folder = RunFolder(tmp_path / "fpn_0123456789")
    try:
        attempt(folder, 0, pictures=True)
    finally:
        tracking.finish()
    assert attempts(folder.path) == []
    with pytest.raises(FileNotFoundError, match="no offline run"):
        keys(folder.path)


def test_messages_continue_across_blocks() -> None:
    """Read a message in two pieces, one that ends 3 bytes before its block does, and a truncated one."""
    first = HEADER + bytes(3) + HEAD.pack(0, 3, 1) + b"one"
    room = BLOCK - len(first) - HEAD.size
    second = HEAD.pack(0, room, 2) + b"a" * room
    third = HEAD.pack(0, 5, 4) + b"bbbbb"
    fill = BLOCK - len(third) - HEAD.size - 3
    fourth = HEAD.pack(0, fill, 1) + b"c" * fill + bytes(3)
    fifth = HEAD.pack(0, 4, 1) + b"four"
    data = first + second + third + fourth + fifth + HEAD.pack(0, 9, 1) + b"cut"
    assert list(messages(data)) == [b"one", b"a" * room + b"bbbbb", b"c" * fill, b"four"]
    with pytest.raises(ValueError, match="expected b':W&B'"):
        list(messages(b"PK another kind"))
