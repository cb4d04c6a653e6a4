"""Does a bundle carry all that verdicts follow from, and is a changed or unsafe one refused?"""

import errno
import hashlib
import json
import re
import shutil
import stat
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fake_runs import predicted_run
from fake_sweeps import SKILLS, add_to_config, crash, fake_sweep
from gffpn.__main__ import main as verbs
from gffpn.report.bundle import members, open_bundle, write_bundle
from gffpn.report.collect import collect
from gffpn.runs.folder import RunFolder
from gffpn.runs.sweeps import folder_of_run

Change = Callable[[dict[str, bytes]], None]


@pytest.fixture(scope="module", autouse=True)
def without_page() -> Iterator[None]:
    """Leave out the page and the figures, which take seconds; tests/test_report_page.py has them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gffpn.report.write.write_page", lambda *_, **__: None)
        yield


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the report and the bundle of a sweep with a failed run, and of another run."""
    folder = tmp_path_factory.mktemp("written")
    sweep = fake_sweep(folder / "runs", skills={"fpn": 0.4, "gffpn": 0.9})
    run = json.loads((sweep / "jobs" / "0001.json").read_text())["run"]
    crash(Path(run))
    predicted_run(folder / "runs", "panet", skill=0.5)
    verbs(
        ["report", str(folder / "runs"), "--out", str(folder / "report"), "--bundle", str(folder / "all.zip")]
    )
    return folder


@pytest.fixture
def bundle(written: Path, tmp_path: Path) -> Path:
    """Return a copy of the bundle in a folder of its own, without the runs."""
    return Path(shutil.copy(written / "all.zip", tmp_path))


