"""Does a report find its runs, say what is missing and how to fill it, and write the same in every form?"""

import csv
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from commands import Train
from fake_runs import predicted_run
from fake_sweeps import EXPERIMENT, SKILLS, add_to_config, crash, fake_sweep, kill
from gffpn.__main__ import main as verbs
from gffpn.files.tables import markdown_table
from gffpn.report.analyses import read_analyses
from gffpn.report.answer import answer_markdown
from gffpn.report.caption import numbered
from gffpn.report.collect import Source, collect
from gffpn.report.facts import Facts, StudyFacts
from gffpn.report.gaps import study_facts
from gffpn.report.latex import escaped, latex
from gffpn.report.state import error_line, unfinished
from gffpn.report.write import markdown
from gffpn.runs.commands import run_command, sweep_command
from gffpn.runs.folder import RunFolder
from gffpn.runs.sweeps import PLAN, read_plan, record_job, write_plan
from gffpn.stats.question import Question
from gffpn.stats.runs import Run
from gffpn.stats.study import Study, study
from gffpn.suite.earlier import earlier_commands


def answered(source: Source) -> tuple[Study, StudyFacts]:
    study = source.study()
    return study, study_facts(study, source)


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


@pytest.fixture(autouse=True)
def without_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the page and the figures, which take seconds; tests/test_report_page.py has them."""
    monkeypatch.setattr("gffpn.report.write.write_page", lambda *_, **__: None)


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """Return a sweep of fpn and gffpn whose second run crashed, whose third was killed, and then no more."""
    folder = fake_sweep(tmp_path / "runs", skills={"fpn": 0.4, "gffpn": 0.9}, seeds=(0, 1))
    runs = [json.loads(path.read_text())["run"] for path in sorted((folder / "jobs").iterdir())]
    crash(Path(runs[1]))
    kill(Path(runs[2]))
    (folder / "jobs" / "0003.json").unlink()
    return folder


def test_what_a_broken_sweep_lacks_stands_in_its_own_cell(broken: Path) -> None:
    (source,) = collect([broken])
    study, facts = answered(source)
    assert [(arm.name, len(arm.finished), len(arm.runs)) for arm in study.arms] == [
        ("fpn", 1, 2),
        ("gffpn", 0, 2),
    ]
    assert [(gap.arm, gap.seed, gap.cause) for gap in facts.gaps] == [
        ("fpn", "1", "failed"),
        ("gffpn", "0", "interrupted"),
        ("gffpn", "1", "missing"),
    ]
    failed, interrupted, missing = facts.gaps
    assert failed.reason == "RuntimeError: the shapes | differ"
    assert failed.command == "python train.py neck=fpn seed=1"
    assert interrupted.reason == "interrupted after 3 of 5 epochs, unless it is still running"
    assert interrupted.command == "python train.py neck=gffpn seed=0"
    # no folder of its own yet, so only the sweep can record it
    assert missing.command == facts.command == "python train.py -m neck=fpn,gffpn seed=0,1"
    assert facts.gap("gffpn", "0") == interrupted
    assert facts.gap("fpn", "0") is None


def test_the_report_of_a_broken_sweep(
    broken: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = tmp_path / "report"
    verbs(["report", str(broken), "--out", str(out)])
    printed = capsys.readouterr().out
    assert "necks: 1 of 4 runs finished (1 failed, 1 interrupted, 1 missing)" in printed
    assert f"Report: {out}" in printed
    text = (out / "report.md").read_text()
    line = next(line for line in text.splitlines() if "the shapes" in line)
    assert [cell.strip() for cell in line.replace("\\|", "or").split("|")[1:-1]] == [
        "fpn",
        "1",
        "failed",
        "RuntimeError: the shapes or differ",
    ]
    assert "# fpn, seed 1\npython train.py neck=fpn seed=1\n" in text
    assert "All at once:\n\n```bash\npython train.py -m neck=fpn,gffpn seed=0,1\n```" in text
    rows = rows_of(out / "runs.csv")
    assert [row["status"] for row in rows] == ["finished", "failed", "interrupted", "missing"]
    assert rows[1]["fault"] == "RuntimeError: the shapes | differ"


def test_a_run_that_still_improves_is_named_in_the_text(tmp_path: Path) -> None:
    sweep = fake_sweep(tmp_path, skills={"fpn": 0.4}, seeds=(0, 1))
    folder = RunFolder(tmp_path / "fpn_plain_tinyindus_sim_s1")
    made = folder.read()
    assert made
    folder.finish(replace(made, training=replace(made.training, still_improving=True)))
    study, facts = answered(collect([sweep])[0])
    text = markdown([study], Facts((facts,)))
    assert re.search(r"\| fpn +\| 0 +\| finished +\|", text)
    assert re.search(r"\| fpn +\| 1 +\| finished, still improving +\|", text)
    assert "Still improving: val mAP50 rose by over 1 point in the last fifth of epochs: seed=1." in text


def test_a_diverged_run_is_a_result(broken: Path) -> None:
    (source,) = collect([broken])
    path = source.runs[1].path
    assert path is not None
    crash_text = (
        "Traceback (most recent call last):\n  f()\ngffpn.callbacks.finite.LossNotFiniteError: nan\nIn:"
    )
    RunFolder(path).traceback.write_text(crash_text)
    (source,) = collect([broken])
    _, facts = answered(source)
    assert (facts.gaps[0].cause, facts.gaps[0].command) == ("diverged", "")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Traceback (most recent call last):\n  x\nKeyError: 'a'\n", "KeyError: 'a'"),
        (
            "Traceback (most recent call last):\n  x\nA: 1\n\nDuring handling ...:\n\n"
            "Traceback (most recent call last):\n  y\nB: 2\nnote",
            "B: 2",
        ),
        ("killed\n", "killed"),
        ("", "unknown error"),
    ],
)
def test_the_line_of_a_traceback_that_names_the_error(text: str, line: str) -> None:
    assert error_line(text) == line


def test_commands_repeat_one_run_or_one_sweep() -> None:
    task = ["neck=fpn", "experiments=table6", "rerun=all", "name=mine"]
    assert run_command(task) == ["python", "train.py", "neck=fpn", "experiments=table6", "hydra.mode=RUN"]
    assert run_command(["seed=1", "name=mine"]) == ["python", "train.py", "seed=1", "name=mine"]
    given = ["neck=fpn,panet", "rerun=changed", "hydra.mode=MULTIRUN", "hydra/launcher=joblib"]
    assert sweep_command(given, ["--config-dir", "own"]) == [
        *("python", "train.py", "--config-dir", "own", "-m"),
        *("neck=fpn,panet", "hydra/launcher=joblib"),
    ]


def test_a_run_knows_its_own_command(tmp_path: Path) -> None:
    folder = fake_sweep(tmp_path, skills={"fpn": 0.5}, seeds=(0,))
    (source,) = collect([folder])
    assert source.runs[0].path is not None
    words = ["python", "train.py", "--config-dir", "my own", "neck=fpn"]
    RunFolder(source.runs[0].path).command.write_text(json.dumps(words))
    _, facts = answered(source)
    assert facts.runs[0].command == "python train.py --config-dir 'my own' neck=fpn"


def test_a_folder_of_runs_holds_sweeps_and_other_runs(tmp_path: Path) -> None:
    fake_sweep(tmp_path, "small", skills={"fpn": 0.4, "gffpn": 0.9})
    predicted_run(tmp_path, "bifpn", skill=0.7)
    predicted_run(tmp_path, "bifpn", skill=0.7, seed=1)
    predicted_run(tmp_path, "panet", skill=0.7, seed=1)
    predicted_run(tmp_path, "panet", skill=0.7, data="neu_det")
    sources = collect([tmp_path])
    assert [source.name for source in sources] == ["small", "runs on tinyindus_sim", "runs on neu_det"]
    study, facts = answered(sources[1])
    assert [(arm.name, len(arm.runs)) for arm in study.arms] == [("bifpn", 2), ("panet", 1)]
    assert [one.name for one in study.contrasts] == ["panet - bifpn"]
    assert facts.runs[0].command == ""
    assert collect([tmp_path / "sweeps"])[0].name == "small"
    # given together, a run of the sweep counts once
    run = sources[0].runs[0].path
    assert run is not None
    assert [source.name for source in collect([tmp_path / "sweeps" / "small", run])] == ["small"]


def test_a_run_counts_once_however_often_and_wherever_it_is_given(tmp_path: Path) -> None:
    run = predicted_run(tmp_path / "runs", "fpn", skill=0.5)
    other = predicted_run(tmp_path / "runs", "fpn", skill=0.5, seed=1)
    copy = tmp_path / "backup" / run.name
    shutil.copytree(run, copy)
    kill(run)  # the copy is finished, and therefore the one that counts
    link = tmp_path / "link"
    link.symlink_to(other)
    detour = tmp_path / "runs" / ".." / "runs"
    (source,) = collect([tmp_path / "runs", detour, detour / other.name, link, tmp_path / "backup"])
    assert [one.path for one in source.runs] == [copy, other]
    assert source.notes == (f"{run} is the same run as {copy} and does not count",)
    # as of two files of weights that were at one path
    weights = predicted_run(tmp_path / "other", "fpn", skill=0.6).rename(tmp_path / "fpn_0123456789")
    (source,) = collect([copy, weights])
    assert source.notes == (
        f"{copy} has the settings and the seed, but not the hash, of {weights} and does not count",
    )
    sweep = fake_sweep(tmp_path / "swept", skills={"fpn": 0.4}, seeds=(0,))
    assert len(collect([sweep, sweep / ".." / "necks"])) == 1


def test_studies_of_one_name_have_names_of_their_own(tmp_path: Path) -> None:
    for place, skill in (("a", 0.3), ("b", 0.6)):
        fake_sweep(tmp_path / place, skills={"fpn": skill}, seeds=(0,))
    paths = [str(tmp_path / place / "sweeps" / "necks") for place in ("a", "b")]
    assert [source.name for source in collect([Path(path) for path in paths])] == ["necks", "necks 2"]
    verbs(["report", *paths, "--out", str(tmp_path / "report")])
    arms = rows_of(tmp_path / "report" / "arms.csv")
    assert [(row["study"], row["arm"]) for row in arms] == [("necks", "fpn"), ("necks 2", "fpn")]
    assert numbered(["a", "a", "a 2", "a"]) == ["a", "a 2", "a 2 2", "a 3"]


def test_loose_runs_are_named_by_what_differs(tmp_path: Path) -> None:
    for width, seed in ((64, 0), (64, 1), (96, 0)):
        run = predicted_run(tmp_path / str(width), "fpn", skill=0.5, seed=seed)
        add_to_config(run, neck={"name": "fpn", "width": width, "zoom": f"for {width}"}, optim={"lr": 0.1})
    (source,) = collect([tmp_path / "64", tmp_path / "96"])
    # in the order of the folders' names, which end in the seed
    assert [run.overrides for run in source.runs] == [
        ("neck=fpn", "neck.width=64", "seed=0"),
        ("neck=fpn", "neck.width=96", "seed=0"),
        ("neck=fpn", "neck.width=64", "seed=1"),
    ]


def test_one_run_is_a_report_without_contrasts(tmp_path: Path) -> None:
    run = predicted_run(tmp_path, "gffpn", skill=0.5)
    (source,) = collect([run])
    study, _ = answered(source)
    assert [arm.name for arm in study.arms] == ["gffpn"]
    assert study.contrasts == ()
    verbs(["report", str(run), "--out", str(tmp_path / "report")])
    assert rows_of(tmp_path / "report" / "arms.csv")[0]["finished"] == "1"


def test_a_moved_folder_of_runs_is_still_read(tmp_path: Path) -> None:
    fake_sweep(tmp_path / "here", skills={"fpn": 0.4}, seeds=(0,))
    (tmp_path / "here").rename(tmp_path / "there")
    (source,) = collect([tmp_path / "there" / "sweeps" / "necks"])
    assert source.runs[0].status == "finished"


def test_a_job_that_is_planned_twice_counts_once(tmp_path: Path) -> None:
    folder = fake_sweep(tmp_path, skills={"fpn": 0.4}, seeds=(0,))
    run = Path(json.loads((folder / "jobs" / "0000.json").read_text())["run"])
    record_job(folder, 1, overrides=["neck=fpn", "seed=0"], run=run)
    assert len(collect([folder])[0].runs) == 1


def test_the_question_is_the_sweeps_and_else_that_of_its_runs(tmp_path: Path) -> None:
    folder = fake_sweep(tmp_path, skills={"fpn": 0.4, "panet": 0.5}, seeds=(0, 1))
    other = {**EXPERIMENT, "primary_endpoint": "test/mAP50_95", "contrasts": [["panet", "fpn"]]}
    run = RunFolder(Path(json.loads((folder / "jobs" / "0000.json").read_text())["run"]))
    run.config.write_text(yaml.safe_dump({**yaml.safe_load(run.config.read_text()), "experiment": other}))
    (source,) = collect([folder])
    assert source.question.primary_endpoint == "mAP50"
    assert source.notes[0].startswith("experiment.contrasts: [gffpn, fpn]: gffpn names no arm")
    assert source.notes[1].endswith("is among the runs, so arms are compared as without any")
    (folder / PLAN).unlink()
    (source,) = collect([folder])
    assert source.question.primary_endpoint == "mAP50_95"
    assert source.question.contrasts == (("panet", "fpn"),)
    assert (
        "started for different experiments; their question is that of fpn_plain_tinyindus_sim_s0, not"
        in (source.notes[0])
    )


def test_runs_that_were_chosen_by_their_results_are_no_evidence(tmp_path: Path) -> None:
    folder = fake_sweep(tmp_path, skills={"fpn": 0.4}, seeds=(0,))
    plan = read_plan(folder)
    assert plan is not None
    write_plan(folder, replace(plan, jobs=()))
    (source,) = collect([folder])
    assert "chose its runs by the results so far" in source.study().notes[0]


def test_runs_of_other_versions_are_named(tmp_path: Path) -> None:
    run = RunFolder(predicted_run(tmp_path, "fpn", skill=0.5))
    run.metrics.write_text(json.dumps({"version": 99}))
    assert unfinished(run)[0] == "other version"
    with pytest.raises(ValueError, match="got version 99, expected 2; a newer gffpn wrote it"):
        collect([tmp_path])
    predicted_run(tmp_path, "panet", skill=0.5)
    (source,) = collect([tmp_path])
    _, facts = answered(source)
    assert [gap.cause for gap in facts.gaps] == ["other version"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "nowhere: no such folder"),
        (["."], ".: holds no runs; expected the folder of a run, of a sweep, or of runs"),
        (["x.zip", "."], "got a bundle and other arguments"),
        (["x.zip"], "x.zip: no such file"),
    ],
)
def test_paths_without_runs_are_refused(
    words: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as leaving:
        verbs(["report", *words])
    assert leaving.value.code == 2
    assert message in capsys.readouterr().err


DEEP = pytest.param("[" * 2000 + "]" * 2000, id="deep")
OF_OTHERS = ("data: a.yaml", "trainer:", "trainer: [1]", "choice: a", "seed: [1]", "when: 2026-11-30")


@pytest.mark.parametrize("content", ["", "a: [", "word", "\x00", DEEP, *OF_OTHERS])
def test_a_run_with_a_damaged_configuration_is_a_gap(tmp_path: Path, content: str) -> None:
    sweep = fake_sweep(tmp_path / "swept", skills={"fpn": 0.4, "gffpn": 0.9}, seeds=(0, 1))
    for neck in ("panet", "bifpn"):
        for seed in (0, 1):
            predicted_run(tmp_path / "loose", neck, skill=0.5, seed=seed)
    finished = tmp_path / "loose" / "panet_plain_tinyindus_sim_s0"
    (never,) = (tmp_path / "loose" / name for name in ["afpn_plain_tinyindus_sim_s0"])
    never.mkdir()
    for run in (finished, never, tmp_path / "swept" / finished.name.replace("panet", "fpn")):
        RunFolder(run).config.write_text(content)
    for run in (finished, tmp_path / "swept" / finished.name.replace("panet", "fpn")):
        RunFolder(run).command.write_text('["python", "train.py", "neck=panet", "name=mine"]')
    swept, loose = (answered(source) for source in collect([sweep, tmp_path / "loose"]))
    assert [(arm.name, len(arm.finished), len(arm.runs)) for arm in swept[0].arms] == [
        ("fpn", 1, 2),
        ("gffpn", 2, 2),
    ]
    (gap,) = swept[1].gaps
    assert (gap.arm, gap.seed, gap.cause) == ("fpn", "0", "damaged")
    assert "config.yaml: damaged: " in gap.reason
    assert gap.command == "python train.py neck=panet rerun=all"  # the name is that of the sweep
    assert [(gap.arm, gap.seed, gap.cause, gap.command) for gap in loose[1].gaps] == [
        (never.name, "0", "damaged", ""),
        ("panet", "0", "damaged", "python train.py neck=panet name=mine rerun=all"),
    ]
    assert [arm.name for arm in loose[0].arms] == [never.name, "bifpn", "panet"]


def test_nothing_but_damaged_runs_is_a_report_of_gaps(tmp_path: Path) -> None:
    run = predicted_run(tmp_path, "fpn", skill=0.5)
    RunFolder(run).config.write_text("")
    (source,) = collect([tmp_path])
    assert [gap.cause for gap in answered(source)[1].gaps] == ["damaged"]


@pytest.mark.parametrize("name", [PLAN, "jobs/0000.json"])
@pytest.mark.parametrize(
    "content",
    [
        '{"command": [',
        DEEP,
        *("", "{}", "null", "[]", "3"),
        '{"overrides": null, "run": "", "fault": ""}',
        '{"overrides": [null], "run": "", "fault": ""}',
        '{"overrides": [], "run": null, "fault": ""}',
    ],
)
def test_damaged_records_of_a_sweep_are_named(tmp_path: Path, name: str, content: str) -> None:
    folder = fake_sweep(tmp_path, skills={"fpn": 0.4}, seeds=(0,))
    (folder / name).write_text(content)
    with pytest.raises(
        ValueError, match=rf"{name}: damaged: .*; repeating the sweep's command writes it again"
    ):
        collect([folder])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (PLAN, "{"),
        ("jobs/0000.json", "{"),
        (PLAN, '{"command": [], "jobs": [], "experiment": {"claim": "GF-FPN finds more."}}'),
        (PLAN, '{"command": [], "jobs": [], "experiment": {"primary_endpoint": "test/mAP50", "arms": 3}}'),
    ],
)
def test_a_damaged_sweep_does_not_keep_others_from_their_report(
    tmp_path: Path, name: str, content: str
) -> None:
    runs = tmp_path / "runs"
    whole = fake_sweep(runs, "whole", skills={"fpn": 0.4, "gffpn": 0.9})
    damaged = fake_sweep(runs, "damaged", skills={"fpn": 0.4, "panet": 0.45})
    (damaged / name).write_text(content)
    sources = collect([runs])
    assert [(source.name, len(source.runs)) for source in sources] == [
        ("whole", 6),
        ("runs on tinyindus_sim", 3),  # of panet, as the others are those of the whole sweep, too
    ]
    assert sources[1].notes[-1].startswith(f"the sweep damaged is left out: {damaged / name}: ")
    for run in sources[1].runs:
        assert run.path
        shutil.rmtree(run.path)
    (source,) = collect([runs])
    assert source.notes[-1].startswith("the sweep damaged is left out: ")
    shutil.rmtree(whole)
    for path in runs.glob("*/config.yaml"):
        shutil.rmtree(path.parent)
    with pytest.raises(ValueError, match="the sweep damaged is left out"):
        collect([runs])


def test_a_wrong_question_of_a_loose_run_is_noted(tmp_path: Path) -> None:
    run = predicted_run(tmp_path, "fpn", skill=0.5)
    add_to_config(run, experiment={"primary_endpoint": "test/mAP5"})
    (source,) = collect([tmp_path])
    (note,) = source.notes
    assert note.startswith(f"{run}/config.yaml: experiment.primary_endpoint: got test/mAP5, expected one of")


def test_csv_files_hold_every_figure(tmp_path: Path) -> None:
    folder = fake_sweep(tmp_path / "runs")
    verbs(["report", str(folder), "--out", str(tmp_path / "report")])
    (source,) = collect([folder])
    study = source.study()
    arms, contrasts = (rows_of(tmp_path / "report" / f"{name}.csv") for name in ("arms", "contrasts"))
    assert [row["arm"] for row in arms] == list(SKILLS)
    figures = study.arms[0].figures("mAP50")
    assert float(arms[0]["mAP50"]) == pytest.approx(sum(filter(None, figures)) / 3)
    assert (arms[0]["mAP50 n"], arms[0]["seeds"]) == ("3", "0 1 2")
    assert contrasts[0]["family"] == "primary"
    assert {row["family"] for row in contrasts[1:]} == {"exploratory"}
    assert {"mAP50_95", "AP_16_32", "AP50/pock"} <= {row["endpoint"] for row in contrasts}
    (one,) = study.contrasts
    assert one.estimate is not None
    assert float(contrasts[0]["delta"]) == pytest.approx(one.estimate.delta)
    assert contrasts[0]["verdict"] == "better"
    runs = rows_of(tmp_path / "report" / "runs.csv")
    assert len(runs) == 9
    assert runs[0]["command"] == "python train.py neck=fpn seed=0"
    assert float(runs[0]["test/mAP50"]) == figures[0]


def test_latex_escapes_all_that_has_a_meaning(tmp_path: Path) -> None:
    assert escaped("50 % & a_b\u00b11 < \\x") == r"50 \% \& a\_b$\pm$1 \textless{} \textbackslash{}x"
    assert escaped("[3] *") == "{[}3{]} {*}"
    folder = fake_sweep(tmp_path / "runs", "sweep_1", skills={"fpn": 0.4, "gffpn": 0.9})
    verbs(["report", str(folder), "--out", str(tmp_path / "report")])
    text = (tmp_path / "report" / "report.tex").read_text()
    assert r"\caption{sweep\_1: arms." in text
    assert text.count(r"\toprule") == text.count(r"\bottomrule") == 2
    columns = {line.count(" & ") for line in text.splitlines() if line.endswith(r"\\")}
    assert len(columns) == 2
    bare = [line for line in text.splitlines()[1:] if any(ord(character) > 127 for character in line)]
    assert not bare


def test_no_row_of_a_latex_table_begins_with_an_argument_of_the_one_before(tmp_path: Path) -> None:
    runs = [
        Run((f"data.roots={name}", f"seed={seed}"), "finished", path, RunFolder(path).read())
        for name in ("[a,b]", "*c")
        for seed in (0, 1)
        for path in [predicted_run(tmp_path, "fpn", skill=0.5, seed=seed)]
    ]
    text = latex([study("lists", runs, Question())])
    assert "{[}a,b{]} & 2" in text
    assert not re.search(r"\\\\\s*[\[*]", text)


def test_a_cell_of_a_markdown_table_may_hold_any_text(tmp_path: Path) -> None:
    assert markdown_table(["a|b", "c"], [["1\n2", "x | y"]]) == (
        "| a\\|b | c      |\n| ---- | ------ |\n| 1 2  | x \\| y |"
    )
    runs = [
        Run((f"name={name}", f"seed={seed}"), "finished", path, RunFolder(path).read())
        for name in ("a|b", "c")
        for seed in (0, 1)
        for path in [predicted_run(tmp_path, "fpn", skill=0.5, seed=seed)]
    ]
    lines = answer_markdown(study("bars", runs, Question())).splitlines()
    tables = [line.replace("\\|", "").count("|") for line in lines if line.startswith("|")]
    assert len(tables) == 7
    assert len(set(tables)) == 2


def test_the_whole_report_needs_no_torch(tmp_path: Path) -> None:
    folder = fake_sweep(tmp_path / "runs", skills={"fpn": 0.4, "gffpn": 0.9}, seeds=(0, 1))
    code = (
        "import sys\nfrom gffpn.__main__ import main\n"
        f"main(['report', {str(folder)!r}, '--out', {str(tmp_path / 'report')!r}])\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
    assert "python train.py neck=gffpn seed=1" in (tmp_path / "report" / "report.html").read_text()
    for kind in ("svg", "pdf"):
        assert (tmp_path / "report" / "figures" / "necks" / f"forest.{kind}").stat().st_size > 1000


@pytest.mark.slow
def test_the_commands_of_a_report_fill_its_gaps(
    tiny: list[str], tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first run crashes and the second is killed; each is then repeated alone."""
    from gffpn.suite.fit import fit_and_test

    count = iter(range(2))

    def fails_once(*arguments: object, **named: object) -> object:
        if next(count) == 0:
            raise RuntimeError("out of luck")
        return fit_and_test(*arguments, **named)

    monkeypatch.setattr("gffpn.suite.execution.fit_and_test", fails_once)
    folder = tmp_path / "runs" / "sweeps" / "mine"
    words = [*tiny, "neck=fpn", "trainer.max_epochs=1", "logger.pictures=0"]
    own = tmp_path / "own"
    own.mkdir()
    code, _ = train("--config-dir", str(own), "-m", *words, "seed=0,1", "name=mine", "rerun=all")
    assert code == 1
    monkeypatch.setattr("gffpn.suite.execution.fit_and_test", fit_and_test)
    (source,) = collect([folder])
    assert source.runs[1].path is not None
    known = RunFolder(source.runs[1].path).read_command()
    assert known[:4] == ["python", "train.py", "--config-dir", str(own)]
    assert {"seed=1", "neck=fpn", "trainer.max_epochs=1"} <= set(known)
    assert "rerun=all" not in known
    kill(source.runs[1].path)
    plan = read_plan(folder)
    assert plan is not None
    assert len(plan.jobs) == 2
    assert plan.experiment["primary_endpoint"] == "test/mAP50"
    (source,) = collect([folder])
    _, facts = answered(source)
    assert [gap.cause for gap in facts.gaps] == ["failed", "interrupted"]
    assert facts.gaps[0].reason == "RuntimeError: out of luck"
    for gap in facts.gaps:
        assert train(*shlex.split(gap.command)[2:])[0] == 0
    (source,) = collect([folder])
    assert answered(source)[1].gaps == ()
    assert facts.command.startswith(f"python train.py --config-dir {own} -m ")
    code, printed = train(*shlex.split(facts.command)[2:])
    assert (code, printed.count("Already finished, skipped")) == (0, 2)


