"""Does a neck outside the repository, in a folder with its YAML file, work in every command?"""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from commands import Train, command, record_of, tiny_overrides
from gffpn.__main__ import main
from gffpn.build.detector import build_data, build_task
from gffpn.build.index import build_index
from gffpn.build.trainer import build_tester
from gffpn.config.compose import compose_config
from gffpn.config.overrides import search_path
from gffpn.runs.folder import RunFolder
from gffpn.runs.predictions import read_predictions
from gffpn.runs.verify import differences

Verb = Callable[..., None]
CODE = """
import torch
from torch import Tensor, nn

from gffpn.pyramid import Level, Levels, levels_at


class Mine(nn.Module):
    def __init__(self, in_levels: Levels, *, out_channels: int) -> None:
        super().__init__()
        self.in_strides = (8, 16, 32)
        levels = levels_at(in_levels, self.in_strides, reader="Mine")
        self.out_levels = tuple(Level(out_channels, level.stride) for level in levels)
        self.project = nn.ModuleList(nn.Conv2d(level.channels, out_channels, 1) for level in levels)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        read = features[-len(self.project) :]  # finest first: the last ones are strides 8, 16, 32
        return [project(feature) for project, feature in zip(self.project, read, strict=True)]
"""
YAML = "_target_: mine.Mine\nout_channels: 96\n"


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a user's folder with mine.py and conf/neck/mine.yaml."""
    folder = tmp_path_factory.mktemp("outside")
    (folder / "mine.py").write_text(CODE)
    (folder / "conf" / "neck").mkdir(parents=True)
    (folder / "conf" / "neck" / "mine.yaml").write_text(YAML)
    return folder


@pytest.fixture(scope="module")
def short(squares: Path, outside: Path) -> list[str]:
    return [*tiny_overrides(squares, outside), "trainer.max_epochs=1"]


@pytest.fixture
def inside(outside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the user's folder the working directory, from which this process imports."""
    monkeypatch.chdir(outside)
    monkeypatch.syspath_prepend(outside)


@pytest.fixture
def verb(inside: None) -> Verb:
    """Run `gffpn VERB WORDS...` in the user's folder, in this process."""
    return lambda *words: main(list(words))


def rows(sweep: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((sweep / "results.csv").read_text().splitlines()))


@pytest.fixture(scope="module")
def trained(outside: Path, short: list[str]) -> Path:
    """Train the neck once and return the run's folder."""
    done = command("-m", "gffpn", "train", "--config-dir", "conf", "neck=mine", *short, cwd=outside)
    assert done.returncode == 0, done.stderr
    (metrics,) = (outside / "runs").glob("mine_*_s0_*/metrics.json")
    return metrics.parent


@pytest.mark.slow
def test_a_sweep_trains_it_together_with_a_built_in_neck(
    outside: Path, short: list[str], trained: Path, inside: None, train: Train
) -> None:
    code, printed = train("-m", "--config-dir", "conf", "neck=mine,fpn", *short, "name=two")
    assert code == 0, printed
    both = rows(outside / "runs" / "sweeps" / "two")
    assert [(row["neck"], row["status"]) for row in both] == [("mine", "finished"), ("fpn", "finished")]
    assert Path(both[0]["run"]) == trained
    assert "Already finished, skipped" in printed


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`:UserWarning")
def test_a_sweep_in_two_processes_yields_the_figures_of_one(
    inside: None, outside: Path, uneven: list[str], tmp_path: Path, train_with_others: Train
) -> None:
    """No image counts twice in val and test sets that the processes cannot divide evenly."""
    # one image per process and step: one process has two steps of val and test, the other has one
    words = [*uneven, "trainer=ddp", "trainer.devices=2", "neck=mine", "batch_size=2"]
    words += [f"paths.runs={tmp_path}/runs", "name=ddp"]
    code, printed = train_with_others("-m", "--config-dir", "conf", *words)
    assert code == 0, printed
    assert "epoch 2/2" in printed  # that of the run's own processes
    assert "self.log" not in printed
    (row,) = rows(tmp_path / "runs" / "sweeps" / "ddp")
    assert (row["neck"], row["status"]) == ("mine", "finished")
    folder = RunFolder(Path(row["run"]))
    record = record_of(folder)
    assert record.training.processes == 2
    assert (record.test.images, record.test.objects) == (3, 3)
    splits = read_predictions(folder.predictions)
    assert [split.names for split in splits.values()] == [
        tuple(f"images/{split}{k}.png" for k in range(3)) for split in ("val", "test")
    ]
    assert differences(record, splits)[1] == []
    config = compose_config([*uneven, "neck=mine", *search_path([outside / "conf"])])
    data = build_data(config, build_index(config))
    (alone,) = build_tester(config, RunFolder(tmp_path / "alone"), []).test(
        build_task(config, data),
        data,
        ckpt_path=folder.checkpoints / "best.ckpt",
        weights_only=True,
        verbose=False,
    )
    expected = {k: None if v != v else pytest.approx(v, abs=1e-6) for k, v in alone.items()}
    columns = record.columns()
    assert {name: columns[name] for name in expected} == expected


@pytest.mark.slow
def test_export_constructs_it_only_if_it_is_allowed(
    verb: Verb, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as refused:
        verb("export", str(trained), "--limit", "2")
    assert refused.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "--allow mine" in line
    verb("export", str(trained), "--allow", "mine", "--limit", "2")
    assert (trained / "best.onnx").is_file()


@pytest.mark.slow
def test_its_cost_is_counted(verb: Verb, capsys: pytest.CaptureFixture[str]) -> None:
    verb("cost", "--config-dir", "conf", "--json", "neck=mine", "image_size=64")
    assert json.loads(capsys.readouterr().out)["neck"] == "mine"


@pytest.mark.slow
def test_the_benchmark_measures_it(verb: Verb, outside: Path) -> None:
    quick = ["--rounds", "1", "--seconds", "0", "--out", "measured", "image_size=64"]
    verb("benchmark", "--config-dir", "conf", "neck=mine,fpn", *quick)
    (table,) = (outside / "measured").glob("*.csv")
    assert {row["neck"] for row in csv.DictReader(table.read_text().splitlines())} == {"mine", "fpn"}


@pytest.mark.slow
def test_its_width_is_matched(verb: Verb, capsys: pytest.CaptureFixture[str]) -> None:
    verb("match", "--config-dir", "conf", "neck=mine", "to=fpn", "image_size=64")
    assert "neck=mine neck.out_channels=" in capsys.readouterr().out