def test_every_verdict_follows_from_the_bundle_alone(
    bundle: Path, written: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with zipfile.ZipFile(bundle) as archive:
        jobs = [json.loads(archive.read(name)) for name in archive.namelist() if "/jobs/" in name]
    assert [job["run"] for job in jobs if "/" in job["run"]] == []  # no path of the machine
    first = (written / "report" / "contrasts.csv").read_text()
    capsys.readouterr()
    verbs(["report", str(bundle), "--out", str(tmp_path / "again")])
    printed = capsys.readouterr().out
    assert "figures of 6 runs follow from the predictions." in printed
    assert "1 of 1 verdicts follow from the predictions." in printed
    assert "necks: 5 of 6 runs finished (1 failed)" in printed
    assert "gffpn is better than fpn" in printed
    assert (tmp_path / "again" / "contrasts.csv").read_text() == first
    assert "verdicts follow from" in (tmp_path / "again" / "report.md").read_text()
    assert "RuntimeError: the shapes" in (tmp_path / "again" / "report.md").read_text()


def changed(bundle: Path, change: Change) -> Path:
    """Return a copy of a bundle whose contents were changed."""
    with zipfile.ZipFile(bundle) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    change(contents)
    path = bundle.with_name("changed.zip")
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return path


def edited(name: str, edit: Callable[[dict[str, Any]], None]) -> Change:
    def change(contents: dict[str, bytes]) -> None:
        value = json.loads(contents[name])
        edit(value)
        contents[name] = json.dumps(value).encode()

    return change


RUN = "fpn_plain_tinyindus_sim_s0"
METRICS = f"{RUN}/metrics.json"
PREDICTIONS = f"{RUN}/predictions.npz"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda files: files.update({METRICS: files[METRICS] + b" "}), f"{METRICS} is larger than"),
        (lambda files: files.update({METRICS: b"0" * len(files[METRICS])}), f"{METRICS} is not what the"),
        (lambda files: files.pop(PREDICTIONS), f"{PREDICTIONS} is missing"),
        (lambda files: files.update({"more.txt": b"x"}), "more.txt is not in the manifest"),
        (lambda files: files.pop("manifest.json"), "holds no manifest.json"),
        (lambda files: files.update({"manifest.json": b"[" * 2000}), "manifest.json: nested too deeply"),
        (edited("manifest.json", lambda one: one.update(format=2)), "got format 2, expected 1"),
        (edited("manifest.json", lambda one: one.pop("files")), "manifest.json: files: missing"),
        (
            edited("manifest.json", lambda one: one["files"][METRICS].update(bytes=1 << 40)),
            "unpacks to .* bytes",
        ),
    ],
)
def test_a_changed_bundle_is_refused(bundle: Path, change: Change, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        open_bundle(changed(bundle, change), tmp_path / "open")


def test_a_verdict_that_was_taken_out_is_missed(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = changed(bundle, edited("manifest.json", lambda one: one["verdicts"].clear()))
    with pytest.raises(SystemExit) as leaving:
        verbs(["report", str(path), "--out", str(tmp_path / "again")])
    assert leaving.value.code == 1
    printed = capsys.readouterr().out
    assert "0 of 0 verdicts follow from the predictions." in printed
    assert "necks: gffpn - fpn: stored is nothing, computed is better (+0." in printed


@pytest.mark.parametrize("name", ["../out.txt", "/out.txt", "a/../../out.txt", "c:out.txt", "a\\..\\out.txt"])
def test_no_file_leaves_the_folder(bundle: Path, name: str, tmp_path: Path) -> None:
    def change(contents: dict[str, bytes]) -> None:
        contents[name] = b"x"
        edited("manifest.json", lambda one: one["files"].update({name: {"sha256": "0", "bytes": 1}}))(
            contents
        )

    with pytest.raises(ValueError, match="expected a plain file inside the bundle"):
        open_bundle(changed(bundle, change), tmp_path / "open")
    assert not (tmp_path / "open").exists()


def test_a_link_is_refused(bundle: Path, tmp_path: Path) -> None:
    path = changed(bundle, lambda files: None)
    with zipfile.ZipFile(bundle) as source, zipfile.ZipFile(path, "w") as archive:
        for entry in source.infolist():
            content = source.read(entry)
            if entry.filename == METRICS:
                entry.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(entry, content)
    with pytest.raises(ValueError, match=f"{METRICS}.*expected a plain file"):
        open_bundle(path, tmp_path / "open")


def test_a_bundle_that_could_not_be_opened_is_not_written(
    written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = collect([written / "runs"])
    files = {name: file for source in sources for name, file in members(source)}
    total = sum(file.stat().st_size for file in files.values())
    monkeypatch.setattr("gffpn.report.bundle.LARGEST", total)
    assert write_bundle(tmp_path / "x.zip", sources, []) == len(files)
    open_bundle(tmp_path / "x.zip", tmp_path / "open")
    for name, limit in (("LARGEST", total - 1), ("MOST_FILES", len(files))):
        with monkeypatch.context() as patch:
            patch.setattr(f"gffpn.report.bundle.{name}", limit)
            patch.setattr(Path, "read_bytes", lambda _: pytest.fail("read before the check"))
            with pytest.raises(ValueError, match=f"would hold {total} bytes in {len(files)} files"):
                write_bundle(tmp_path / "y.zip", sources, [])
    assert not (tmp_path / "y.zip").exists()


def test_a_bundle_holds_one_file_in_memory_at_a_time(tmp_path: Path) -> None:
    for seed in range(8):
        run = predicted_run(tmp_path / "runs", "fpn", skill=0.5, seed=seed)
        with RunFolder(run).predictions.open("ab") as file:
            file.write(bytes(4 << 20))
    sources = collect([tmp_path / "runs"])
    tracemalloc.start()
    write_bundle(tmp_path / "x.zip", sources, [])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 12 << 20


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_text("no archive")
    with pytest.raises(ValueError, match=r"x\.zip: damaged"):
        open_bundle(tmp_path / "x.zip", tmp_path / "open")


def test_a_full_disk_is_no_damage_of_a_bundle(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ValueError, match=r"all\.zip: no space is left to unpack it in .*; TMPDIR=FOLDER"):
        open_bundle(bundle, tmp_path / "opened")


def test_a_wrong_verdict_shows(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = changed(
        bundle, edited("manifest.json", lambda one: one["verdicts"][0].update(word="same", delta=0.0))
    )
    with pytest.raises(SystemExit) as leaving:
        verbs(["report", str(path), "--out", str(tmp_path / "again")])
    printed = capsys.readouterr().out
    assert leaving.value.code == 1
    assert "0 of 1 verdicts follow from the predictions." in printed
    assert "necks: gffpn - fpn: stored is same (+0.000000" in printed


def test_the_order_in_which_runs_are_given_does_not_matter(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    necks = [("panet", "z"), ("fpn", "b"), ("gffpn", "a")]
    runs = [
        predicted_run(tmp_path / where, neck, skill=SKILLS[neck], seed=seed)
        for neck, where in necks
        for seed in (0, 1)
    ]
    path = tmp_path / "one.zip"
    verbs(["report", *map(str, runs), "--out", str(tmp_path / "report"), "--bundle", str(path)])
    verbs(["report", str(path), "--out", str(tmp_path / "again")])
    assert "2 of 2 verdicts follow from the predictions." in capsys.readouterr().out


@pytest.mark.parametrize("where", ["sweeps/necks/", "", "necks/"])
def test_a_bundle_takes_no_run_from_elsewhere(
    where: str,
    bundle: Path,
    written: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One run is not in the bundle, but in the reader's working directory, to which its record leads."""
    monkeypatch.chdir(tmp_path)
    for place in (tmp_path, tmp_path / "temporary"):  # the bundle is unpacked in the second one
        shutil.copytree(written / "runs" / RUN, place / RUN)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))

    def change(contents: dict[str, bytes]) -> None:
        manifest = json.loads(contents["manifest.json"])
        for name in list(contents):
            if name.startswith(f"{RUN}/"):
                del contents[name], manifest["files"][name]
            if name.startswith("sweeps/necks/"):
                content = contents.pop(name).replace(str(written / "runs" / RUN).encode(), RUN.encode())
                del manifest["files"][name]
                moved = name.replace("sweeps/necks/", where)
                contents[moved] = content
                stored = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
                manifest["files"][moved] = stored
        contents["manifest.json"] = json.dumps(manifest).encode()

    with pytest.raises(SystemExit):
        verbs(["report", str(changed(bundle, change)), "--out", str(tmp_path / "again")])
    assert "4 of 6 runs finished (1 missing, 1 failed)" in capsys.readouterr().out


def test_a_sweep_may_lie_anywhere(tmp_path: Path) -> None:
    assert folder_of_run(Path("/sweep"), "/nowhere/fpn") == Path("/nowhere/fpn")
    assert folder_of_run(tmp_path, "") is None
    assert folder_of_run(tmp_path, "..", alone=tmp_path) is None


def test_a_wrong_figure_shows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The predictions are those of another run."""
    run = predicted_run(tmp_path / "runs", "fpn", skill=0.4)
    other = predicted_run(tmp_path / "other", "fpn", skill=0.7)
    RunFolder(run).predictions.write_bytes(RunFolder(other).predictions.read_bytes())
    path = tmp_path / "one.zip"
    verbs(["report", str(run), "--out", str(tmp_path / "report"), "--bundle", str(path)])
    capsys.readouterr()
    with pytest.raises(SystemExit) as leaving:
        verbs(["report", str(path), "--out", str(tmp_path / "report")])
    assert leaving.value.code == 1
    assert f"{RUN}: test.mAP50: metrics.json has" in capsys.readouterr().out


def test_a_run_without_predictions_shows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = predicted_run(tmp_path / "runs", "fpn", skill=0.4)
    RunFolder(run).predictions.unlink()
    path = tmp_path / "one.zip"
    verbs(["report", str(run), "--out", str(tmp_path / "report"), "--bundle", str(path)])
    capsys.readouterr()
    with pytest.raises(SystemExit) as leaving:
        verbs(["report", str(path), "--out", str(tmp_path / "report")])
    assert leaving.value.code == 1
    printed = capsys.readouterr().out
    assert "0 of 0 figures of 1 runs follow from the predictions." in printed
    assert f"{RUN}/predictions.npz: missing" in printed


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--bundle", "/proc/x.zip"], "/proc: cannot be written to .*; --bundle FILE.zip chooses another"),
        (["--bundle", "file/x.zip"], "file: cannot be written to .*; --bundle FILE.zip chooses another"),
        (["--bundle", "folder.zip"], "got folder.zip, a folder, expected the name of a file"),
        (["--bundle", "mine"], "got mine, expected a name that ends in .zip"),
        (["--bundle", "mine.ZIP"], "got mine.ZIP, expected a name that ends in .zip"),
        (["--out", "/proc/x"], "cannot be written to .*; --out FOLDER chooses another"),
        (["--out", "file"], "file: cannot be written to .*; --out FOLDER chooses another"),
    ],
)
def test_an_output_that_cannot_be_written_is_refused_before_the_work(
    words: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "folder.zip").mkdir()
    monkeypatch.setattr("gffpn.verbs.report._report", lambda *_: pytest.fail("too late"))
    with pytest.raises(SystemExit) as leaving:
        verbs(["report", "runs", *words])
    assert leaving.value.code == 2
    assert re.search(message, capsys.readouterr().err)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.zip"]


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = predicted_run(tmp_path / "runs", "fpn", skill=0.5)
    (tmp_path / "report" / "report.md").mkdir(parents=True)
    with pytest.raises(SystemExit) as leaving:
        verbs(["report", str(run), "--out", str(tmp_path / "report")])
    assert leaving.value.code == 4
    assert "report.md" in capsys.readouterr().err


def test_a_report_into_a_closed_pipe_ends_as_other_commands_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    run = predicted_run(tmp_path / "runs", "fpn", skill=0.5)

    def print_to_nobody(*_: object) -> None:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr("gffpn.verbs.report._report", print_to_nobody)
    monkeypatch.setattr("os.dup2", lambda *_: None)  # pytest keeps its own
    with pytest.raises(SystemExit) as leaving:
        verbs(["report", str(run), "--out", str(tmp_path / "report")])
    assert leaving.value.code == 141
    assert capfd.readouterr().err == ""


def test_a_bundle_keeps_that_another_sweep_had_verdicts(tmp_path: Path) -> None:
    skills = {"fpn": 0.4, "gffpn": 0.9}
    early = fake_sweep(tmp_path / "runs", "early", skills=skills, seeds=(0, 1))
    late = fake_sweep(tmp_path / "runs", "late", skills=skills)
    (early / "jobs" / "._0000.json").write_bytes(b"\0")  # as macOS adds to copies
    for number, given in enumerate(([late], [early, late])):
        sources = collect(given)
        write_bundle(tmp_path / f"{number}.zip", sources, [source.study() for source in sources])
        open_bundle(tmp_path / f"{number}.zip", tmp_path / str(number))
        alone = tmp_path / str(number)
        notes = [note for source in collect([alone], alone=alone) for note in source.notes]
        assert notes == list(sources[-1].notes)
        assert notes[0].startswith("the sweep early has verdicts on 2 of these seeds; ")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("mine.zip", "--bundle: mine.zip exists and is no bundle; remove it, or choose another name"),
        ("docs/report.md", "--out: docs/report.md is no file of a report and would be replaced; choose"),
        ("docs/runs.csv", "--out: docs/runs.csv is no file of a report and would be replaced; choose"),
        ("docs/report.tex", "--out: docs/report.tex is no file of a report and would be replaced; choose"),
        ("docs/report.html", "--out: docs/report.html is no file of a report and would be replaced; choose"),
    ],
)
def test_a_file_of_someone_else_is_not_replaced(
    name: str,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    predicted_run(Path("runs"), "fpn", skill=0.5)
    command = ["report", "--out", "docs", "--bundle", "mine.zip"]
    for _ in range(2):
        verbs(command)
    with zipfile.ZipFile("mine.zip", "w") as archive:
        archive.writestr("manifest.json", "{}")
    if name != "mine.zip":
        Path("mine.zip").unlink()
        Path(name).write_text("# My report")
    with pytest.raises(SystemExit):
        verbs(command)
    assert words in capsys.readouterr().err


def test_two_runs_of_one_name_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [predicted_run(tmp_path / where, "fpn", skill=0.5) for where in ("a", "b")]
    add_to_config(runs[1], optim={"lr": 0.1})
    with pytest.raises(SystemExit):
        verbs(["report", *map(str, runs), "--out", str(tmp_path / "r"), "--bundle", str(tmp_path / "x.zip")])
    assert f"two runs or sweeps are named {RUN}" in capsys.readouterr().err