def test_text_alone_is_small_and_links_its_figures(tmp_path: Path) -> None:
    fake_sweep(tmp_path / "runs", "first")
    fake_sweep(tmp_path / "runs", "second", skills={"fpn": 0.4, "panet": 0.7})
    out = tmp_path / "text"
    verbs(["report", str(tmp_path / "runs"), "--text", "--out", str(out)])
    assert {path.suffix for path in out.iterdir()} == {".md", ".csv", ".svg"}
    assert sum(path.stat().st_size for path in out.iterdir()) < 300_000
    text = (out / "report.md").read_text()
    images = re.findall(r"!\[.+?\]\((.+?)\)", text)
    assert {path.name for path in out.glob("*.svg")} == set(images)
    assert "first_forest.svg" in images
    assert "python train.py -m neck=fpn,panet seed=0,1,2" in text
    assert "python train.py neck=fpn seed=0" not in text
    assert {row["command"] for row in rows_of(out / "runs.csv")} >= {"python train.py neck=fpn seed=0"}
    assert "9 runs, 1.9 hours of training and validation on a processor, summed over the runs." in text
    assert text.count("python train.py -m neck=fpn,panet seed=0,1,2") == 1
    assert "not run" not in text  # claims that these studies do not test
    assert "| reproduced" in text


