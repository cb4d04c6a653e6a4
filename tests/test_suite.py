"""Names and folders of runs, names of sweeps, and tables of results."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from fake_runs import figures, record
from gffpn.figures import BinFigures
from gffpn.files.content import content_digest
from gffpn.files.writing import write_atomically
from gffpn.report.caption import caption
from gffpn.report.paper import FIGURES, paper_mAP50
from gffpn.report.table import cells, markdown, row_of, write_tables
from gffpn.runs.folder import RunFolder
from gffpn.runs.identity import determining, run_name
from gffpn.runs.record import Record
from gffpn.suite.sweep import _name_failures, sweep_name

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
    folder.finish(record())
    assert folder.status == "finished"
    assert folder.read() == record()
    assert not folder.traceback.exists()


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    write_atomically(path, "old")
    with pytest.raises(TypeError):
        write_atomically(path, None)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_sweep_names() -> None:
    assert sweep_name(["neck=fpn,panet,gffpn", "paths.runs=/x"]).startswith("neck-fpn-panet-gffpn-")
    assert sweep_name(["optim.lr=1e-3"]) != sweep_name(["optim.lr=1e+3"])
    assert sweep_name([], 2024) == "2024"
    assert sweep_name(["experiments=table6"]) == "table6"
    assert sweep_name(["neck=fpn"], "mine") == "mine"
    assert sweep_name(["neck=fpn,panet", "rerun=all"]) == sweep_name(["neck=fpn,panet"])
    by_params = [sweep_name([f"hydra.sweeper.params.neck='{necks}'"]) for necks in ("fpn,panet", "fpn,bifpn")]
    assert len(set(by_params)) == 2
    assert by_params[0].startswith("neck-fpn-panet-")
    long = sweep_name(["neck=" + ",".join(f"neck{i}" for i in range(30))])
    assert len(long) < 70
    assert long != sweep_name(["neck=" + ",".join(f"neck{i}" for i in range(31))])


def row(neck: str = "fpn", made: Record | None = None, **more: object) -> dict:
    overrides = [f"neck={neck}", "seed=0"]
    return row_of({"overrides": overrides, "run": neck, "status": "finished", **more}, made or record(neck))


UNFINISHED = row_of({"overrides": ["neck=panet", "seed=0"], "run": "x", "status": "failed"}, None)


def test_a_table_shows_varied_settings_and_percentages() -> None:
    headers, body = cells([row("fpn"), row("panet")])
    assert headers[:8] == [
        "neck",
        "mAP50",
        "mAP50_95",
        "AP 0-8 (n=0)",
        "8-16 (n=12)",
        "16-32 (n=40)",
        "32-96 (n=81)",
        "96+ (n=5)",
    ]
    assert body[1][:5] == ["panet", "50.0", "25.0", "n/a", "20.0"]


def test_the_bins_of_a_table_are_those_of_its_records() -> None:
    bins = (BinFigures("0_4", 0.0, 4.0, False, 3, 0.5), BinFigures("4_up", 4.0, None, False, 9, None))
    made = replace(record(), test=replace(figures(), bins=bins))
    headers, body = cells([row(made=made)])
    assert headers[3:5] == ["AP 0-4 (n=3)", "4+ (n=9)"]
    assert body[0][3:5] == ["50.0", "n/a"]


def test_a_row_without_results_shows_its_status() -> None:
    _, body = cells([row("fpn"), UNFINISHED])
    assert body[1][:2] == ["panet", "failed"]


def test_a_run_that_still_improves_is_marked() -> None:
    still = replace(record(), training=replace(record().training, still_improving=True))
    rows = [row("fpn"), row("panet", still)]
    _, body = cells(rows)
    assert [line[1] for line in body] == ["50.0", "50.0 \N{UPWARDS ARROW}"]
    assert "still improving: val mAP50 rose by over 1 point" in "\n".join(caption(rows))
    assert "still improving" not in "\n".join(caption(rows[:1]))
    # a row of several runs has no mark, so the runs are named
    assert "Still improving: val mAP50 rose by over 1 point in the last fifth of epochs: neck=panet." in (
        "\n".join(caption(rows, unit="arm"))
    )


def test_a_caption_names_the_fewer_rows_by_what_they_set() -> None:
    still = replace(record(), training=replace(record().training, still_improving=True))
    rows = [
        row("fpn", still),
        row("panet", still),
        {**row("gffpn", still), "overrides": ["neck=gffpn", "neck.gate=none", "seed=0"]},
    ]
    lines = "\n".join(caption([*rows, row("none")], unit="arm"))
    assert "of epochs: all rows but neck=none." in lines
    few = "\n".join(caption([row("fpn"), row("panet"), rows[2]], unit="arm"))
    assert "of epochs: neck=gffpn neck.gate=none." in few


def with_field(made: Record, part: str, **fields: object) -> Record:
    return replace(made, **{part: replace(getattr(made, part), **fields)})


def test_a_caption_states_simulated_data_and_settings() -> None:
    made = with_field(record(), "data", origin="simulated, 1a2b: contrast=2.5")
    text = "\n".join(caption([row("fpn", made), row("panet", made)]))
    assert "SIMULATED" in text
    assert "Data: simulated, 1a2b: contrast=2.5; images: 8 train, 4 val, 4 test" in text
    assert "Settings: epochs 3, batch 16, optimizer adamw, lr 0.002, head tal" in text
    assert "FPS: batch 1 on a processor, 2 threads, medians over 4 test images" in text
    assert "NOTE" not in text


def test_a_caption_refers_to_the_columns_of_what_was_varied() -> None:
    rows = []
    for epochs in (1, 2):
        for side in (64, 96):
            made = with_field(record(), "settings", epochs=epochs)
            made = replace(with_field(made, "training", trained_epochs=epochs), image_size=(side, side))
            rows.append(
                {**row("fpn", made), "overrides": [f"trainer.max_epochs={epochs}", f"image_size={side}"]}
            )
    text = "\n".join(caption(rows))
    assert "network input (as in the column image_size)" in text
    assert "epochs as in the column trainer.max_epochs, batch 16" in text
    assert "NOTE" not in text


@pytest.mark.parametrize(
    ("part", "fields", "note"),
    [
        (
            "speed",
            {"device": "gpu"},
            "different devices or numbers of threads: a processor, 2 threads (neck=fpn); ",
        ),
        ("training", {"devices": ("a GPU",)}, "different devices of training: a processor (neck=fpn); a GPU"),
        ("training", {"processes": 2}, "different numbers of processes: 1 (neck=fpn); 2 (neck=panet)."),
        (
            "settings",
            {"precision": "bf16-mixed"},
            "different precisions of training: 32-true (neck=fpn); bf16-",
        ),
        ("data", {"fingerprint": "ffff"}, "different data sets: "),
        ("provenance", {"commit": "1" * 40}, "different commits of the code: "),
        (
            "provenance",
            {"python": "3.13.1"},
            "different versions of Python: 3.11.7 (neck=fpn); 3.13.1 (neck=panet)",
        ),
        (
            "provenance",
            {"libraries": {"torch": "2.0"}},
            "versions of torch: 2.15.0 (neck=fpn); 2.0 (neck=panet)",
        ),
        ("provenance", {"dirty": True}, "the code had uncommitted changes: neck=panet."),
        ("training", {"trained_epochs": 2}, "training stopped early: neck=panet."),
        ("test", {"images": 3}, "only a part of the test split was tested: neck=panet."),
        (
            "choice",
            {"launcher": "joblib"},
            "FPS were measured while other processes may have used the same machine: neck=panet.",
        ),
        (
            "speed",
            {"others": 0.2},
            "FPS were measured while other processes may have used the same machine: neck=panet.",
        ),
        (
            "choice",
            {"launcher": "joblib"},
            "minutes were measured while other runs used the same machine: neck=panet.",
        ),
        (
            "training",
            {"minutes_others": 0.2},
            "minutes were measured while other processes took a part of the cores: neck=panet.",
        ),
    ],
)
def test_a_caption_names_the_rows_that_differ_in_what_nobody_varied(
    part: str, fields: dict[str, object], note: str
) -> None:
    text = "\n".join(caption([row("fpn"), row("panet", with_field(record(), part, **fields))]))
    assert "NOTE: " in text
    assert note in text
    assert "NOTE" not in "\n".join(caption([row("fpn"), row("panet")]))


@pytest.mark.parametrize(
    ("words", "part", "fields"),
    [
        ("trainer.accelerator=gpu", "training", {"devices": ("a GPU",)}),
        ("trainer.precision=bf16-mixed", "settings", {"precision": "bf16-mixed"}),
        ("trainer=ddp", "training", {"processes": 2}),
        ("trainer.num_nodes=2", "training", {"processes": 2}),
        ("data=nuclei", "data", {"fingerprint": "ffff"}),
        ("data.train_images=50", "data", {"fingerprint": "ffff"}),
        ("image_size=640", "data", {"fingerprint": "ffff"}),  # of simulated data
    ],
)
def test_what_a_setting_varies_is_no_unintended_difference(
    words: str, part: str, fields: dict[str, object]
) -> None:
    """But rows that share the setting and differ all the same are noted."""
    key = words.partition("=")[0]
    first = {**row(), "overrides": [f"{key}=other", "seed=0"]}
    other = with_field(record(), part, **fields)
    second = {**row(made=other), "overrides": [words, "seed=0"]}
    third = {**row(made=other), "overrides": [f"{key}=other", "seed=1"]}
    assert "NOTE: the rows come from different" not in "\n".join(caption([first, second]))
    assert "NOTE: the rows come from different" in "\n".join(caption([first, second, third]))


def test_a_caption_says_which_runs_are_not_timed_yet() -> None:
    waiting = replace(record(), speed=None)
    text = "\n".join(caption([row("fpn"), row("panet", waiting)]))
    assert "FPS: batch 1 on a processor, 2 threads, medians over 4 test images" in text
    assert "different devices" not in text
    assert "NOTE: FPS are not measured yet, because other runs used the machine; " in text
    assert "FPS: not measured yet." in "\n".join(caption([row("panet", waiting)]))


def test_a_caption_names_modules_whose_code_differs() -> None:
    """Rows of different necks have different modules; only a module of both can differ."""
    one = with_field(record(), "provenance", code={"layers.conv": "a", "necks.fpn": "b"})
    two = with_field(record(), "provenance", code={"layers.conv": "c", "necks.panet": "d"})
    text = "\n".join(caption([row("fpn", one), row("panet", two)]))
    assert "NOTE: the rows come from different code: layers.conv; rerun=changed cures it." in text
    stale = {**row("fpn", one), "other_code": ["layers.conv"]}
    text = "\n".join(caption([stale, row("panet", one)]))
    assert "NOTE: neck=fpn: trained by other code than the present (layers.conv)." in text


def test_tables_are_written_with_every_figure(tmp_path: Path) -> None:
    rows = [row("fpn"), UNFINISHED]
    write_tables(tmp_path, rows)
    lines = (tmp_path / "results.csv").read_text().splitlines()
    assert len(lines) == 3
    assert {"test/mAP50", "test/P", "val/mAP50", "lr", "fps_end_to_end"} <= set(lines[0].split(","))
    assert "record" not in lines[0].split(",")
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


def test_a_diverged_run_is_named_but_not_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = {"overrides": ["neck=fpn"], "status": "diverged", "run": str(tmp_path), "fault": ""}
    assert _name_failures([row]) == 0
    assert capsys.readouterr().out == f"DIVERGED: neck=fpn: {tmp_path}\n"
    assert _name_failures([row, {**row, "status": "failed", "overrides": ["neck=panet"]}]) == 1
    assert "1 of 2 runs are not finished. Repeat" in capsys.readouterr().out
