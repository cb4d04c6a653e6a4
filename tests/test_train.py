"""Whole runs at toy scale: their files, resuming and failing, and sweeps started as a user starts them."""

import csv
import io
import json
from collections.abc import Callable, Iterable
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path

import lightning as L
import pytest
import torch
import yaml
from omegaconf import OmegaConf

from commands import ROOT, Train, record_of, run_tiny, tiny_overrides, without_times
from gffpn.__main__ import main as verbs
from gffpn.build.detector import build_data
from gffpn.build.index import build_index
from gffpn.build.trainer import build_tester
from gffpn.callbacks.console import EpochLines
from gffpn.config.compose import compose_config
from gffpn.data.index import DataError, DataIndex
from gffpn.data.readers.yolo import YOLO
from gffpn.machine.devices import without_tf32
from gffpn.runs.folder import RunFolder
from gffpn.runs.predictions import read_predictions
from gffpn.runs.reading import curves
from gffpn.runs.verify import differences
from gffpn.suite.door import check_index, check_start
from gffpn.suite.run import run
from gffpn.task import DetectionTask
from wandb_offline import attempts, keys, read_offline


@dataclass(frozen=True)
class Finished:
    """A finished run that several tests inspect."""

    overrides: list[str]
    folder: RunFolder
    printed: str
    tested: dict[str, torch.Tensor]
    """The task's weights at the start of testing."""
    precision: str
    """The precision of the test."""