def test_a_look_that_was_not_declared_is_noted(tmp_path: Path) -> None:
    runs, skills = tmp_path / "runs", {"fpn": 0.4, "gffpn": 0.9}
    early = fake_sweep(runs, "early", skills=skills, seeds=(0, 1))
    fake_sweep(runs, "subset", skills={"fpn": 0.4}, seeds=(0, 1))  # which has no verdict
    late = fake_sweep(runs, "late", skills={**skills, "panet": 0.5})
    fake_sweep(runs, "damaged", skills=skills, seeds=(0, 1))
    (runs / "sweeps" / "damaged" / "jobs" / "0000.json").write_text("{")

    def notes(folder: Path) -> list[str]:
        return [note for note in answered(*collect([folder]))[0].notes if "look" in note]

    (note,) = notes(late)
    assert note.startswith("the sweep early has verdicts on 2 of these seeds; with another look that")
    assert notes(early) == []
    plan = read_plan(late)
    assert plan
    write_plan(late, replace(plan, experiment={**EXPERIMENT, "looks": [2, 3]}))
    assert notes(late) == []


def test_a_sweep_that_was_extended_had_a_look(tmp_path: Path) -> None:
    runs, skills = tmp_path / "runs", {"fpn": 0.4, "gffpn": 0.9}
    folder = runs / "sweeps" / "necks"

    def noted(*seeds: int, unfinished: int = 0, looks: Sequence[int] = ()) -> list[str]:
        """Start a command and return the notes of its report; the last runs of each arm do not finish."""
        earlier = earlier_commands(folder)
        shutil.rmtree(folder / "jobs", ignore_errors=True)
        fake_sweep(runs, skills=skills, seeds=seeds, experiment={**EXPERIMENT, "looks": looks})
        plan = read_plan(folder)
        assert plan
        write_plan(folder, replace(plan, earlier=earlier))
        (source,) = collect([folder])
        for run in source.runs:
            if run.path and int(run.seed) in seeds[len(seeds) - unfinished :]:
                kill(run.path)
        return [re.split(" before| until", note)[0] for note in source.notes if "look" in note]

    assert noted(0, 1, unfinished=2) == []
    assert noted(0, 1, 2, unfinished=1) == []  # extended before any run had finished
    assert noted(0, 1, 2) == []  # resumed
    assert noted(0, 1) == []
    had = "the sweep necks had verdicts on {} of these seeds"
    assert noted(0, 1, 2, 3, unfinished=4) == [had.format(3), had.format(2)]
    assert noted(0, 1, 2, 3) == [had.format(3), had.format(2)]
    assert noted(0, 1, 2, 3, looks=(2, 4)) == [had.format(3), "the sweep necks had verdicts for looks=[]"]
    assert [len(one.runs) for one in earlier_commands(folder)] == [6, 4, 8, 8]


