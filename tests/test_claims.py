"""Are the paper's claims held against the right contrasts, and judged as they are defined?"""

import re
import shlex
from itertools import product
from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf

from commands import ROOT
from fake_runs import predicted_run
from fake_sweeps import EXPERIMENT, SKILLS, fake_sweep
from gffpn.config.compose import compose_config
from gffpn.report.claims import COSTS, PUBLISHED, Comparison, claimed, claims
from gffpn.report.collect import collect
from gffpn.report.facts import Claim
from gffpn.runs.folder import RunFolder
from gffpn.stats.arms import Arms, settings
from gffpn.stats.question import Question
from gffpn.stats.runs import Run
from gffpn.stats.study import study

MISSING = object()
BOTH = [["gffpn", "fpn"], ["gffpn", "panet"]]


def judged(folder: Path, **facts: object) -> dict[tuple[str, str, str], Claim]:
    """Return the claims after a sweep, by name, contrast and endpoint."""
    experiment = {**EXPERIMENT, "contrasts": BOTH, **facts.pop("experiment", {})}
    sweep = fake_sweep(folder, experiment=experiment, **facts)
    found = claims([source.study() for source in collect([sweep])])
    return {(one.name, one.contrast, one.endpoint): one for one in found}


def test_a_certain_gain_reproduces_a_claim(tmp_path: Path) -> None:
    found = judged(tmp_path)
    for other in ("fpn", "panet"):
        one = found["tinyindus-cspdarknet", f"gffpn - {other}", "mAP50"]
        assert (one.outcome, one.study, one.simulated) == ("reproduced", "necks", True)
    one = found["tinyindus-cspdarknet", "gffpn - fpn", "mAP50"]
    assert one.paper == "mAP50 69.9 against 60.2: +9.7"
    assert re.match(r"\+\d+\.\d points of mAP50 \(", one.reason)
    assert one.reason.endswith("3 seeds; the paper's +9.7 lies outside")
    assert found["any-data", "gffpn - fpn", "mAP50"].outcome == "reproduced"
    # all invented runs are equally fast
    assert found["slower-than-fpn", "gffpn - fpn", "fps_end_to_end"].outcome == "contradicted"
    # the data has no such class
    assert found["tube-mouth", "gffpn - fpn", "AP50/gkf"].outcome == "cannot tell"
    other = found["neu-det-cspdarknet", "gffpn - fpn", "mAP50"]
    assert other.outcome == "not run"
    assert other.command.startswith("python train.py experiments=table4")
    assert found["pictures", "", ""].outcome == "not testable"


@pytest.mark.parametrize("contrasts", [BOTH, [["fpn", "gffpn"], ["panet", "gffpn"]]])
def test_a_certain_loss_contradicts_a_claim(tmp_path: Path, contrasts: list[list[str]]) -> None:
    skills = {"fpn": 0.9, "panet": 0.85, "gffpn": 0.4}
    found = judged(tmp_path, skills=skills, experiment={"contrasts": contrasts})
    one = found["tinyindus-cspdarknet", "gffpn - fpn", "mAP50"]
    assert one.outcome == "contradicted"
    assert one.reason.startswith("\N{MINUS SIGN}")


def test_the_same_contradicts_a_claim_of_more_than_the_margin(tmp_path: Path) -> None:
    found = judged(tmp_path, skills=dict.fromkeys(SKILLS, 0.97), experiment={"margin": 0.09})
    one = found["tinyindus-cspdarknet", "gffpn - fpn", "mAP50"]
    assert (one.outcome, one.reason[-26:]) == ("contradicted", "the same within 9.0 points")
    # the paper gives no figure for any data
    assert found["any-data", "gffpn - fpn", "mAP50"].outcome == "cannot tell"


def test_one_seed_cannot_tell(tmp_path: Path) -> None:
    one = judged(tmp_path, seeds=(0,))["tinyindus-cspdarknet", "gffpn - fpn", "mAP50"]
    assert (one.outcome, one.reason) == ("cannot tell", "no verdict: one seed")


def test_costs_are_compared_as_they_are(tmp_path: Path) -> None:
    """In the invented runs, gffpn and panet have 1.5 M parameters, fpn has 1.3 M."""
    found = judged(tmp_path, seeds=(0,))
    more = found["larger-than-fpn", "gffpn - fpn", "params_m"]
    assert (more.outcome, more.reason, more.paper) == (
        "reproduced",
        "1.5 against 1.3 M parameters, at size n and 320 px",
        "41.7 against 40.7 M parameters: +1.0",
    )
    assert found["cheaper", "gffpn - panet", "params_m"].outcome == "contradicted"
    speed = found["slower-than-fpn", "gffpn - fpn", "fps_end_to_end"]
    assert (speed.outcome, speed.reason) == ("cannot tell", "one timing of an arm; timings vary")
    assert found["cheaper", "gffpn - afpn", "gflops"].outcome == "not run"


def test_an_ablation_is_not_the_neck_itself(tmp_path: Path) -> None:
    found = judged(tmp_path, seeds=(0,), ablation="add")
    assert found["tinyindus-cspdarknet", "gffpn - fpn", "mAP50"].outcome == "not run"