@pytest.fixture(scope="module")
def finished(squares: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Run GF-FPN for two epochs, with W&B logging offline."""
    overrides = [*tiny_overrides(squares, tmp_path_factory.mktemp("finished")), "neck=gffpn"]
    overrides += ["logger.wandb=auto"]
    tested: dict[str, torch.Tensor] = {}

    precisions: list[str] = []

    def keep(task: DetectionTask) -> None:
        precisions.append(task.trainer.precision)
        tested.update({key: value.clone() for key, value in task.state_dict().items()})

    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(printed):
        patch.setattr(DetectionTask, "on_test_start", keep)
        folder = run_tiny([*overrides, "logger.tags=[trial]"])
    return Finished(overrides, folder, printed.getvalue(), tested, *precisions)


@pytest.fixture
def fail_in_epoch(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Return a function that makes the next fit raise at the start of a given epoch."""
    whole = EpochLines.on_train_epoch_start

    def arrange(epoch: int) -> None:
        def start(self: EpochLines, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
            if trainer.current_epoch == epoch:
                monkeypatch.setattr(EpochLines, "on_train_epoch_start", whole)
                raise RuntimeError("the machine is on fire")
            whole(self, trainer, pl_module)

        monkeypatch.setattr(EpochLines, "on_train_epoch_start", start)

    return arrange


def test_a_run_leaves_its_metrics_and_files(finished: Finished) -> None:
    assert "epoch 2/2" in finished.printed
    # without a time budget, FPS is measured over the smallest number of rounds
    assert record_of(finished.folder).speed.rounds == 10
    check_what_a_run_leaves(finished.folder, ["dark", "bright"])


@pytest.mark.slow
def test_a_run_with_anchors_leaves_the_same(tiny: list[str]) -> None:
    """The classes have names that used to be taken for a count of objects and for two names."""
    words = ["neck=gffpn", "head=yolov5", "data.classes=[n_hole,edge/left]"]
    check_what_a_run_leaves(run_tiny([*tiny, *words]), ["n_hole", "edge/left"])


def check_what_a_run_leaves(folder: RunFolder, classes: list[str]) -> None:
    record = record_of(folder)
    columns = record.columns()
    for key in ("mAP50", "mAP50_95", *(f"AP50/{name}" for name in classes), "AP50_paper"):
        assert 0 <= columns[f"test/{key}"] <= 1
        assert 0 <= columns[f"val/{key}"] <= 1
    assert columns["test/n_8_16"] + columns["test/n_16_32"] == 4
    assert columns["test/AP_0_8"] is None
    assert [(one.name, one.objects) for one in record.test.classes] == [(name, 2) for name in classes]
    assert (columns["neck"], columns["seed"], columns["image_size"]) == ("gffpn", 0, "64")
    assert columns["params"] == columns["params_backbone"] + columns["params_neck"] + columns["params_head"]
    assert columns["gflops"] > 0
    assert 0 < record.speed.latency_forward_ms < record.speed.latency_end_to_end_ms
    assert record.speed.images == 4
    assert record.data.simulated is False
    assert record.data.images == {"train": 8, "val": 4, "test": 4} == record.data.objects
    assert record.test_precision == "32-true"
    assert record.training.chosen_epoch in (1, 2)
    assert OmegaConf.load(folder.config).neck.fusion == "star"
    assert {path.name for path in folder.checkpoints.iterdir()} == {"best.ckpt", "last.ckpt"}
    assert {path.name for path in (folder.path / "pictures").iterdir()} == {"val.png", "test.png"}
    (log,) = (folder.path / "logs").glob("attempt_*/metrics.csv")
    logged = set(log.read_text().splitlines()[0].split(","))
    expected = {"lr", "train/loss", "train/minutes", "val/loss", "val/mAP50", "val/mAP50_95"}
    assert expected | {f"val/AP50/{classes[0]}", "val/AP_8_16"} <= logged
    assert any(column.startswith("attention/") for column in logged)
    check_counts(folder)
    figures, lines = differences(record, read_predictions(folder.predictions))
    assert figures > 100
    assert lines == []


def check_counts(folder: RunFolder) -> None:
    """Each epoch shows the 8 objects of the train split; those that augmentation leaves get predictions."""
    counted = {name: dict(values) for name, values in curves(folder.path).items()}
    for epoch in (0, 1):
        objects, unassigned, positives, lost = (
            sum(values[epoch] for name, values in counted.items() if name.startswith(f"train/{word}_"))
            for word in ("objects", "unassigned", "positives", "lost")
        )
        assert objects + lost == 8
        assert unassigned == 0
        assert positives >= objects > 0


def test_wandb_logs_the_run(finished: Finished) -> None:
    folder = finished.folder
    logged = keys(folder.path)
    assert {"neck.fusion", "seed", "optim.lr", "image_size", "choice.backbone"} <= set(logged.config)
    bins = ("0_8", "8_16", "16_32", "32_96", "96_up")
    figures = [
        "mAP50",
        "mAP50_95",
        "AP50/dark",
        "AP50/bright",
        *(f"{x}_{b}" for b in bins for x in ("AP", "n")),
    ]
    expected = {f"{split}/{figure}" for split in ("val", "test") for figure in figures}
    expected |= {"train/loss", "val/loss"} | {
        f"{split}/{part}" for split in ("train", "val") for part in ("box", "class")
    }
    expected |= {"model/params_m", "model/gflops", "model/fps_forward", "model/fps_end_to_end"}
    assert expected <= set(logged.history) | set(logged.summary)
    assert {"val/pictures", "test/pictures"} <= set(logged.boxed_images)
    assert {"train/unassigned_0_8", "train/positives_s8_8_16", "train/lost_crop_8_16", "lr"} <= set(
        logged.history
    )
    check_charts(folder)
    assert logged.group == folder.path.name
    assert {"trial", "gffpn", "yolo"} <= set(logged.tags)
    assert folder.path.name.endswith(logged.run_id.partition("-")[0])


def check_charts(folder: RunFolder) -> None:
    (attempt,) = attempts(folder.path)
    shown, record = read_offline(next(attempt.glob("run-*.wandb"))), record_of(folder)
    assert {name: shown.summary[name] for name in ("mAP50", "params_m", "gflops", "fps")} == {
        "mAP50": record.test.mAP50,
        "params_m": record.cost.params_m,
        "gflops": record.cost.gflops,
        "fps": record.speed.fps_end_to_end,
    }
    panels = {name: panel["panel_config"] for name, panel in shown.config["_wandb"]["visualize"].items()}
    assert {name: panel["panelDefId"] for name, panel in panels.items()} == {
        "test/precision_recall": "wandb/area-under-curve/v0",
        "test/confusion": "wandb/confusion_matrix/v1",
    }
    (curve,) = (row[key] for row in shown.history for key in row if key == "test/precision_recall_table")
    table = json.loads((attempt / "files" / curve["path"]).read_text())
    assert table["columns"] == ["class", "recall", "precision"]
    # AP50 is the mean precision over the recalls
    precision = [row[2] for row in table["data"] if row[0] == "dark"]
    assert sum(precision) / 101 == pytest.approx(record.test.classes[0].AP50, abs=1e-4)


@pytest.mark.parametrize("words", [["loader.workers=1"], ["ablation=star_residual"]])
def test_equivalent_overrides_match_a_finished_run_and_are_skipped(
    finished: Finished, words: list[str], capsys: pytest.CaptureFixture
) -> None:
    before = finished.folder.metrics.stat().st_mtime_ns
    assert run_tiny([*finished.overrides, *words]) == finished.folder
    assert finished.folder.metrics.stat().st_mtime_ns == before
    assert "Already finished" in capsys.readouterr().out


@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
def test_the_test_is_in_fp32_whatever_the_precision_of_the_training(
    finished: Finished, precision: str
) -> None:
    assert finished.precision == record_of(finished.folder).test_precision == "32-true"
    assert {weight.dtype for weight in finished.tested.values() if weight.is_floating_point()} == {
        torch.float32
    }
    config = compose_config([f"trainer.precision={precision}", "trainer.accelerator=cpu"])
    assert build_tester(config, None, []).precision == "32-true"


def test_a_part_of_a_split_is_chosen_by_the_data(tiny: list[str]) -> None:
    config = compose_config([*tiny, "batch_size=2", "trainer.limit_eval_batches=1"])  # of 4 images
    data = build_data(config, build_index(config))
    data.setup("test")
    assert len(data.test_dataloader()) == 1
    assert build_tester(config, None, []).limit_test_batches == 1.0


def test_the_test_does_not_round_to_tf32() -> None:
    assert torch.backends.cudnn.allow_tf32  # PyTorch's default
    with without_tf32():
        assert not torch.backends.cudnn.allow_tf32
        assert not torch.backends.cuda.matmul.allow_tf32
    assert torch.backends.cudnn.allow_tf32


def test_an_agents_trial_at_a_finished_point_reports_all_that_the_run_logged(
    finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    (trained,) = attempts(finished.folder.path)
    monkeypatch.setenv("WANDB_SWEEP_ID", "sweep1")
    monkeypatch.setenv("WANDB_RUN_ID", "trial7")
    assert run_tiny(finished.overrides) == finished.folder
    (trial,) = (path for path in attempts(finished.folder.path) if path != trained)
    of_training, of_trial = (
        read_offline(next(path.glob("run-*.wandb"))).summary for path in (trained, trial)
    )
    figures = [
        key for key in of_training if not key.startswith("_") and not key.endswith(("pictures", "_table"))
    ]
    assert {"test/mAP50", "mAP50", "fps"} <= set(figures)
    assert "test/confusion_table" in of_trial
    # W&B writes NaN as a string
    assert {key: of_trial[key] for key in figures} == {key: of_training[key] for key in figures}


def test_the_tested_weights_are_the_averaged_ones(finished: Finished) -> None:
    checkpoint = torch.load(finished.folder.checkpoints / "best.ckpt", weights_only=True)
    averaged, raw = checkpoint["state_dict"], checkpoint["current_model_state"]
    assert not [key for key in averaged if not torch.equal(finished.tested[key], averaged[key])]
    assert any(not torch.equal(finished.tested[key], raw[key]) for key in raw)


@pytest.mark.slow
def test_a_resumed_run_ends_bit_equal_to_an_uninterrupted_one(
    tiny: list[str], tmp_path: Path, fail_in_epoch: Callable[[int], None]
) -> None:
    overrides = [*tiny, "neck=gffpn", "trainer.max_epochs=3"]
    uninterrupted = run_tiny([*overrides, f"paths.runs={tmp_path}/whole"])
    fail_in_epoch(1)
    with pytest.raises(RuntimeError, match="on fire"):
        run_tiny(overrides)
    path = next((tmp_path / "runs").glob("*/config.yaml")).parent
    assert RunFolder(path).status == "failed"
    assert "the machine is on fire" in RunFolder(path).traceback.read_text()
    resumed = run_tiny(overrides)
    assert resumed.path.name == uninterrupted.path.name
    assert without_times(record_of(resumed)) == without_times(record_of(uninterrupted))
    one, other = (
        torch.load(folder.checkpoints / "last.ckpt", weights_only=True) for folder in (resumed, uninterrupted)
    )
    for part in ("state_dict", "current_model_state"):
        assert all(torch.equal(one[part][key], other[part][key]) for key in other[part])
    assert len(list((resumed.path / "logs").glob("attempt_*"))) == 2
    one, other = (
        {name: values for name, values in curves(folder.path).items() if name.startswith("train/objects_")}
        for folder in (resumed, uninterrupted)
    )
    assert one == other
    assert len(one) == 5


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("neck.fusion=multiply", "expected one of ['star', 'add']"),
        ("data.root=/nowhere", "/nowhere"),
        ("optim.lr=-1", "optim.lr: got -1"),
        ("logger.wandb=maybe", "expected one of"),
    ],
)
def test_a_wrong_value_is_reported_in_one_line(
    tiny: list[str], override: str, message: str, capsys: pytest.CaptureFixture
) -> None:
    with pytest.raises(SystemExit):
        run(compose_config([*tiny, "neck=gffpn", override]))
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("ERROR")]
    assert message in line