def test_a_question_that_was_changed_after_its_verdicts_is_noted(tmp_path: Path) -> None:
    runs, skills = tmp_path / "runs", {"fpn": 0.4, "gffpn": 0.9}
    folder = runs / "sweeps" / "necks"

    def noted(*seeds: int, **asked: object) -> list[str]:
        """Start a command and return the notes of its report."""
        earlier = earlier_commands(folder)
        plan = read_plan(fake_sweep(runs, skills=skills, seeds=seeds, experiment={**EXPERIMENT, **asked}))
        assert plan
        write_plan(folder, replace(plan, earlier=earlier))
        return [note.partition(" until 20")[0] for note in collect([folder])[0].notes]

    assert noted(0) == []
    assert noted(0, margin=0.02) == []  # one seed had no verdict
    assert noted(0, 1, margin=0.02, looks=[2]) == []
    assert noted(0, 1, margin=0.02, looks=[2], claim="others", command="others") == []
    had = "the sweep necks had verdicts for"
    assert noted(0, 1, margin=0.03, looks=[2]) == [f"{had} margin=0.02"]
    assert noted(0, 1, primary_endpoint="test/AP_8_16", margin=0.03, looks=[2]) == [
        f'{had} primary_endpoint="test/mAP50", margin=0.02',
        f'{had} primary_endpoint="test/mAP50"',
    ]


