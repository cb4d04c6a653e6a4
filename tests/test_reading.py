"""Runs and their curves, read back from a folder."""

import json
import math
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml

from fake_runs import finished_run, record, write_log
from gffpn.report.state import damage, unfinished
from gffpn.runs.folder import RunFolder
from gffpn.runs.provenance import Start
from gffpn.runs.reading import (
    curves,
    finished_runs,
    logged_rows,
    of_other_epochs,
    other_versions,
    still_improving,
)


def test_finished_runs_are_those_with_metrics(tmp_path: Path) -> None:
    finished_run(tmp_path, "panet", mAP50=0.25)
    finished_run(tmp_path, "fpn")
    (tmp_path / "gffpn_s0").mkdir()
    (tmp_path / "gffpn_s0" / "config.yaml").write_text("seed: 0")
    (tmp_path / "sweeps" / "table6").mkdir(parents=True)
    rows = finished_runs(tmp_path)
    assert [row.run for row in rows] == ["fpn_plain_tinyindus_sim_s0", "panet_plain_tinyindus_sim_s0"]
    assert rows[1].record.test.mAP50 == 0.25


def test_a_missing_folder_holds_no_runs(tmp_path: Path) -> None:
    assert finished_runs(tmp_path / "none") == []
    assert curves(tmp_path / "none") == {}


def test_an_arm_is_a_configuration_without_its_seed(tmp_path: Path) -> None:
    finished_run(tmp_path, "fpn", seed=0)
    moved = finished_run(tmp_path, "fpn", seed=1)
    config = yaml.safe_load((moved / "config.yaml").read_text())
    (moved / "config.yaml").write_text(yaml.safe_dump({**config, "paths": {"runs": "/elsewhere"}}))
    changed = finished_run(tmp_path, "fpn", seed=2)
    (changed / "config.yaml").write_text(yaml.safe_dump({**config, "neck": {"fusion": "add"}}))
    first, second, third = (row.arm for row in finished_runs(tmp_path))
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


@pytest.mark.parametrize("torn", ["1,1.2e", "1,-", "\x00\xff", "1,2.5,0.2,9", "nan,2.5"])
def test_a_last_row_that_is_no_numbers_is_left_out(tmp_path: Path, torn: str) -> None:
    write_log(tmp_path, attempt=0, rows=[{"epoch": 0, "val/loss": 3.0, "val/mAP50": 0.1}])
    path = tmp_path / "logs/attempt_0/metrics.csv"
    with path.open("ab") as file:
        file.write(torn.encode("latin-1"))
    assert curves(tmp_path) == {"val/loss": [(0, 3.0)], "val/mAP50": [(0, 0.1)]}
    assert len(logged_rows(tmp_path)) == 1
    with path.open("ab") as file:
        file.write(b"\n1,2.5,0.2\n")
    with pytest.raises(ValueError, match=r"attempt_0/metrics\.csv: damaged: row 2: "):
        curves(tmp_path)


def test_another_runs_damaged_configuration_stops_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run, other = finished_run(tmp_path, "fpn", epochs=2), finished_run(tmp_path, "panet")
    (other / "config.yaml").write_text("a: [")
    assert [row.run for row in finished_runs(tmp_path)] == [run.name]
    assert caplog.messages == [f"left out: {damage(RunFolder(other))}"]
    provenance = record("fpn").provenance
    (run / "start.json").write_text(json.dumps(asdict(Start(provenance, "f"))))
    (run / "config.yaml").write_text("trainer: {max_epochs: 2, check_val_every_n_epoch: 1}")
    asked = {"trainer": {"max_epochs": 5, "check_val_every_n_epoch": 1}}
    new = tmp_path / f"{run.name.rpartition('_')[0]}_new"
    assert of_other_epochs(new, asked, "f") == [(2, run)]
    for content in ("a: [", "{}"):
        (run / "config.yaml").write_text(content)
        assert of_other_epochs(new, asked, "f") == []


def test_runs_of_another_version_are_named_and_not_finished(tmp_path: Path) -> None:
    finished_run(tmp_path, "fpn")
    for neck, content in (("panet", {"test/mAP50": 0.5}), ("bifpn", {"version": 99})):
        path = finished_run(tmp_path, neck) / "metrics.json"
        path.write_text(json.dumps(content))
    assert [row.record.choice.neck for row in finished_runs(tmp_path)] == ["fpn"]
    newer, older = other_versions(tmp_path)
    assert "got version 99, expected 2; a newer gffpn wrote it" in newer
    assert "got version none, expected 2; an older gffpn wrote it" in older


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.1, 0.2, 0.3, 0.4, 0.42], True),
        ([0.1, 0.2, 0.3, 0.4, 0.405], False),
        # the best so far counts: a dip before the last fifth is no rise
        ([0.1, 0.5, 0.3, 0.2, 0.5], False),
        # six epochs: the last two
        ([0.1, 0.2, 0.3, 0.4, 0.42, 0.405], True),
        ([0.005], False),
        ([0.02], True),
        ([math.nan] * 5, False),
    ],
)
def test_a_run_still_improves_if_its_last_fifth_gains_a_point(values: list[float], expected: bool) -> None:
    assert still_improving(values) is expected


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


def test_a_damaged_log_does_not_keep_a_run_from_going_on(tmp_path: Path) -> None:
    """Resuming and the table of a sweep ask for the state of a run, not for its curves."""
    write_log(tmp_path, attempt=0, rows=[{"epoch": epoch, "val/mAP50": 0.5} for epoch in (0, "?", 2)])
    (tmp_path / "config.yaml").write_text("seed: 0")
    status, reason = unfinished(RunFolder(tmp_path))
    assert status == "interrupted"
    assert "metrics.csv: damaged: row 2: " in reason
    assert reason.endswith("remove that row, or the file: only curves need it")
