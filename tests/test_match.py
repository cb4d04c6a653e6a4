"""Does `python -m gffpn match` find the width at which one neck costs as much as another?"""

import json

import pytest
import yaml

from gffpn.__main__ import main
from gffpn.benchmark.match import MEASURES, WIDENINGS, match
from gffpn.build.detector import build_detector
from gffpn.config.compose import compose_config
from gffpn.cost import cost
from golden import CONF, NECKS, load

SMALL = ["image_size=64"]


@pytest.mark.slow
@pytest.mark.parametrize("by", MEASURES)
@pytest.mark.parametrize(("neck", "knob"), [("panet", "neck.widen"), ("fpn_additive", "neck.out_channels")])
def test_the_override_leads_to_the_matched_cost(neck: str, knob: str, by: str) -> None:
    found = match(neck, "gffpn", by, SMALL, classes=9)
    assert found.close
    assert found.override.startswith(f"{knob}=")
    config = compose_config([*SMALL, f"neck={neck}", found.override])
    assert cost(build_detector(config, 9), (64, 64)) == found.after
    wanted = cost(build_detector(compose_config([*SMALL, "neck=gffpn"]), 9), (64, 64))
    figure = {"params": "params_neck", "gflops": "gflops_neck"}[by]
    assert getattr(found.after, figure) == pytest.approx(getattr(wanted, figure), rel=0.02)


@pytest.mark.slow
def test_overrides_of_the_neck_apply_to_the_one_that_is_matched() -> None:
    plain = match("panet", "gffpn", "params", SMALL, classes=9)
    uniform = match("panet", "gffpn", "params", [*SMALL, "neck.width=uniform"], classes=9)
    assert plain.wanted == uniform.wanted
    assert plain.override != uniform.override


@pytest.mark.slow
def test_guided_necks_are_matched_by_the_width_of_their_base() -> None:
    assert match("gffpn", "panet", "params", SMALL, classes=9).override.startswith("neck.base.widen=")


@pytest.mark.slow
@pytest.mark.parametrize("neck", NECKS)
def test_every_neck_is_matched_or_reported_to_have_no_width(
    neck: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each neck is matched with itself, in the steps that its width allows."""
    # few near the answer, between the usual ends
    few = [WIDENINGS[0], *(k / 100 for k in range(75, 126)), WIDENINGS[-1]]
    monkeypatch.setattr("gffpn.benchmark.match.WIDENINGS", few)
    node = load("neck", neck, size="n")
    if {"widen", "out_channels"} & {*node, *node.get("base", {})}:
        # not always an exact match: there is no projection where the input is as wide as the neck
        assert match(neck, neck, "params", SMALL, classes=9).close
    else:
        with pytest.raises(ValueError, match="expected one with an adjustable width"):
            match(neck, neck, "params", SMALL, classes=9)


@pytest.mark.slow
def test_the_verb(capsys: pytest.CaptureFixture[str]) -> None:
    main(["match", "neck=panet", "to=gffpn", "--json", *SMALL])
    report = json.loads(capsys.readouterr().out)
    assert report["close"]
    assert report["after"]["params_neck"] == pytest.approx(report["wanted"]["params_neck"], rel=0.02)
    main(["match", "neck=panet", "to=gffpn", *SMALL])
    assert "matches neck=gffpn in params" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["neck=panet"], "expected neck=NECK and to=NECK"),
        (["neck=panet", "to=gfpn"], "got 'gfpn', expected one of"),
        (["neck=panet", "to=gffpn", "by=weight"], "by: got 'weight', expected one of"),
        (["neck=cfpt", "to=gffpn", "image_size=200"], "neck=cfpt needs multiples of 64"),
        (["neck=panet", "to=gffpn", "neck.depth=much"], "neck.depth: got 'much', expected a number"),
    ],
)
def test_wrong_arguments_are_reported(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(["match", *words])
    assert left.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_no_width_comes_close_enough(capsys: pytest.CaptureFixture[str]) -> None:
    """The width is a multiple of 32, and even at 32 the neck is larger than a 1x1 convolution per level."""
    with pytest.raises(SystemExit) as left:
        main(["match", "neck=hsfpn", "to=none", *SMALL])
    assert left.value.code == 1
    assert "comes nearest to neck=none" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("experiment", ["ladder", "ladder_small", "league"])
def test_the_controls_of_an_experiment_cost_what_their_necks_cost(experiment: str) -> None:
    asked = compose_config([f"experiments={experiment}"])
    side, arms = asked.image_size, asked.experiment.arms
    pairs = [pair for pair in asked.experiment.contrasts if pair[1].startswith("fpn x")]
    assert len({neck for neck, _ in pairs}) == len(pairs) > 0
    for pair in pairs:
        wanted, found = (
            cost(build_detector(compose_config([*arms[arm], "size=n"]), 9), (side, side)).gflops
            for arm in pair
        )
        assert found == pytest.approx(wanted, rel=0.01), pair


def test_the_league_has_every_neck() -> None:
    asked = yaml.safe_load((CONF / "experiments" / "league.yaml").read_text())["experiment"]
    plain = [name for name, words in asked["arms"].items() if words == [f"neck={name}"]]
    assert sorted(plain) == NECKS
    compared = {neck for neck, control in asked["contrasts"] if control.startswith("fpn x")}
    assert compared == set(NECKS) - {"fpn"}
