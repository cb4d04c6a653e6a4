"""Do init, freeze, name and the options of a training do what they say?"""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from hydra.core.plugins import Plugins
from hydra.utils import get_class

from commands import Train
from gffpn.config.check import check
from gffpn.config.compose import compose_config
from gffpn.runs.folder import RunFolder

FPN = ["neck=fpn", "trainer.accelerator=cpu", "trainer.precision=32-true"]


def runs_in(folder: Path) -> dict[str, RunFolder]:
    return {path.parent.name: RunFolder(path.parent) for path in (folder / "runs").glob("*/metrics.json")}


def weights(run: RunFolder, name: str = "best.ckpt") -> dict[str, Any]:
    state: dict[str, Any] = torch.load(run.checkpoints / name, weights_only=True)["state_dict"]
    return state


@pytest.mark.slow
def test_a_run_starts_from_the_weights_of_another_and_keeps_what_is_frozen(
    train: Train, tiny: list[str], tmp_path: Path
) -> None:
    kept = [word for word in tiny if not word.startswith("trainer.max_epochs")]
    code, output = train(*kept, *FPN, "trainer.max_epochs=1", "name=first")
    assert code == 0, output
    ((name, first),) = runs_in(tmp_path).items()
    assert name.startswith("first_")

    code, output = train(*kept, *FPN, "trainer.max_epochs=2", "name=first", "trainer.save_every_n_epochs=1")
    assert f"The same run with trainer.max_epochs=1 is in {first.path}" in output
    (second,) = (run for run in runs_in(tmp_path).values() if run.path != first.path)
    assert {path.name for path in second.checkpoints.iterdir()} == {
        "best.ckpt",
        "last.ckpt",
        "epoch_1.ckpt",
        "epoch_2.ckpt",
    }

    words = [f"init={first.path}", "freeze=backbone", "name=tuned", "seed=3"]
    code, output = train(*kept, *FPN, "trainer.max_epochs=1", *words)
    assert code == 0, output
    assert "tensors taken from it" in output
    (tuned,) = (run for name, run in runs_in(tmp_path).items() if name.startswith("tuned_"))
    before, after = weights(first), weights(tuned)
    frozen = [name for name in before if name.startswith("detector.backbone.")]
    assert all(torch.equal(before[name], after[name]) for name in frozen)
    assert any(not torch.equal(before[name], after[name]) for name in before if "neck" in name)

    # the file counts, not its path: a copy elsewhere is the same run
    copy = tmp_path / "copy.ckpt"
    copy.write_bytes((first.checkpoints / "best.ckpt").read_bytes())
    words[0] = f"init={copy}"
    _, output = train(*kept, *FPN, "trainer.max_epochs=1", *words)
    assert "Already finished, skipped" in output


