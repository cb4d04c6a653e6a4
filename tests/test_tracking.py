"""Is the data that runs log to W&B complete, as read back from its offline files?"""

import json
import os
import re
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import wandb
from lightning.pytorch.loggers import WandbLogger
from omegaconf import OmegaConf
from wandb.errors import CommError

from fake_runs import predicted_run, record, write_log
from gffpn.callbacks.pictures import Pictures
from gffpn.metrics.evaluated import Evaluated
from gffpn.metrics.matching import Boxes
from gffpn.report.collect import collect
from gffpn.runs.folder import RunFolder
from gffpn.runs.predictions import Predictions
from gffpn.runs.reading import curves
from gffpn.runs.sweeps import record_job
from gffpn.suite import tracking
from gffpn.suite.charts import charts, headline
from gffpn.suite.summary import log_summary
from gffpn.suite.sweep import drop_wandb_run_id
from gffpn.suite.tracker import Tracker
from wandb_offline import BLOCK, HEAD, HEADER, Keys, OfflineRun, attempts, keys, messages, read_offline

CONFIG = {"seed": 3, "choice": {"neck": "fpn", "data": "voc"}, "optim": {"lr": 0.002}}
SETTINGS = OmegaConf.create(
    {"wandb": "auto", "project": None, "entity": None, "run_id": "token", "tags": ["tests"]}
)
DELETED = (
    "Timed out while retrying: HTTP 409: run e/p/%s was previously created and deleted; try a new run name"
)
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
        val_dataloaders=SimpleNamespace(sampler=range(1)),
        loggers=[logger],
        current_epoch=current_epoch,
        max_epochs=EPOCHS,
    )
    target = {
        "boxes": torch.tensor([[4.0, 5.0, 10.0, 15.0]]),
        "labels": torch.tensor([1]),
        "crowd": torch.tensor([False]),
    }
    detections = {
        "boxes": torch.tensor([[4.0, 5.0, 11.0, 15.0], [0.0, 0.0, 9.0, 9.0]]),
        "scores": torch.tensor([0.75, 0.125]),
        "labels": torch.tensor([1, 0]),
    }
    batch = {"images": torch.full((1, 3, 20, 40), 128, dtype=torch.uint8), "targets": [target]}
    callback.on_validation_start(trainer, None)
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
    first, second = (read_offline(path) for path in offline_files(folder))
    assert re.fullmatch("0123456789-[0-9a-f]{8}", first.run_id)
    assert second.run_id == first.run_id
    assert (first.exits, second.exits) == ([1], [0])


def test_a_resumed_run_goes_on_counting_steps(run: OfflineRun) -> None:
    assert [row["_step"] for row in run.history] == [0, 1, 2, 3, 4]
    assert all(run.appends)


def test_a_run_logs_its_name_group_tags_and_config(run: OfflineRun, folder: RunFolder) -> None:
    assert run.name == folder.path.name
    assert (run.project, run.group, run.job_type) == ("gffpn", "table6", "train")
    assert run.tags == ("tests", "fpn", "voc")
    assert {key: run.config[key] for key in CONFIG} == CONFIG


def test_curves_are_logged_against_epochs(run: OfflineRun) -> None:
    assert [row["val/mAP50"] for row in run.history if "val/mAP50" in row] == [0.25, 0.5]
    assert [row["epoch"] for row in run.history if "val/mAP50" in row] == [0, 1]
    assert {run.step_metrics[name] for name in ("train/*", "val/*", "attention/*", "lr")} == {"epoch"}
    assert "*" not in run.step_metrics
    assert run.summary["val/mAP50"] == 0.5
    assert run.summary["model/gflops"] == 3.5


def test_keys_of_a_run(folder: RunFolder, run: OfflineRun) -> None:
    logged = {"epoch", "trainer/global_step", "val/mAP50", "val/AP_0_8", "val/pictures", "model/gflops"}
    assert keys(folder.path) == Keys(
        config=frozenset({"seed", "choice", "choice.neck", "choice.data", "optim", "optim.lr"}),
        history=frozenset(logged),
        summary=frozenset(logged),
        boxed_images=frozenset({"val/pictures"}),
        group="table6",
        tags=("tests", "fpn", "voc"),
        run_id=run.run_id,
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


@dataclass
class Started:
    """A W&B run that is started without W&B's service."""

    id: str
    project: str
    entity: str | None
    step: int = 0
    offline: bool = False
    rows: list[dict[str, Any]] = field(default_factory=list)

    def define_metric(self, *names: str, **settings: Any) -> None:
        """Ignore the axes."""

    def log(self, values: dict[str, Any], step: int | None = None, commit: bool = True) -> None:
        """Count steps as W&B does."""
        self.step = self.step if step is None else step
        if commit:
            self.rows.append({**values, "_step": self.step})
            self.step += 1


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch) -> list[Started]:
    """Return the W&B runs that are started, in a process with a W&B account."""
    started: list[Started] = []

    def init(*, id: str, project: str, entity: str | None, **settings: Any) -> Started:
        started.append(Started(id, project, entity))
        return started[-1]

    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setattr(wandb, "init", init)
    monkeypatch.setattr(wandb, "teardown", lambda: None)
    return started


