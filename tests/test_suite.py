"""Names and folders of runs, names of sweeps, and tables of results."""

import json
from pathlib import Path

import pytest
import yaml

from gffpn.files.content import content_digest
from gffpn.files.writing import write_atomically
from gffpn.report.paper import FIGURES, paper_mAP50
from gffpn.report.table import caption, cells, markdown, write_tables
from gffpn.runs.folder import RunFolder
from gffpn.runs.identity import determining, run_name
from gffpn.suite.sweep import sweep_name

CONFIG = {
    "choice": {"neck": "fpn", "backbone": "cspdarknet", "head": "tal", "data": "voc", "ablation": None},
    "size": {"name": "n"},
    "seed": 0,
    "image_size": 320,
    "neck": {"_target_": "gffpn.necks.fpn.FPN", "depth": 0.33},
    "data": {"root": "/a", "classes": None},
    "loader": {"workers": 2},
    "trainer": {"max_epochs": 3, "devices": 1},
    "paths": {"runs": "runs"},
}


def with_value(dotted: str, value: object) -> dict:
    changed = json.loads(json.dumps(CONFIG))
    *parents, last = dotted.split(".")
    node = changed
    for parent in parents:
        node = node[parent]
    node[last] = value
    return changed


@pytest.mark.parametrize(
    ("key", "value"),
    [("data.root", "/b"), ("loader.workers", 0), ("trainer.devices", 4), ("paths.runs", "x"), ("name", "y")],
)
def test_settings_that_do_not_affect_a_result_do_not_change_the_name(key: str, value: object) -> None:
    assert run_name(with_value(key, value), "d") == run_name(CONFIG, "d")


@pytest.mark.parametrize(
    ("key", "value"),
    [("seed", 1), ("trainer.max_epochs", 4), ("neck.depth", 1.0), ("image_size", [320, 640])],
)
def test_settings_that_affect_a_result_change_the_name(key: str, value: object) -> None:
    assert run_name(with_value(key, value), "d") != run_name(CONFIG, "d")


def test_the_data_fingerprint_changes_the_name() -> None:
    assert run_name(CONFIG, "one") != run_name(CONFIG, "two")


def test_weights_count_by_content_and_not_by_path(tmp_path: Path) -> None:
    for name, content in {"a.pt": b"one", "b.pt": b"one", "c.pt": b"two"}.items():
        (tmp_path / name).write_bytes(content)
    config = {**CONFIG, "backbone": {"file": None}}
    names = [
        run_name({**config, "backbone": {"file": str(tmp_path / name)}}, "d")
        for name in ("a.pt", "b.pt", "c.pt")
    ]
    assert names[0] == names[1]
    assert len({*names, run_name(config, "d")}) == 3
    (tmp_path / "a.pt").write_bytes(b"other")
    assert run_name({**config, "backbone": {"file": str(tmp_path / "a.pt")}}, "d") not in names


def test_the_digest_of_a_file_is_that_of_its_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert content_digest(tmp_path / "a") == "ba7816bf8f01cfea"  # FIPS 180-2, appendix B.1
    with pytest.raises(FileNotFoundError):
        content_digest(tmp_path / "b")


def test_determining_leaves_its_argument_alone() -> None:
    before = json.dumps(CONFIG)
    determining(CONFIG)
    assert json.dumps(CONFIG) == before


def test_names_are_readable() -> None:
    assert run_name(CONFIG, "d").startswith("fpn_cspdarknet-n_tal_voc_320_s0_")
    assert run_name(with_value("image_size", [320, 640]), "d").startswith(
        "fpn_cspdarknet-n_tal_voc_320x640_s0_"
    )