@pytest.mark.slow
def test_steps_on_images_without_objects_are_trained(tiny: list[str], squares: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    for folder in ("images", "labels", "splits"):
        (empty / folder).mkdir(parents=True)
        for path in (squares / folder).iterdir():
            bare = folder == "labels" and path.stem.startswith("train") and path.stem != "train0"
            content = b"" if bare else path.read_bytes()
            (empty / folder / path.name).write_bytes(content)
    overrides = [*tiny, f"data.root={empty}", f"data.splits={empty}/splits", "neck=fpn"]
    overrides += ["trainer.max_epochs=1"]
    assert run_tiny(overrides).status == "finished"


@pytest.mark.parametrize("mode", [[], ["-m"]])
@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_a_split_without_objects_is_refused_before_a_run_starts(
    tiny: list[str],
    tmp_path: Path,
    train: Train,
    monkeypatch: pytest.MonkeyPatch,
    mode: list[str],
    split: str,
) -> None:
    whole = YOLO.index

    def bare(source: YOLO) -> DataIndex:
        index = whole(source)
        # a crowd region is no object
        empty = [replace(record, crowd=~record.crowd) for record in index.splits[split]]
        return replace(index, splits={**index.splits, split: tuple(empty)})

    monkeypatch.setattr(YOLO, "index", bare)
    code, printed = train(*mode, *tiny, "neck=fpn")
    assert code == 1
    assert f"ERROR: the {split} split has no objects" in printed
    assert not list((tmp_path / "runs").glob("*/config.yaml"))


@pytest.mark.parametrize(("batch_size", "refused"), [(4, True), (3, True), (2, False), (7, True)])
def test_a_share_of_less_than_a_batch_is_refused(tiny: list[str], batch_size: int, refused: bool) -> None:
    config = compose_config([*tiny, "trainer.limit_train_batches=0.3", f"batch_size={batch_size}"])
    index = build_index(config)  # eight training images
    if not refused:
        check_index(config, index)
        return
    with pytest.raises(ValueError, match=r"limit_train_batches: got 0.3, less than one of .*batches;"):
        check_index(config, index)


@pytest.mark.parametrize("mode", [[], ["-m"]])
@pytest.mark.parametrize("place", ["file/runs", "file"])
def test_a_folder_that_cannot_be_written_to_is_refused_before_data_is_read(
    tiny: list[str], tmp_path: Path, train: Train, mode: list[str], place: str
) -> None:
    (tmp_path / "file").touch()
    code, printed = train(*mode, *tiny, f"paths.runs={tmp_path}/{place}")
    assert code == 2
    (line,) = printed.splitlines()
    assert f"ERROR: {tmp_path}/{place}" in line
    assert ": cannot be written to (Not a directory); paths.runs=FOLDER chooses another folder" in line


def test_a_sweeps_folder_that_cannot_be_written_to_is_refused(
    tiny: list[str], tmp_path: Path, train: Train
) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "sweeps").touch()
    code, printed = train("-m", *tiny)
    assert code == 2
    (line,) = printed.splitlines()
    assert f"ERROR: {tmp_path}/runs/sweeps: cannot be written to (" in line


