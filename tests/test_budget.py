"""Does a run with a budget of minutes get the epochs that fit, and is it then a run like any other?"""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig

from commands import Train
from gffpn.config.compose import compose_config
from gffpn.config.resolve import resolved
from gffpn.data.index import DataIndex
from gffpn.runs.commands import repeatable
from gffpn.suite import budget
from gffpn.suite.budget import Pace, within_budget

# 10 steps of 2 s per epoch, validations of 5 s; 5 + 10 images of 1 s at the end
SLOW = Pace(step=2.0, validation=5.0, image=1.0, steps=10, batch=4, val=5, test=10)


def pace_of(seconds: float) -> Pace:
    return Pace(step=seconds, validation=0.0, image=0.0, steps=2, batch=4, val=4, test=4)


@pytest.mark.parametrize(
    ("minutes", "epochs", "interval"),
    [
        (1.0, 1, 1),  # 60 s: 45 / 25 = 1.8, of few epochs rounded down
        (0.8, 1, 1),  # 48 s: 15 for val and test, 33 are 1.3 epochs of 20 + 5
        (5.0, 11, 1),  # 300 s: 285 / 25 = 11.4
        (17.0, 44, 2),  # 1020 s: 1005 / 25 = 40.2 are more than 40 validations; 1005 / 22.5 = 44.7, in twos
        (60.0, 170, 5),  # 3600 s: every 5 epochs, 3585 / 21 = 170.7 epochs
    ],
)
def test_epochs_that_fit(minutes: float, epochs: int, interval: int) -> None:
    assert SLOW.schedule(minutes, fps_seconds=0.0) == (epochs, interval)


def test_seconds_for_fps_count() -> None:
    assert SLOW.schedule(5.0, fps_seconds=30.0) == (10, 1)  # 255 / 25 = 10.2


def test_less_than_an_epoch_is_refused() -> None:
    with pytest.raises(ValueError, match=r"trainer.minutes: got 0.5, expected 0.7 or more for one epoch"):
        SLOW.schedule(0.5, fps_seconds=0.0)


def budget_words(tiny: list[str], minutes: float = 0.5) -> list[str]:
    """Return the overrides of a tiny run with a budget, and no time for FPS."""
    kept = [word for word in tiny if not word.startswith("trainer.max_epochs")]
    return [*kept, "neck=fpn", "budget=5min", f"trainer.minutes={minutes}"]