def test_a_folder_with_metrics_is_finished(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    assert folder.status == "missing"
    write_atomically(folder.config, "a: 1")
    assert folder.status == "interrupted"
    write_atomically(folder.traceback, "Traceback")
    assert folder.status == "failed"
    folder.finish({"test/mAP50": 0.5})
    assert folder.status == "finished"
    assert folder.read_metrics() == {"test/mAP50": 0.5}
    assert not folder.traceback.exists()


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    write_atomically(path, "old")
    with pytest.raises(TypeError):
        write_atomically(path, None)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_nan_metrics_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        RunFolder(tmp_path).finish({"test/mAP50": float("nan")})


def test_sweep_names() -> None:
    assert sweep_name(["neck=fpn,panet,gffpn", "paths.runs=/x"]).startswith("neck-fpn-panet-gffpn-")
    assert sweep_name(["optim.lr=1e-3"]) != sweep_name(["optim.lr=1e+3"])
    assert sweep_name([], 2024) == "2024"
    assert sweep_name(["experiments=table6"]) == "table6"
    assert sweep_name(["neck=fpn"], "mine") == "mine"
    long = sweep_name(["neck=" + ",".join(f"neck{i}" for i in range(30))])
    assert len(long) < 70
    assert long != sweep_name(["neck=" + ",".join(f"neck{i}" for i in range(31))])


def row(neck: str, **more: object) -> dict:
    figures = {
        "test/mAP50": 0.5,
        "test/mAP50_95": 0.25,
        "test/AP_0_8": None,
        "test/n_0_8": 0,
        "test/AP_8_16": 0.1,
        "test/n_8_16": 12,
        "params_m": 1.234,
        "device": "cpu",
        "threads": 2,
        "commit": "abc",
        "data_fingerprint": "f",
        "data": "tinyindus_sim",
        "simulated": True,
        "image_size": "320",
    }
    return {"overrides": [f"neck={neck}", "seed=0"], "run": neck, "status": "finished", **figures, **more}


def test_a_table_shows_varied_settings_and_percentages() -> None:
    headers, body = cells([row("fpn"), row("panet")])
    assert headers[:3] == ["neck", "mAP50", "mAP50_95"]
    assert "8-16 (n=12)" in headers
    assert body[1][:4] == ["panet", "50.0", "25.0", "n/a"]


def test_a_row_without_results_shows_its_status() -> None:
    _, body = cells([row("fpn"), {"overrides": ["neck=panet", "seed=0"], "run": "x", "status": "failed"}])
    assert body[1][:2] == ["panet", "failed"]


def test_a_caption_states_simulated_data_and_mixed_devices() -> None:
    made = {"data_origin": "simulated, 1a2b: contrast=2.5", "images": {"train": 8, "val": 4}}
    text = "\n".join(caption([row("fpn", **made), row("panet", device="gpu", dirty=True)]))
    assert "SIMULATED" in text
    assert "Data: simulated, 1a2b: contrast=2.5; images: 8 train, 4 val" in text
    assert "different devices: cpu, gpu" in text
    assert "uncommitted" in text
    assert "commits" not in "\n".join(caption([row("fpn"), row("panet")]))


def test_tables_are_written_with_every_figure(tmp_path: Path) -> None:
    rows = [row("fpn"), {"overrides": ["neck=panet"], "run": "x", "status": "failed"}]
    write_tables(tmp_path, rows)
    lines = (tmp_path / "results.csv").read_text().splitlines()
    assert len(lines) == 3
    assert "test/mAP50" in lines[0]
    assert (tmp_path / "results.md").read_text() == markdown(rows)


def test_the_papers_figure_is_returned_only_for_the_matching_run() -> None:
    run = {"neck": "gffpn", "ablation": "add", "backbone": "cspdarknet", "data": "tinyindus_sim"}
    assert paper_mAP50("table6_ablation", run) == pytest.approx(0.651)
    assert paper_mAP50("table6_ablation", {**run, "ablation": None}) is None
    assert paper_mAP50("table6_ablation", {**run, "data": "neu_det"}) is None
    steel = {"neck": "fpn", "backbone": "darknet53", "data": "neu_det"}
    assert paper_mAP50("table4_neu_det", steel) == pytest.approx(0.727)
    with pytest.raises(ValueError, match="expected null or one of"):
        paper_mAP50("table7", run)


def test_a_table_labels_the_papers_figures() -> None:
    headers, _ = cells([row("gffpn", **{"paper/mAP50": 0.699})])
    assert "PAPER mAP50" in headers
    assert "PAPER mAP50" not in cells([row("gffpn")])[0]
    assert "the paper's own figure" in "\n".join(caption([row("gffpn", **{"paper/mAP50": 0.699})]))


def test_every_mean_of_the_paper_is_the_mean_of_its_row() -> None:
    tables = yaml.safe_load(FIGURES.read_text())
    for name in ("table3_tinyindus", "table4_neu_det"):
        for line in tables[name]["rows"]:
            assert sum(line["values"][2:]) / len(line["values"][2:]) == pytest.approx(
                line["values"][0], abs=0.1
            )
