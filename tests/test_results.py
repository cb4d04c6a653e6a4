"""Do finished runs load as data, as docs/report.md shows?"""

import csv
import re
import sys
from pathlib import Path

import pytest

from commands import ROOT
from fake_runs import finished_run, predicted_run
from gffpn import runs


def documented() -> str:
    """Return the lines of docs/report.md that load results."""
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "report.md").read_text(), re.DOTALL)
    return code


@pytest.fixture
def three_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "runs"
    for seed in (0, 1):
        predicted_run(folder, "fpn", skill=0.4, seed=seed)
    predicted_run(folder, "gffpn", skill=0.9)
    monkeypatch.chdir(tmp_path)
    return folder


def test_the_documented_lines_run(three_runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values: dict[str, object] = {}
    exec(compile(documented(), "docs/report.md", "exec"), values)
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("gffpn_plain_tinyindus_sim_s0 gffpn 0 0.")
    assert re.fullmatch(r"\d+ detections of 48 objects", printed[1])
    assert len(values["arms"]) == 2
    assert printed[2].split() == ["mean", "std", "count"]
    assert len(printed[4:]) == 2  # a line per arm
    rows = list(csv.DictReader((three_runs.parent / "results.csv").read_text().splitlines()))
    assert [row["run"] for row in rows] == [run.run for run in runs.load(three_runs)]
    assert rows[0]["neck"] == "fpn"
    assert float(rows[2]["test/mAP50"]) == runs.load(three_runs)[2].record.test.mAP50


def test_the_documented_lines_are_ten() -> None:
    assert len([line for line in documented().splitlines() if line and "import" not in line]) == 10


def test_rows_have_the_same_columns(three_runs: Path) -> None:
    finished_run(three_runs, "panet", classes=("dent",))
    rows = runs.load(three_runs).rows()
    assert len({tuple(row) for row in rows}) == 1
    assert [row["test/AP50/dent"] is None for row in rows] == [True, True, True, False]


def test_one_run_loads_alone(three_runs: Path) -> None:
    (found,) = runs.load(three_runs / "fpn_plain_tinyindus_sim_s1")
    assert (found.record.seed, len(found.arm)) == (1, 6)
    assert found.curves()["val/loss"][0][0] == 0


def test_nothing_to_load_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"{tmp_path}: holds no finished runs"):
        runs.load(tmp_path)
    path = finished_run(tmp_path, "fpn") / "metrics.json"
    path.write_text('{"version": 99}')
    with pytest.raises(ValueError, match="a newer gffpn wrote it"):
        runs.load(tmp_path)


def test_without_pandas_the_error_names_the_cure(three_runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ValueError, match=r"pip install pandas, or use to_csv\(\)"):
        runs.load(three_runs).to_pandas()