def test_a_budget_gives_epochs_and_is_no_part_of_the_name(
    tiny: list[str], tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(budget, "_measure", lambda *_: asked.append(1) or pace_of(5.0))
    code, printed = train(*budget_words(tiny))
    assert code == 0
    assert "Budget of 0.5 minutes at 0.8 images/s: 3 epochs\n" in printed
    (folder,) = (tmp_path / "runs").glob("fpn_*")
    record = json.loads((folder / "metrics.json").read_text())
    assert record["settings"]["epochs"] == record["training"]["trained_epochs"] == 3
    command = json.loads((folder / "command.json").read_text())
    assert command[-3:] == [
        "trainer.minutes=null",
        "trainer.max_epochs=3",
        "trainer.check_val_every_n_epoch=1",
    ]
    code, printed = train(*command[2:])
    assert (code, len(asked)) == (0, 1)
    assert [*(tmp_path / "runs").glob("fpn_*")] == [folder]


def test_a_sweep_measures_before_its_jobs_and_once_for_equal_networks(
    tiny: list[str], tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(budget, "_measure", lambda config, _: asked.append(config.seed) or pace_of(15.0))
    monkeypatch.setattr("gffpn.suite.execution.fit_and_test", lambda *_, **__: None)  # the runs end at once
    _, printed = train("-m", *budget_words(tiny), "seed=0,1", "optim.lr=0.001,0.002")
    assert (printed.count("Running"), asked) == (4, [0])
    assert printed.index("Measuring") < printed.index("Running")
    (damaged,) = (tmp_path / "cache" / "pace").glob("*.json")
    damaged.write_text("{")
    train(*budget_words(tiny), "seed=2")
    assert asked == [0, 2]


def test_a_run_whose_speed_cannot_be_measured_fails_alone(
    tiny: list[str], tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measure(config: DictConfig, _: DataIndex) -> Pace:
        if config.choice.neck == "panet":
            raise torch.OutOfMemoryError("out of memory")
        return pace_of(15.0)

    monkeypatch.setattr(budget, "_measure", measure)
    words = [word for word in budget_words(tiny) if word != "neck=fpn"]
    code, printed = train("-m", *words, "neck=panet,fpn", "name=two")
    assert code == 1
    assert "FAILED: neck=panet: OutOfMemoryError: out of memory" in printed
    rows = list(csv.DictReader((tmp_path / "runs/sweeps/two/results.csv").read_text().splitlines()))
    assert [row["status"] for row in rows] == ["failed", "finished"]


def test_a_pace_is_that_of_the_code_that_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = resolved(compose_config(["neck=fpn", "budget=5min", "trainer.accelerator=cpu"]))
    index = DataIndex(("flaw",), {})
    digests = []
    for code in ({"gffpn.necks.fpn": "1"}, {"gffpn.necks.fpn": "1"}, {"gffpn.necks.fpn": "2"}):
        monkeypatch.setattr(budget, "code_of", lambda *_, code=code: code)
        digests.append(budget._digest(plain, index))
    assert digests[0] == digests[1] != digests[2]


def test_a_pace_of_a_busy_machine_is_used_with_a_warning_that_names_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["neck=fpn", "budget=5min", "trainer.fps_seconds=0", "trainer.accelerator=cpu"]
    plain = resolved(compose_config([*words, f"paths.runs={tmp_path}", f"paths.cache={tmp_path}"]))
    index = DataIndex(("flaw",), {})
    monkeypatch.setattr(budget, "code_of", lambda *_: {})
    monkeypatch.setattr(budget, "_measure", lambda *_: replace(pace_of(50.0), others=0.42))
    for _ in range(2):  # the second one is remembered
        assert within_budget(plain, index)["trainer"]["max_epochs"] == 3
        (file,) = (tmp_path / "pace").glob("*.json")
        warning = "WARNING: other processes took 42% of the cores while this speed was measured"
        printed = capsys.readouterr().out
        assert warning in printed
        assert f"delete {file} and the runs that have these epochs" in printed
    file.unlink()
    monkeypatch.setattr(budget, "_measure", lambda *_: pace_of(30.0))
    assert within_budget(plain, index)["trainer"]["max_epochs"] == 5
    assert "WARNING" not in capsys.readouterr().out


def test_an_earlier_run_is_found_after_the_cache_was_deleted(
    tiny: list[str], tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "_measure", lambda *_: pace_of(5.0))
    assert train(*budget_words(tiny))[0] == 0
    (file,) = (tmp_path / "cache" / "pace").glob("*.json")
    file.unlink()
    (folder,) = (tmp_path / "runs").glob("fpn_*")
    damaged = tmp_path / "runs" / "another"
    damaged.mkdir()
    shutil.copy(folder / "start.json", damaged)
    (damaged / "config.yaml").write_text("{")
    code, printed = train(*budget_words(tiny))
    assert (code, file.exists()) == (0, False)
    assert "Measuring" not in printed
    assert f"Budget of 0.5 minutes: 3 epochs, as in {folder}\n" in printed
    assert len([*(tmp_path / "runs").glob("fpn_*")]) == 1


def test_the_speed_is_measured_by_training(
    tiny: list[str], tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "MEASURED_S", 0.0)
    assert train(*budget_words(tiny, 0.1))[0] == 0
    (file,) = (tmp_path / "cache" / "pace").glob("*.json")
    pace = Pace(**json.loads(file.read_text()))
    assert 0.001 < pace.step < 10
    assert 0.001 < pace.validation < 10
    assert 0.0001 < pace.image < 10
    assert (pace.steps, pace.batch, pace.val, pace.test) == (2, 4, 4, 4)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["budget=5min", "trainer.max_epochs=3"], "trainer.max_epochs: got 3 and trainer.minutes=5"),
        (
            ["budget=5min", "trainer.minutes=0"],
            "trainer.minutes: got 0, expected null or a number of minutes",
        ),
        (["budget=5min", "trainer.max_epochs=3"], "leave out trainer.max_epochs, or set budget=null"),
        (["budget=5min", "trainer.minutes=null"], "trainer.max_epochs: got None, expected a whole number"),
        (
            ["budget=5min", "trainer.accelerator=cpu", "trainer.devices=2"],
            "a run of several processes has none",
        ),
    ],
)
def test_a_budget_that_contradicts_is_refused(
    tiny: list[str], train: Train, words: list[str], message: str
) -> None:
    kept = [word for word in tiny if not word.startswith("trainer.max_epochs")]
    code, printed = train(*kept, "neck=fpn", *words)
    assert code == 2
    assert message in printed


def test_the_command_that_repeats_a_run_names_epochs_and_threads() -> None:
    trainer = {"minutes": None, "threads": None, "max_epochs": 6, "check_val_every_n_epoch": 2}
    plain = {"choice": {"launcher": "basic"}, "trainer": trainer}
    assert repeatable(["train.py", "seed=1"], plain, threads=1) == ["train.py", "seed=1"]
    trainer["minutes"] = 5
    words = ["trainer.minutes=null", "trainer.max_epochs=6", "trainer.check_val_every_n_epoch=2"]
    assert repeatable(["train.py", "trainer.minutes=5"], plain, threads=1) == ["train.py", *words]
    plain["choice"]["launcher"] = "joblib"
    assert repeatable(["train.py"], plain, threads=1) == ["train.py", *words, "trainer.threads=1"]
    trainer |= {"minutes": None, "threads": 2}
    assert repeatable(["train.py", "trainer.threads=2"], plain, threads=1) == [
        "train.py",
        "trainer.threads=2",
    ]
    assert repeatable([], plain, threads=1) == []
