"""Are the commands in the README and in docs/ valid, and do the figures there match the code?"""

import re
import shlex
from pathlib import Path

import pytest

from gffpn.__main__ import parser
from gffpn.build.detector import build_detector
from gffpn.config.compose import compose_config
from gffpn.cost import count_parameters
from gffpn.verbs.data import overrides_of

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PAGES = {
    "README.md": README,
    **{str(p.relative_to(ROOT)): p.read_text() for p in [*ROOT.glob("docs/*.md"), ROOT / "CONTRIBUTING.md"]},
}
LINES = [
    shlex.split(line, comments=True)
    for page in PAGES.values()
    for block in re.findall(r"```bash\n(.*?)```", page, re.DOTALL)
    for line in block.splitlines()
    if line.strip()
]


def cases(start: list[str]) -> list:
    return [
        pytest.param(line[len(start) :], id=" ".join(line)) for line in LINES if line[: len(start)] == start
    ]


def first_of(override: str) -> str:
    key, _, value = override.partition("=")
    return f"{key}={value if value.startswith('[') else value.split(',')[0]}"


@pytest.mark.parametrize("words", cases([".venv/bin/python", "train.py"]))
def test_every_training_command_composes(words: list[str]) -> None:
    # a sweep (-m) is composed at its first values; the network is built, but not trained
    overrides = [word for word in words if word != "-m"]
    config = compose_config([first_of(override) for override in overrides])
    build_detector(config, 3)


@pytest.mark.parametrize("words", cases([".venv/bin/python", "-m", "gffpn"]))
def test_every_verb_parses(words: list[str]) -> None:
    arguments = parser().parse_args(words)
    overrides = vars(arguments).get("overrides", [])  # verbs of finished runs take none
    overrides = [word for word in overrides if not word.startswith(("to=", "by="))]
    first = first_of if words[0] == "plan" else str  # a sweep is composed at its first values
    compose_config(overrides_of([first(word) for word in overrides]))


def test_every_make_target_exists() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    asked = set(re.findall(r"`?make ([a-z0-9-]+)", README))
    assert {"demo", "test"} <= asked <= targets


@pytest.mark.parametrize("page", PAGES)
def test_every_named_file_exists(page: str) -> None:
    linked = re.findall(r"\]\((?!http)([^)]+)\)", PAGES[page])
    named = re.findall(r"`(?:python )?((?:src|conf|experiments|tests)/[\w/.-]+\.\w+)", PAGES[page])
    assert not [name for name in linked if not (ROOT / page).parent.joinpath(name.partition("#")[0]).exists()]
    assert not [name for name in named if "mine" not in name and not (ROOT / name).exists()]


def test_the_demo_table_is_the_measured_one() -> None:
    (shown,) = re.findall(r"<!-- demo table -->\n(.*?)<!-- end of demo table -->", README, re.DOTALL)
    measured = (ROOT / "experiments" / "results" / "demo.md").read_text()
    assert shown.split() == measured.split()


@pytest.mark.parametrize("neck", ["fpn", "panet", "bifpn", "gffpn"])
def test_the_parameter_counts_match_the_code(neck: str) -> None:
    detector = build_detector(compose_config([f"neck={neck}", "size=l", "head=yolov5"]), 9)
    assert f"{count_parameters(detector):,}" in PAGES["docs/cost.md"]