def test_a_run_whose_own_folder_cannot_be_written_to_ends_with_one_line(
    tiny: list[str], train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, text: str) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("gffpn.suite.execution.write_atomically", refuse)
    code, printed = train(*tiny, "neck=fpn")
    assert code == 1
    assert "Traceback" not in printed
    (line,) = [line for line in printed.splitlines() if "ERROR" in line]
    assert "Permission denied: '" in line
    assert "config.yaml" in line


def test_a_simulated_set_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    config = compose_config(["image_size=64", f"paths.cache={tmp_path}/file/cache"])
    with pytest.raises(
        DataError, match=r"cache: the simulated set cannot be written there \(Not a directory\)"
    ):
        build_index(config)


@pytest.mark.parametrize(("neck", "side"), [("cfpt", 64), ("fpn", 32)])
def test_a_batch_of_one_image_is_refused_where_a_norm_needs_more(
    tiny: list[str], neck: str, side: int
) -> None:
    overrides = [*tiny, f"neck={neck}", f"image_size={side}"]
    with pytest.raises(
        ValueError, match=rf"one image per process.*neck={neck} at {side} x {side} pixels"
    ) as e:
        check_start(compose_config([*overrides, "batch_size=1"]))
    assert len(str(e.value).splitlines()) == 1
    check_start(compose_config([*overrides, "batch_size=2"]))
    check_start(compose_config([*tiny, "neck=fpn", "batch_size=1"]))
    config = compose_config(overrides)
    index = build_index(config)
    single = replace(index, splits={**index.splits, "train": index.splits["train"][:1]})
    with pytest.raises(ValueError, match="at least two training images"):
        check_index(config, single)
    check_index(config, index)