def test_tensors_of_other_classes_are_left_and_named(
    train: Train, tiny: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from gffpn.build.detector import build_detector
    from gffpn.weights import WeightsError, load_matching

    config = compose_config([*tiny, "neck=fpn"])
    two, three = build_detector(config, 2), build_detector(config, 3)
    file = tmp_path / "two.pt"
    torch.save({f"detector.{name}": value + 1 for name, value in two.state_dict().items()}, file)
    caplog.set_level("INFO")
    own = three.state_dict()
    before = {name: value.clone() for name, value in own.items()}
    load_matching(three, file, prefix="detector.")
    for name, value in three.state_dict().items():
        same_shape = value.shape == two.state_dict()[name].shape
        expected = two.state_dict()[name] + 1 if same_shape else before[name]
        assert torch.equal(value, expected), name
    left = sum(value.shape != two.state_dict()[name].shape for name, value in own.items())
    assert left > 0
    assert f"{len(own) - left} of the network's {len(own)} tensors taken from it" in caplog.text
    assert f"{left} tensors start at random: head." in caplog.text
    torch.save({"other": torch.zeros(3)}, file)
    with pytest.raises(WeightsError, match=r"two\.pt: no tensor in it has the name and the shape"):
        load_matching(three, file, prefix="detector.")


def test_weights_of_other_classes_and_random_frozen_parts_are_warned_of(
    tiny: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gffpn.build import detector as build

    def warnings(*words: str, classes: tuple[str, ...], trained_on: tuple[str, ...]) -> list[str]:
        record = SimpleNamespace(data=SimpleNamespace(classes=trained_on))
        monkeypatch.setattr(build.RunFolder, "read", lambda _: record)
        config = compose_config([*tiny, "neck=fpn", *words])
        caplog.clear()
        build.load_start(config, build.build_detector(config, len(classes)), classes)
        return [entry.getMessage() for entry in caplog.records if entry.levelname == "WARNING"]

    file = tmp_path / "run" / "checkpoints" / "best.ckpt"
    file.parent.mkdir(parents=True)
    other = build.build_detector(compose_config([*tiny, "neck=fpn", "seed=5"]), 2)
    torch.save({f"detector.{name}": value for name, value in other.state_dict().items()}, file)
    init = f"init={file}"
    assert warnings(init, "freeze=[backbone,neck]", classes=("a", "b"), trained_on=("a", "b")) == []
    (text,) = warnings(init, classes=("b", "a"), trained_on=("a", "b"))
    assert f"{file} has other classes, or another order: class 0 is 'a' there and 'b' here" in text
    (text,) = warnings(init, classes=("a", "c"), trained_on=("a", "b"))
    assert "class 1 is 'b' there and 'c' here" in text
    # of another number of classes, the class tensors do not fit and are named as random
    assert warnings(init, classes=("a", "b", "c"), trained_on=("a", "b")) == []
    (text,) = warnings("freeze=backbone", classes=("a",), trained_on=())
    assert text.startswith("freeze=backbone: not trained, and no weights were loaded")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("init=nowhere", "init: got 'nowhere', expected a file of weights or the folder of a run"),
        ("freeze=tail", r"freeze: got 'tail', expected one or two of \['backbone', 'neck', 'head'\]"),
        ("freeze=[backbone,neck,head]", "expected one or two of"),
        ("name=a/b", "name: got 'a/b', expected letters"),
        ("name=../x", "name: got '../x', expected letters"),
        ("trainer.check_val_every_n_epoch=4", "expected a divisor of trainer.max_epochs"),
        ("trainer.patience=0", "trainer.patience: got 0"),
        (
            "trainer.check_val_every_n_epoch=2 trainer.save_every_n_epochs=3",
            r"save_every_n_epochs: got 3, expected a multiple of trainer.check_val_every_n_epoch \(2\)",
        ),
        (
            "trainer.precision=64-true",
            r"trainer.precision: got '64-true', expected one of \['auto', '32-true',",
        ),
        ("trainer.precision=bf16-true", "trainer.precision: got 'bf16-true', expected one of"),
        ("+trainer.extra.overfit_batches=2", "not an extra: use data.train_images"),
        ("++trainer.val_check_interval=0.5", "nothing reads this key; did you mean 'trainer.check_val_every"),
        (
            "+early_stopping.patience=1",
            "early_stopping: nothing reads this key; did you mean 'trainer.patience'",
        ),
        ("+loader.num_workers=3", "nothing reads this key; did you mean 'loader.workers'"),
        ("+max_epochs=3", "did you mean 'trainer.max_epochs'"),
        ("+nonsense.deep.key=1", "nonsense: nothing reads this key"),
        ("+experiment.note=x", "experiment.note: nothing reads this key"),
        ("+head.x=1", "head.x: nothing reads this key"),
        ("+choice.x=1", "choice.x: nothing reads this key"),
        ("+size.wdth=2", "did you mean 'size.width'"),
        ("+neck._x=1", "neck=gffpn takes no '_x'"),
        ("+neck._convert_=partial", "neck=gffpn takes no '_convert_'"),
        ("+conf_dir=3", "conf_dir: nothing reads this key"),
        ("choice.neck=panet", "choice.neck: got 'panet', but it is the name of the chosen option"),
        ("size.name=huge", "size.name: got 'huge', expected 'n'"),
        ("trainer.precision=banana", "trainer.precision: got 'banana', expected one of"),
        ("trainer.strategy=3", "trainer.strategy: got 3, expected a string"),
        ("trainer.limit_eval_batches=1.5", "trainer.limit_eval_batches: got 1.5, expected a share"),
        ("trainer.limit_train_batches=0", "trainer.limit_train_batches: got 0, expected a share"),
        ("trainer.channels_last=7", "trainer.channels_last: got 7, expected true or false"),
        ("+hydra.foo=1", "hydra.foo: Hydra does not read this key"),
        ("+hydra.job.foo=1", "hydra.job.foo: Hydra does not read this key"),
        ("+trainer.extra.max_steps=4", "trainer.extra.max_steps: not an extra: use trainer.max_epochs"),
        ("+trainer.extra.strategy=ddp", "not an extra: use trainer.strategy"),
        ("+trainer.extra.detect_anomaly=3", "got 3, expected true or false"),
        ("+trainer.extra.detect_anomly=true", "no such argument; did you mean 'detect_anomaly'"),
        ("trainer.extra={gpus:1}", r"to add it, use \+trainer.extra.gpus=VALUE"),
    ],
)
def test_settings_that_nobody_could_use_are_refused(words: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        check(compose_config(words.split()))
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "words",
    ["+trainer.extra.detect_anomaly=true", "+rate=0.1 optim.lr=${rate}", "freeze=[head]", "name=mine-2.1"],
)
def test_settings_that_are_read_are_accepted(words: str) -> None:
    check(compose_config(words.split()))


