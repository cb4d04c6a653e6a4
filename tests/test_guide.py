"""Do --help, `gffpn explain` and docs/settings.md say what conf/ and the code say?"""

import inspect
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import yaml
from hydra.utils import get_object
from omegaconf import OmegaConf

from commands import ROOT, Train, command
from gffpn.__main__ import main
from gffpn.config.compose import compose_config
from gffpn.config.overrides import CONF
from gffpn.config.yaml_types import words
from gffpn.guide.catalogue import Catalogue
from gffpn.guide.comments import Default, Entry, read_commented
from gffpn.guide.explanation import explanation
from gffpn.guide.settings_page import settings_page
from gffpn.guide.signatures import argument_types
from gffpn.guide.train_help import EXAMPLES, MOST_USED
from gffpn.suite.train import multirun_first

CATALOGUE = Catalogue()
FILES = sorted(path for folder in (CONF, CONF / "experiments") for path in folder.rglob("*.yaml"))
OPTIONS = [(group, option) for group in CATALOGUE.groups.values() for option in group.options]


def explained(asked: str) -> list[str]:
    return [" ".join(line.split()) for line in explanation(CATALOGUE, asked) if line]


def test_the_reader_finds_the_comments_of_each_key(tmp_path: Path) -> None:
    path = tmp_path / "one.yaml"
    path.write_text(
        """\
# @package _global_
# What it is.
# More about it.
defaults:
  - /neck@base: fpn # below it
  - _self_
# the rate
rate: 0.1 # at most 1
pattern: '#(\\d)' # quoted
bare: a#b
table: {4: 1.0, 8: [2]} # a value
block: # two keys
  # above,
  # and more
  inner: null

  # not of `late`, as an empty line follows

  late:
    - 1
    - x # of an item
text: |
  # no comment
  of this
after: true
"""
    )
    found = read_commented(path)
    assert found.header == ["What it is.", "More about it."]
    assert found.is_global
    assert found.defaults == [Default("/neck@base", "fpn", "below it", 5), Default("", "_self_", "", 6)]
    assert found.entries == [
        Entry("rate", "0.1", "the rate at most 1", 8),
        Entry("pattern", r"'#(\d)'", "quoted", 9),
        Entry("bare", "a#b", "", 10),
        Entry("table", "{4: 1.0, 8: [2]}", "a value", 11),
        Entry("block", None, "two keys", 12),
        Entry("block.inner", "null", "above, and more", 15),
        Entry("block.late", "[1, x]", "", 19),
        Entry("text", "# no comment of this", "", 22),
        Entry("after", "true", "", 25),
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_the_reader_finds_every_key_with_its_value_and_line(path: Path) -> None:
    def leaves(node: dict, where: str) -> Iterator[tuple[str, Any]]:
        for key, value in node.items():
            yield f"{where}{key}", value
            if isinstance(value, dict):
                yield from leaves(value, f"{where}{key}.")

    lines = path.read_text().splitlines()
    loaded = {key: value for key, value in leaves(yaml.safe_load("\n".join(lines)), "") if key != "defaults"}
    entries = read_commented(path).entries
    for entry in entries:
        assert entry.key.endswith(lines[entry.line - 1].strip().partition(":")[0])
        value = loaded.pop(entry.key)
        if entry.value is not None and "\n" not in str(value):
            assert yaml.safe_load(entry.value) == value
    braces = tuple(f"{entry.key}." for entry in entries if str(entry.value).startswith("{"))
    assert [key for key in loaded if not key.startswith(braces)] == []


def test_every_choice_has_a_line_that_describes_it() -> None:
    lines = {f"{group.name}={option}": CATALOGUE.header(group.name, option)[:1] for group, option in OPTIONS}
    assert [choice for choice, line in lines.items() if not line] == []
    assert [choice for choice, line in lines.items() if line[0].rstrip()[-1] not in ".?:"] == []
    assert [name for name, group in CATALOGUE.groups.items() if not group.meaning] == []


def test_every_key_has_a_comment() -> None:
    assert [f"{one.key}, {one.origin}" for one in CATALOGUE.every if not one.comment] == []


def plain(config: Any) -> dict[str, Any]:
    values = OmegaConf.to_container(config, resolve=False)
    assert isinstance(values, dict)
    return values


def at(values: Any, key: str) -> Any:
    for word in key.split("."):
        values = values[word]
    return values


@pytest.mark.parametrize("choice", ["", "neck=gfbifpn", "neck=panet_c2", "trainer=slurm", "head=yolov5"])
def test_settings_are_those_that_hydra_composes(choice: str) -> None:
    """Also those of an option that is based on others, and of one that a global file sets."""
    config = plain(compose_config([choice] if choice else []))
    if not choice:
        settings = {one.key: CATALOGUE.default(one.key) for one in CATALOGUE.every}
    else:
        name, _, option = choice.partition("=")
        settings = dict(CATALOGUE.settings(CATALOGUE.groups[name], option))
        assert {key for key in settings if key.count(".") == 1} == {f"{name}.{key}" for key in config[name]}
    for key, setting in settings.items():
        if setting and setting.value not in (None, "???"):
            assert yaml.safe_load(setting.value) == at(config, key), key


@pytest.mark.parametrize("target", sorted({one.target for one in CATALOGUE.every if one.target}))
def test_types_read_from_the_source_are_those_of_the_class(target: str) -> None:
    taken = inspect.signature(get_object(target)).parameters.values()
    hints = get_type_hints(get_object(target).__init__)
    found = argument_types(target)
    for parameter in taken:
        if parameter.kind is parameter.KEYWORD_ONLY:
            assert words(found[parameter.name]) == words(hints[parameter.name]), parameter.name


def test_a_key_is_explained_with_its_values_and_their_places() -> None:
    found = explained("optim.lr")
    assert found[:7] == [
        "optim.lr",
        "peak learning rate, reached after the warm-up",
        "values: a number",
        f"default: 0.002 with optim=recipe, {place('optim/recipe.yaml', 'lr:')}",
        f"other: 0.001 with optim=paper, {place('optim/paper.yaml', 'lr:')}",
        f"0.01 with optim=sgd, {place('optim/sgd.yaml', 'lr:')}",
        f"0.003 with experiments=demo, {place('experiments/demo.yaml', '  lr:')}",
    ]
    assert "0.003 with experiments=ladder_small," in " ".join(found[7:])
    assert "values: attend, attend_plus_input, identity" in explained("neck.lpam.mix")
    assert "values: true, false, concat" in explained("neck.residual")
    assert "values: never, changed, all" in explained("rerun")
    assert "values: ignore, object, drop, null" in explained("data.crowd")
    (line,) = [line for line in explained("neck.base.out_channels") if line.startswith("default:")]
    assert line.startswith("default: 64 (${size.channels}) with neck=gffpn, ")  # of size=n


def place(name: str, start: str) -> str:
    lines = (CONF / name).read_text().splitlines()
    (number,) = [number for number, line in enumerate(lines, 1) if line.startswith(start)]
    path = CONF / name
    return f"{path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}:{number}"


def test_a_part_of_a_key_a_group_a_choice_and_a_word_are_understood() -> None:
    assert explained("patience") == explained("trainer.patience")
    assert explained("+trainer.patience=3") == explained("trainer.patience")
    assert explained("trainer.extra.detect_anomaly") == explained("trainer.extra")
    assert explained("neck")[1].startswith("* gffpn GF-FPN, the paper's neck")
    assert explained("neck")[-1] == explained("neck=gffpn")[-1]
    assert any(line.startswith("neck.lpam.mix=attend ") for line in explained("neck=gffpn"))
    assert "selects head=yolov5" in explained("scale=paper")
    found = explained("batchnorm")
    assert any(line.startswith("trainer.sync_batchnorm") for line in found)
    assert any(line.startswith("neck.norm") for line in found)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("neck.lpam.mx", "neck.lpam.mx: no such key, group or word; did you mean neck.lpam.mix"),
        ("patiense", "patiense: no such key, group or word; did you mean trainer.patience"),
        ("nekc", "nekc: no such key, group or word; did you mean neck"),
        ("neck=gfpfn", "did you mean 'gffpn'?"),
        ("qqqq", "gffpn explain lists all groups"),
    ],
)
def test_a_typo_gives_the_nearest_names(asked: str, message: str, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as leaving:
        main(["explain", asked])
    assert leaving.value.code == 2
    assert message in capsys.readouterr().err


def test_a_sweep_may_be_asked_for_between_overrides() -> None:
    assert multirun_first(["seed=0", "-m", "neck=fpn,panet"]) == ["-m", "seed=0", "neck=fpn,panet"]
    assert multirun_first(["seed=0", "--multirun"]) == ["--multirun", "seed=0"]
    assert multirun_first(["seed=0", "name=a-m"]) == ["seed=0", "name=a-m"]


def test_the_help_of_training_needs_no_torch() -> None:
    code = "import sys; from gffpn.suite.train import train; train(); assert 'torch' not in sys.modules"
    done = command("-c", code, "--help")
    assert done.returncode == 0, done.stderr
    assert "python train.py -m neck=fpn,panet,gffpn seed=0,1,2" in done.stdout


def test_the_help_of_training_names_every_choice(capsys: pytest.CaptureFixture) -> None:
    main(["train", "neck=fpn", "--hel"])  # Hydra accepts abbreviations, and would print its own help
    lines = capsys.readouterr().out.splitlines()
    for group, option in OPTIONS:
        heading = next(k for k, line in enumerate(lines) if line.startswith(f"{group.name}: "))
        section = lines[heading : lines.index("", heading)]
        mark = "*" if option == group.default else " "
        assert any(line.startswith(f"  {mark} {option} ") for line in section), option
    assert all(any(line.startswith(f"  {key}=") for line in lines) for key in MOST_USED if key != "data.root")
    assert max(map(len, lines)) <= 110


def test_the_examples_in_the_help_are_valid() -> None:
    commands = [shlex.split(line.split("  ")[1]) for line in EXAMPLES.splitlines() if line.startswith("  ")]
    assert len(commands) == 9
    for asked in commands:
        given = [word for word in asked if "=" in word and word != "neck=star"]
        compose_config([word.split(",")[0] for word in given])


def test_the_help_of_hydra_is_left(train: Train) -> None:
    code, printed = train("--hydra-help")
    assert code == 0
    assert "Hydra" in printed
    assert "--multirun" in printed


def test_choices_in_a_folder_of_ones_own_are_explained(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine" / "neck").mkdir(parents=True)
    (tmp_path / "mine" / "neck" / "star.yaml").write_text(
        "# A neck of stars.\n_target_: star.Star\narms: 5 # points of each star\nwidth: 64\n"
    )
    main(["train", "--help", "--config-dir", "mine"])
    assert "    star            A neck of stars." in capsys.readouterr().out.splitlines()
    main(["explain", "neck.arms", "--config-dir", "mine"])
    assert capsys.readouterr().out.splitlines() == [
        "neck.arms",
        "  points of each star",
        "",
        "  only:  5 with neck=star, mine/neck/star.yaml:3",
    ]
    main(["explain", "neck=star", "--config-dir", "mine"])  # its width is not that of another neck
    assert capsys.readouterr().out.splitlines() == [
        "neck=star  (mine/neck/star.yaml)",
        "  A neck of stars.",
        "  class: star.Star",
        "",
        "  neck.arms=5    points of each star",
        "  neck.width=64",
    ]
    with pytest.raises(SystemExit) as leaving:
        main(["train", "--help", "--config-dir", "absent"])
    assert leaving.value.code == 2
    assert capsys.readouterr().err == "ERROR: --config-dir: got absent, expected a folder\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"arms: [1\n b: 'x\n", "mine/neck/star.yaml: not readable as YAML: while parsing"),
        (b"\xff\xfe arms: 1\n", "mine/neck/star.yaml: not readable as YAML: 'utf-8' codec can't decode"),
        (b"defaults: fpn\n", "mine/neck/star.yaml: defaults: expected a list"),
        (b"defaults: [absent]\n", "neck/absent.yaml: not in "),
    ],
    ids=["broken", "encoding", "no_list", "absent"],
)
def test_a_file_of_ones_own_that_cannot_be_read_is_named(
    content: bytes,
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine" / "neck").mkdir(parents=True)
    (tmp_path / "mine" / "neck" / "star.yaml").write_bytes(content)
    with pytest.raises(SystemExit) as leaving:
        main(["explain", "optim.lr", "--config-dir", "mine"])
    assert leaving.value.code == 2
    assert f"ERROR: {message}" in capsys.readouterr().err


def test_the_page_of_settings_takes_no_key(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        main(["explain", "optim.lr", "--markdown"])
    assert "--markdown: prints all settings of conf/; leave out KEY" in capsys.readouterr().err


def test_without_a_name_all_groups_are_listed(capsys: pytest.CaptureFixture) -> None:
    main(["explain"])
    printed = capsys.readouterr().out
    assert printed.startswith("size: ")
    assert all(f"\n{name}: " in f"\n{printed}" for name in CATALOGUE.groups)


def test_the_page_of_settings_is_up_to_date() -> None:
    assert (ROOT / "docs" / "settings.md").read_text() == settings_page(), "run `make settings`"


def test_the_lines_of_the_page_are_short() -> None:
    assert max(map(len, settings_page().splitlines())) < 120