@pytest.mark.slow
def test_a_sweep_continues_after_a_failure_and_repeats_only_unfinished_runs(
    tiny: list[str], tmp_path: Path, train: Train
) -> None:
    overrides = [*tiny, "neck=fpn", "trainer.max_epochs=1", "optim.lr=0.002,-1,0.001"]
    code, first = train("-m", *overrides, "name=broken")
    assert code == 1
    folder = tmp_path / "runs" / "sweeps" / "broken"
    rows = list(csv.DictReader((folder / "results.csv").read_text().splitlines()))
    assert [row["status"] for row in rows] == ["finished", "failed", "finished"]
    assert rows[0]["test/mAP50"]
    failed = RunFolder(Path(rows[1]["run"]))
    assert "optim.lr: got -1" in failed.traceback.read_text()
    assert str(failed.traceback) in first
    assert "1 of 3 runs are not finished" in first
    assert "| failed |" in (folder / "results.md").read_text()
    code, second = train("-m", *overrides, "name=broken")
    assert code == 1
    assert second.count("Already finished, skipped") == 2


def arms_of(experiment: str) -> dict[str, list[str]]:
    """Return the arms that an experiment's own file declares."""
    return yaml.safe_load((ROOT / "experiments" / f"{experiment}.yaml").read_text())["experiment"]["arms"]


def only(arms: dict[str, list[str]]) -> list[str]:
    """Return overrides that leave an experiment these arms, and no contrasts, which may name others."""
    listed = ", ".join(f"{name}: {words}" for name, words in arms.items())
    return ["experiment.arms=null", f"experiment.arms={{{listed}}}", "experiment.contrasts=[]"]