@pytest.mark.slow
def test_training_stops_early_validates_every_second_epoch_and_accumulates(
    train: Train, tiny: list[str], tmp_path: Path
) -> None:
    kept = [word for word in tiny if not word.startswith(("trainer.max_epochs", "batch_size"))]
    options = ["trainer.check_val_every_n_epoch=2", "trainer.accumulate_grad_batches=2", "trainer.patience=1"]
    words = [*kept, *FPN, *options, "batch_size=2", "trainer.max_epochs=12", "optim.lr=1e-9"]
    code, output = train(*words)
    assert code == 0, output
    assert "epoch 2/12" in output
    assert "epoch 1/12" not in output
    assert "Stopped early after epoch 4 of 12: val mAP50 has not risen in 1 validations" in output
    (run,) = runs_in(tmp_path).values()
    last = torch.load(run.checkpoints / "last.ckpt", weights_only=True)
    assert (last["epoch"], last["global_step"]) == (3, 4 * 2)  # 8 images: 4 batches, 2 steps an epoch
    run.metrics.unlink()
    _, output = train(*words)
    assert "Resuming" in output
    assert "epoch 6/12" not in output
    assert run.status == "finished"


@pytest.mark.slow
def test_a_sweeper_that_chooses_by_results_gets_figures(
    train: Train, tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parent / "plugins")
    Plugins.instance().register(get_class("hydra_plugins.uphill.Uphill"))
    kept = [word for word in tiny if not word.startswith("trainer.max_epochs")]
    (tmp_path / "hydra" / "sweeper").mkdir(parents=True)
    file = tmp_path / "hydra" / "sweeper" / "uphill.yaml"
    file.write_text("_target_: hydra_plugins.uphill.Uphill\nkey: optim.lr\nvalues: [0.001, -1]\n")
    folder = ["--config-dir", str(tmp_path), "hydra/sweeper=uphill", "trainer.max_epochs=1", "name=uphill"]
    code, output = train("-m", *folder, *kept, *FPN)
    assert "optim.lr: got -1" in output
    assert code == 1  # one job failed
    first, failed, last = yaml.safe_load((tmp_path / "runs/sweeps/uphill/figures.yaml").read_text())
    values = sorted(record.val.mAP50 for run in runs_in(tmp_path).values() if (record := run.read()))
    assert sorted([first, last]) == pytest.approx(values, nan_ok=True)
    assert math.isnan(failed)
    assert (tmp_path / "runs/sweeps/uphill/results.md").read_text().count("finished") == 0
    assert len((tmp_path / "runs/sweeps/uphill/results.csv").read_text().splitlines()) == 4
