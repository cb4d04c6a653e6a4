"""Runs and their curves, read back from a folder."""

import math
from pathlib import Path

import yaml

from fake_runs import finished_run, write_log
from gffpn.runs.reading import classes, curves, finished_runs, logged_rows, size_bins, unfinished_runs


def test_finished_runs_are_those_with_metrics(tmp_path: Path) -> None:
    finished_run(tmp_path, "panet", mAP50=0.25)
    finished_run(tmp_path, "fpn")
    (tmp_path / "gffpn_s0").mkdir()
    (tmp_path / "gffpn_s0" / "config.yaml").write_text("seed: 0")
    (tmp_path / "sweeps" / "table6").mkdir(parents=True)
    rows = finished_runs(tmp_path)
    assert [row["run"] for row in rows] == ["fpn_plain_tinyindus_sim_s0", "panet_plain_tinyindus_sim_s0"]
    assert rows[1]["test/mAP50"] == 0.25
    assert unfinished_runs(tmp_path) == ["gffpn_s0"]


def test_a_missing_folder_holds_no_runs(tmp_path: Path) -> None:
    assert finished_runs(tmp_path / "none") == []
    assert unfinished_runs(tmp_path / "none") == []
    assert curves(tmp_path / "none") == {}


def test_an_arm_is_a_configuration_without_its_seed(tmp_path: Path) -> None:
    finished_run(tmp_path, "fpn", seed=0)
    moved = finished_run(tmp_path, "fpn", seed=1)
    config = yaml.safe_load((moved / "config.yaml").read_text())
    (moved / "config.yaml").write_text(yaml.safe_dump({**config, "paths": {"runs": "/elsewhere"}}))
    changed = finished_run(tmp_path, "fpn", seed=2)
    (changed / "config.yaml").write_text(yaml.safe_dump({**config, "neck": {"fusion": "add"}}))
    first, second, third = (row["arm"] for row in finished_runs(tmp_path))
    assert first == second
    assert third != first


def test_curves_hold_each_epoch_once(tmp_path: Path) -> None:
    write_log(
        tmp_path,
        attempt=0,
        rows=[
            {"epoch": 0, "step": 9, "val/loss": 3.0, "val/AP_0_8": "nan"},
            {"epoch": 0, "step": 9, "train/loss": 4.0},
            {"epoch": 1, "step": 19, "val/loss": 2.5},
            {"epoch": 0, "step": 0, "test/mAP50": 0.5},
            {"step": 4, "model/gflops": 3.5},
        ],
    )
    found = curves(tmp_path)
    assert list(found) == ["train/loss", "val/AP_0_8", "val/loss"]
    assert found["val/loss"] == [(0, 3.0), (1, 2.5)]
    assert found["train/loss"] == [(0, 4.0)]
    assert math.isnan(found["val/AP_0_8"][0][1])


def test_a_later_attempt_overrides_an_epoch(tmp_path: Path) -> None:
    for attempt, logged in {0: {0: 9.0, 1: 8.0}, 2: {1: 2.0}, 10: {1: 10.0, 2: 7.0}}.items():
        rows: list[dict[str, object]] = [{"epoch": e, "val/loss": loss} for e, loss in logged.items()]
        write_log(tmp_path, attempt=attempt, rows=rows)
    assert curves(tmp_path) == {"val/loss": [(0, 9.0), (1, 10.0), (2, 7.0)]}


def test_a_truncated_line_keeps_the_values_that_it_has(tmp_path: Path) -> None:
    write_log(tmp_path, attempt=0, rows=[{"epoch": 0, "val/loss": 3.0, "val/mAP50": 0.1}])
    with (tmp_path / "logs/attempt_0/metrics.csv").open("a") as file:
        file.write("1,2.5")
    assert curves(tmp_path) == {"val/loss": [(0, 3.0), (1, 2.5)], "val/mAP50": [(0, 0.1)]}


def test_logged_rows_leave_out_what_was_repeated(tmp_path: Path) -> None:
    """The first attempt stopped in epoch 1 of 2, the second one during the test."""
    first = [{"epoch": 0, "step": 9, "val/loss": 3.0}, {"epoch": 1, "step": 14, "train/loss": 8.0}]
    second = [{"epoch": 1, "step": 14, "train/loss": 2.0}, {"epoch": 1, "step": 19, "val/loss": 1.0}]
    third = [{"epoch": 0, "step": 0, "test/mAP50": 0.5}, {"step": 4, "model/gflops": 3.5}]
    for attempt, rows in enumerate((first, second, third)):
        write_log(tmp_path, attempt=attempt, rows=[dict(row) for row in rows])
    assert logged_rows(tmp_path) == [
        (9, {"epoch": 0, "val/loss": 3.0}),
        (14, {"epoch": 1, "train/loss": 2.0}),
        (19, {"epoch": 1, "val/loss": 1.0}),
        (0, {"epoch": 0, "test/mAP50": 0.5}),
        (None, {"model/gflops": 3.5}),
    ]
    assert logged_rows(tmp_path / "none") == []


def test_classes_and_size_bins_come_from_the_metrics(tmp_path: Path) -> None:
    finished_run(tmp_path, "fpn", classes=("scratch", "dent"))
    rows = finished_runs(tmp_path)
    assert classes(rows) == ["scratch", "dent"]
    assert size_bins(rows) == ["0_8", "8_16", "16_32", "32_96", "96_up"]