# necks that differ from the others in layers alone, which other tests take: they have no further levels, no
# buffers, and no guided stages on another base
ALIKE = ("fpn", "none", "panet", "bifpn", "gffpn", "gfpanet", "afpn", "fpn_additive", "pafpn_additive")
ALIKE += ("fpn_c2", "fpn_p2", "panet_c2")
# settings of GF-FPN that its telemetry reads during the training
READINGS = ("attention as printed", "projection per channel", "guides from the pyramid")
RUNGS = ("C2 to P3", "FCCFM", "panet_c2", "fpn x1.184")
RECIPES = ("base", "mosaic", "nwd_overlap", "nwd_loss")


def some(experiment: str, names: Iterable[str]) -> list[str]:
    """Return overrides that leave an experiment these of its own arms."""
    arms = arms_of(experiment)
    return only({name: arms[name] for name in names})


# avoids training again what other experiments or tests train: test_config.py composes every arm,
# test_necks.py takes the gradients of every neck and of every setting of GF-FPN, and a seed changes no code
LESS = {
    "deeppcb": ["seed=0", "augment.crop=32", "neck=fpn"],
    "few_images": ["experiment.arms=null", "neck=fpn"],  # they set what is set here
    "ladder": some("ladder", RUNGS),
    "ladder_small": some("ladder_small", ["none", "add_residual"]),
    "league": only(
        {name: words for name, words in arms_of("league").items() if len(words) == 1 and name not in ALIKE}
    ),
    "luck": ["seed=0", "neck=panet"],
    "neu_det": ["seed=0", "neck=fpn"],
    "nuclei": ["seed=0", "neck=fpn"],
    "parts": ["neck.lpam.attention=se,cbam", "neck.lpam.context=lsam"],
    "plain_necks": ["neck=fpn"],
    "readings": some("readings", READINGS),
    "recipe": some("recipe", RECIPES),
    "table3": ["neck=gffpn"],
    "table4": ["backbone=cspdarknet", "neck=gffpn"],
    "table6": ["ablation=star_residual,add"],
    "twins": ["neck=fpn"],
    "twins_small": ["neck=fpn"],
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for simulated images, which several experiments share."""
    return tmp_path_factory.mktemp("cache")


@pytest.mark.slow
@pytest.mark.parametrize("experiment", sorted(path.stem for path in (ROOT / "experiments").glob("*.yaml")))
def test_every_experiment_runs_at_toy_scale(
    experiment: str, cache: Path, tmp_path: Path, train: Train
) -> None:
    toy = ["image_size=64", "batch_size=4", "trainer.max_epochs=1", "loader.workers=0", "logger.wandb=off"]
    toy += ["trainer.fps_seconds=0", "logger.pictures=0"]
    toy += ["trainer.minutes=null", "trainer.check_val_every_n_epoch=1"]
    toy += ["data=tinyindus_sim"]  # simulated, so that nothing is downloaded
    # in bf16, PyTorch 2.15 returns NaN gradients for a strided convolution of a single cell (CFPT's P7 here)
    toy += ["data.train_images=4", "data.val_images=4", "data.test_images=4", "trainer.precision=32-true"]
    # `make demo` trains in processes of its own, as it does for users; the others save the import of torch
    toy += [] if experiment == "demo" else ["runs_at_a_time=1"]
    toy += LESS.get(experiment, [])
    places = [f"paths.runs={tmp_path}", f"paths.cache={cache}"]
    code, printed = train(f"experiments={experiment}", *toy, *places)
    assert code == 0
    (table,) = (tmp_path / "sweeps").glob("*/results.csv")
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert {row["status"] for row in rows} == {"finished"}
    assert len({row["run"] for row in rows}) == len(rows)
    assert "SIMULATED" in table.with_suffix(".md").read_text()
    assert ("PAPER mAP50" in printed) == (experiment in ("table3", "table6"))


def test_the_cost_verb_prints_one_json_object(capsys: pytest.CaptureFixture) -> None:
    verbs(["cost", "--json", "neck=gffpn", "head=yolov5", "size=l", "image_size=640"])
    printed = json.loads(capsys.readouterr().out)
    assert (printed["neck"], printed["backbone"], printed["params"]) == ("gffpn", "cspdarknet", 41_670_784)
    assert round(printed["gflops"], 2) == 107.71
    assert printed["image_size"] == 640
