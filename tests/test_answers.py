"""Are the answers in the README those of the studies in experiments/results/?"""

import csv
import re
from pathlib import Path

import pytest

from benchmarks import choosing
from benchmarks.answers import (
    QUESTIONS,
    RESULTS,
    ROOT,
    Contrast,
    all_contrasts,
    answered,
    block,
    studies,
    table,
)
from gffpn.config.compose import compose_config


def test_the_readme_shows_the_answers_of_the_studies() -> None:
    (shown,) = block("answers").findall((ROOT / "README.md").read_text())
    assert shown.strip() == table(answered(studies()))
    assert all_contrasts(studies()) in (RESULTS / "README.md").read_text()


def test_the_page_on_choosing_has_the_figures_of_the_studies() -> None:
    (shown,) = block("necks").findall((ROOT / "docs" / "choosing.md").read_text())
    assert shown.strip() == choosing.table(RESULTS)
    necks = re.findall(r"^\| `(\w+)`", shown, re.MULTILINE)
    assert sorted(necks) == sorted(path.stem for path in (ROOT / "conf" / "neck").glob("*.yaml"))


def test_every_result_is_listed() -> None:
    page = (RESULTS / "README.md").read_text()
    links = set(re.findall(r"\]\(([^.)/]+)", page))
    assert links == {path.name.partition(".")[0] for path in RESULTS.iterdir() if path.name != "README.md"}


def test_every_question_is_a_declared_contrast() -> None:
    declared = {
        (*pair, name)
        for name in ("ladder", "ladder_small", "table6", "plain_necks")
        for pair in compose_config([f"experiments={name}"]).experiment.contrasts
    }
    for text, of_sets in QUESTIONS.items():
        # the ladder on nuclei has fewer arms, and then a study with more seeds goes first
        for study, *pair in (asked[0] for asked in of_sets.values()):
            assert (*pair, study.removesuffix("_nuclei")) in declared, text


def test_simulated_data_are_named_wherever_a_study_is_listed() -> None:
    lines = (RESULTS / "README.md").read_text().splitlines()
    listed = [line for line in lines if "/report.md)" in line]
    assert {"SIMULATED" in line for line in listed} == {True, False}
    for line in listed:
        (study,) = re.findall(r"\]\((\w+)/report\.md\)", line)
        with (RESULTS / study / "runs.csv").open(newline="") as file:
            simulated = any(run["simulated"] == "True" for run in csv.DictReader(file))
        assert ("SIMULATED data" in line) == simulated, line


@pytest.mark.parametrize(
    ("verdict", "cell"),
    [
        ("better", "**better**: +1.2 (0.4 to 2.0), 3 seeds"),
        ("cannot tell", "cannot tell: +1.2 (0.4 to 2.0), 3 seeds"),
    ],
)
def test_a_cell_by_hand(verdict: str, cell: str) -> None:
    one = Contrast(("gffpn", "fpn"), True, 0.012, 0.004, 0.02, verdict, 0.013, (3, 4))
    lines = table(answered({"ladder_nuclei": [one]})).splitlines()
    assert cell in lines[2]
    assert "no verdict yet" in lines[3]
    assert lines[-1].split("|")[2].strip() == "1.3"


def test_studies_without_an_estimate_have_no_answer(tmp_path: Path) -> None:
    (tmp_path / "ladder_nuclei").mkdir()
    for columns in ("family,a,b,low\nprimary,gffpn,fpn,\n", "family,a,b\nprimary,gffpn,fpn\n"):
        (tmp_path / "ladder_nuclei" / "contrasts.csv").write_text(columns)
        assert studies(tmp_path) == {"ladder_nuclei": []}