def test_sweeps_that_ask_the_same_of_the_same_runs_are_shown_once(tmp_path: Path) -> None:
    runs, skills = tmp_path / "runs", {"fpn": 0.4, "gffpn": 0.9}
    folders = [fake_sweep(runs, name, skills=skills) for name in ("one", "two")]
    shutil.copytree(runs, tmp_path / "copy")
    copy = tmp_path / "copy/sweeps/one"
    for (first, second), named in (
        (folders, "the sweep two"),
        (folders[::-1], "the sweep one"),
        ((folders[0], copy), str(copy)),
    ):
        (source,) = collect([first, second])
        assert source.folder == first
        assert source.notes == (f"{named} asks the same of the same runs, and is left out",)
    (source,) = collect([runs, tmp_path / "copy"])
    assert len(source.notes) == 3
    assert len(collect([runs], alone=runs)) == 2  # a bundle stores the verdicts of both
    fake_sweep(runs, "two", skills=skills, experiment={**EXPERIMENT, "margin": 0.02})
    one, two = collect(folders)
    assert one.notes == ()
    turned = fake_sweep(runs, "turned", skills=dict(reversed(skills.items())))
    assert len(collect([folders[0], turned])) == 1
    assert two.notes == ("the sweep one asks something else of these runs; each may err in 5 %",)


def test_a_damaged_log_is_left_out_of_the_curves_and_named(tmp_path: Path) -> None:
    (source,) = collect([fake_sweep(tmp_path / "runs", skills={"fpn": 0.4, "gffpn": 0.9})])
    path = source.runs[0].path
    assert path
    log = path / "logs/attempt_0/metrics.csv"
    log.write_text(log.read_text().replace("\n0,", "\nx,", 1))
    analyses = read_analyses(source.study())
    assert [len(runs) for runs in analyses.logged.values()] == [2, 3]
    (note,) = analyses.notes
    assert note.startswith(f"{log}: damaged: row 1: ")