def start(folder: Path, **changed: str) -> Tracker | None:
    settings = OmegaConf.merge(SETTINGS, changed)
    return tracking.wandb_logger(settings, RunFolder(folder), config=CONFIG, group="g")


def test_an_attempt_never_writes_to_the_log_of_an_earlier_one(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    write_log(tmp_path, attempt=1, rows=[{"epoch": 3, "val/mAP50": 0.5}])  # that of attempt 0 was removed
    config = OmegaConf.create({"logger": {"wandb": "off"}})
    (logger,) = tracking.build_loggers(config, folder, group="g")
    logger.log_metrics({"epoch": 4, "val/mAP50": 0.6})
    logger.save()
    assert curves(tmp_path)["val/mAP50"] == [(3, 0.5), (4, 0.6)]


def test_users_of_one_project_have_their_own_ids(starts: list[Started], tmp_path: Path) -> None:
    for home in ("a", "b"):
        start(tmp_path / home / "fpn_0123456789")
        start(tmp_path / home / "fpn_0123456789")
    ids = [one.id for one in starts]
    assert (ids[0], ids[2]) == (ids[1], ids[3])
    assert ids[0] != ids[2]


@pytest.mark.parametrize("kind", ["token", "hash"])
def test_a_deleted_run_gets_a_new_id(
    kind: str, starts: list[Started], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    folder = tmp_path / "fpn_0123456789"
    write_log(folder, attempt=0, rows=[{"epoch": 0, "step": 9, "val/mAP50": 0.25}])
    start(folder, run_id=kind)
    (deleted,) = starts
    assert (deleted.id == "0123456789") == (kind == "hash")
    whole = wandb.init

    def refuse(*, id: str, **settings: Any) -> Started:
        if id == deleted.id:
            raise CommError(DELETED % id)
        return whole(id=id, **settings)

    monkeypatch.setattr(wandb, "init", refuse)
    for _ in range(2):  # the new id is kept
        start(folder, run_id=kind)
    new = starts[1]
    assert re.fullmatch("0123456789-[0-9a-f]{8}", new.id)
    assert starts[2].id == new.id != deleted.id
    assert f"the W&B run {deleted.id} was deleted; a new one is created" in capsys.readouterr().err
    # the new run has the rows that the deleted one had, once
    assert new.rows == [{"epoch": 0.0, "val/mAP50": 0.25, "trainer/global_step": 9, "_step": 0}]
    assert starts[2].rows == []


def test_the_id_of_a_trial_is_never_replaced(
    starts: list[Started], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    def refuse(*, id: str, **settings: Any) -> Started:
        tried.append(id)
        raise CommError(DELETED % id)

    monkeypatch.setattr(wandb, "init", refuse)
    monkeypatch.setenv("WANDB_RUN_ID", "trial7")
    assert start(tmp_path / "fpn_0123456789") is None
    assert tried == ["trial7", "trial7"]  # online, then offline


@pytest.mark.parametrize(
    ("override", "environment", "used"), [("mine", "lab", "mine"), ("", "lab", "lab"), ("", "", "")]
)
def test_settings_precede_the_environment(
    override: str,
    environment: str,
    used: str,
    starts: list[Started],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WANDB_PROJECT", environment)
    monkeypatch.setenv("WANDB_ENTITY", environment)
    start(tmp_path / "fpn_0123456789", **({"project": override, "entity": override} if override else {}))
    assert (starts[0].project, starts[0].entity) == (used or "gffpn", used or None)


def test_an_attempt_online_continues_the_steps_of_one_offline(starts: list[Started], tmp_path: Path) -> None:
    for _ in range(2):
        tracker = start(tmp_path / "fpn_0123456789")
        assert tracker is not None
        tracker.log_metrics({"a": 1.0})
    assert [row["_step"] for one in starts for row in one.rows] == [0, 1]


@pytest.mark.parametrize(("agent", "kept"), [(True, "abc"), (False, None)])
def test_one_id_is_not_used_for_all_runs_of_a_sweep(
    agent: bool, kept: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("WANDB_RUN_ID", "abc")
    if agent:
        monkeypatch.setenv("WANDB_SWEEP_ID", "sweep1")
    drop_wandb_run_id()
    assert os.environ.get("WANDB_RUN_ID") == kept
    assert ("WANDB_RUN_ID is ignored in a sweep" in capsys.readouterr().err) == (not agent)


def test_a_skipped_run_reports_to_an_agents_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = RunFolder(tmp_path / "fpn_0123456789")
    write_log(
        folder.path,
        attempt=0,
        rows=[
            {"epoch": 0, "step": 9, "val/mAP50": 0.25},
            {"epoch": 1, "step": 19, "val/mAP50": 0.5},
            {"epoch": 0, "step": 0, "test/mAP50": 0.75},
            {"step": 2, "model/gflops": 3.5},
        ],
    )
    config = OmegaConf.create({"logger": SETTINGS})
    monkeypatch.setattr(tracking, "resolved", lambda config: CONFIG)
    tracking.report_skipped(config, folder, group="g")
    assert attempts(folder.path) == []  # nobody waits for a value
    for name, value in {"SWEEP_ID": "sweep1", "RUN_ID": "trial7", "PROJECT": "lab"}.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    wandb.teardown()  # W&B reads the environment when it starts
    try:
        tracking.report_skipped(config, folder, group="g")
    finally:
        wandb.teardown()
    wait_for_exits(folder)
    trial = read_offline(*offline_files(folder))
    assert (trial.run_id, trial.project, trial.name) == ("trial7", "lab", "fpn_0123456789")
    figures = {"val/mAP50": 0.5, "test/mAP50": 0.75, "model/gflops": 3.5}
    assert {name: trial.summary[name] for name in figures} == figures
    assert [row.get("val/mAP50") for row in trial.history] == [0.25, 0.5, None, None]
    assert [row.get("trainer/global_step") for row in trial.history[:3]] == [9, 19, 0]


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
    assert tracking.wandb_logger(SETTINGS, folder, config=CONFIG, group="g") is None
    assert not folder.path.exists()
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


def test_charts_by_hand() -> None:
    """A pock is found as a flaw, a flaw is missed, and a pock is called where nothing is."""
    boxes = {"pock": [0.0, 0, 10, 10], "flaw": [20.0, 0, 30, 10], "nothing": [0.0, 12, 8, 20]}
    test = Predictions(
        classes=CLASSES,
        names=("a.png",),
        groups=("a.png",),
        sizes=np.array([[20, 40]]),
        evaluated=Evaluated(
            image_index=np.array([0]),
            scales=np.ones((1, 2)),
            detections=Boxes(
                np.zeros(4, np.int64),
                np.array([1, 0, 0, 0]),
                np.array([boxes["pock"], boxes["pock"], boxes["nothing"], boxes["nothing"]]),
            ),
            scores=np.array([0.9, 0.5, 0.3, 0.1]),
            objects=Boxes(np.zeros(2, np.int64), np.array([0, 1]), np.array([boxes["pock"], boxes["flaw"]])),
            crowd=np.zeros(2, np.bool_),
        ),
    )
    made = charts(record(), test)
    confusion = made["test/confusion"]
    assert confusion.spec.spec_name == "wandb/confusion_matrix/v1"
    assert confusion.table.columns == ["Actual", "Predicted", "nPredictions"]
    # at scores from 0.25; the second call of a pock finds its object taken
    assert {(actual, called): n for actual, called, n in confusion.table.data if n} == {
        ("pock", "flaw"): 1,
        ("flaw", "background"): 1,
        ("background", "pock"): 2,
    }
    curve = made["test/precision_recall"]
    assert curve.spec.fields == {"x": "recall", "y": "precision", "class": "class"}
    rows = {(name, recall): precision for name, recall, precision in curve.table.data}
    assert [rows[name, 1.0] for name in ("all classes", *CLASSES)] == [0.5, 1.0, 0.0]
    assert len(rows) == 3 * 101
    assert "test/confusion" not in charts(replace(record(), operating_point=None), test)


def test_the_summary_has_short_names_to_sort_by() -> None:
    assert headline(record(mAP50=0.75)) == {
        "mAP50": 0.75,
        "mAP50_95": 0.375,
        "params_m": 1.3,
        "gflops": 2.6,
        "fps": 25.0,
    }
    nothing = replace(record(), test=replace(record().test, mAP50=None))
    assert "mAP50" not in headline(nothing)


def test_a_sweep_has_one_run_with_its_answer(tmp_path: Path) -> None:
    runs, sweep = tmp_path / "runs", tmp_path / "runs" / "sweeps" / "two"
    jobs = [(neck, seed) for neck in ("fpn", "gffpn") for seed in (0, 1)]
    for number, (neck, seed) in enumerate(jobs):
        path = predicted_run(runs, neck, skill=0.9 if neck == "gffpn" else 0.3, seed=seed)
        record_job(sweep, number, overrides=[f"neck={neck}", f"seed={seed}"], run=path)
    source = collect([sweep])[0]
    log_summary(SETTINGS, sweep, source, source.study())
    wait_for_exits(RunFolder(sweep))
    run = read_offline(*(next(path.glob("run-*.wandb")) for path in attempts(sweep)))
    assert run.run_id == (sweep / "wandb" / "run_id").read_text().strip()  # repeated sweeps use it again
    assert (run.job_type, run.group, run.name) == ("report", "two", "two report")
    assert {"arms", "contrasts", "report", "forest"} <= set(run.history[-1])
    assert run.summary["verdict/gffpn - fpn"] == "better"
    assert run.summary["difference/gffpn - fpn"] > 0.1
    assert run.summary["finished"] == 4
    (table, *_) = sweep.glob("wandb/wandb/offline-run-*/files/media/table/contrasts*.json")
    content = json.loads(table.read_text())
    assert content["columns"][:2] == ["contrast", "difference"]
    assert content["data"][0][0] == "gffpn - fpn"