@pytest.mark.parametrize(
    "varied",
    [
        ("image_size=640", "image_size=320"),
        ("optim.lr=0.01", "optim.lr=0.1"),
        # ablations by plain overrides
        ("neck.fusion=add", ""),
        ("neck@neck.base=afpn", ""),
    ],
)
@pytest.mark.parametrize("name", ["any-data", "larger-than-fpn"])
def test_arms_that_differ_in_something_else_test_no_claim(
    tmp_path: Path, varied: tuple[str, str], name: str
) -> None:
    assert {one.outcome for one in compared(tmp_path, varied, name)} == {"not run"}


@pytest.mark.parametrize(
    "varied",
    [
        ("image_size=640", "image_size=640"),
        ("neck.fusion=star", "neck.fusion=null"),
        ("neck.gate=sigmoid", "neck.widen=1.0"),
        ("", ""),
    ],
)
def test_arms_that_differ_in_the_neck_alone_test_claims(tmp_path: Path, varied: tuple[str, str]) -> None:
    (one,) = [one for one in compared(tmp_path, varied, "any-data") if one.study]
    assert one.outcome == "reproduced"


def compared(runs: Path, varied: tuple[str, str], name: str) -> list[Claim]:
    """Return a claim after runs of gffpn and of fpn, which have one more override each."""
    found = [
        Run((f"neck={neck}", *filter(None, [more]), f"seed={seed}"), "finished", path, RunFolder(path).read())
        for neck, more in zip(("gffpn", "fpn"), varied, strict=True)
        for seed in range(3)
        for path in [predicted_run(runs, neck, skill=SKILLS[neck], seed=seed)]
    ]
    one = study("one", found, Question(contrasts=(("gffpn", "fpn"),)))
    assert one.contrasts
    return [claim for claim in claims([one]) if claim.name == name]


def test_what_is_published_is_the_default() -> None:
    necks = [compose_config([f"neck={name}"]) for name in ("gffpn", "fpn")]
    for key, value in PUBLISHED.items():
        found = [OmegaConf.select(config, key, default=MISSING) for config in necks]
        assert {"null" if one is None else str(one).lower() for one in found if one is not MISSING} == {value}


def test_every_claim_can_be_looked_up() -> None:
    entries = yaml.safe_load((ROOT / "src/gffpn/report/claims.yaml").read_text())
    known = {path.stem for path in (ROOT / "conf" / "neck").glob("*.yaml")}
    assert len({entry["name"] for entry in entries}) == len(entries)
    for entry, (claim, tests) in zip(entries, claimed(), strict=True):
        assert ("untestable" in entry) == (claim.outcome == "not testable") == (not tests)
        for test in tests:
            assert ("paper" in entry) == bool(test.claim.paper), entry["name"]
            assert {test.a["neck"], test.b["neck"]} <= known
            assert test.claim.endpoint in (*COSTS, "mAP50", "mAP50_95") or "AP" in test.claim.endpoint


DEFAULTS = {"neck": "gffpn", "backbone": "cspdarknet"}


def swept(command: str) -> tuple[list[dict[str, str]], Arms, list[list[str]]]:
    """Return the settings of a sweep's jobs, its arms, and the contrasts that it declares."""
    words = settings([word for word in shlex.split(command)[2:] if word != "-m"])
    params, contrasts = dict[str, str](), list[list[str]]()
    if name := words.pop("experiments", None):
        content = yaml.safe_load((ROOT / "experiments" / f"{name}.yaml").read_text())
        params, contrasts = content["hydra"]["sweeper"]["params"], content["experiment"]["contrasts"]
    contrasts = yaml.safe_load(words.pop("experiment.contrasts", "null")) or contrasts
    varied = {key: str(value).split(",") for key, value in {**params, **words}.items()}
    jobs = [dict(zip(varied, values, strict=True)) for values in product(*varied.values())]
    arms = Arms([[f"{key}={value}" for key, value in job.items()] for job in jobs])
    return jobs, arms, contrasts


@pytest.mark.parametrize(
    ("claim", "tests"), [pytest.param(*one, id=one[0].name) for one in claimed() if one[1]]
)
def test_the_command_of_a_claim_runs_what_it_compares(claim: Claim, tests: list[Comparison]) -> None:
    jobs, arms, contrasts = swept(claim.command)
    first = [{**DEFAULTS, **jobs[arms.of_run.index(at)]} for at in range(len(arms.names))]
    pairs = arms.contrasts(contrasts)
    for test in tests:
        if test.claim.endpoint in COSTS:
            pairs = list(product(range(len(first)), range(len(first))))
        else:
            assert not arms.one_run_each, "accuracy needs several seeds"
        compared = [(first[a], first[b]) for pair in pairs for a, b in (pair, pair[::-1])]
        assert [(a, b) for a, b in compared if a.items() >= test.a.items() and b.items() >= test.b.items()], (
            f"{test.a} against {test.b}"
        )
