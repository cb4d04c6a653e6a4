"""Does an experiment with named arms run each of them, with what the command line varies beside them?"""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from commands import Train
from gffpn.runs.sweeps import SweepPlan
from gffpn.stats.arms import Arms
from gffpn.suite.arms import jobs_of
from gffpn.suite.output import label_of

ARMS = {"base": [], "slow": ["optim.lr=0.001"], "wide": ["size=s", "batch_size=8"]}


def parsed(*words: str) -> list:
    return OverridesParser.create().parse_overrides(list(words))


def test_each_arm_gets_each_seed() -> None:
    jobs = jobs_of(parsed("seed=0,1", "name=x"), ARMS)
    assert jobs[:3] == [["seed=0", "name=x"], ["seed=1", "name=x"], ["optim.lr=0.001", "seed=0", "name=x"]]
    assert len(jobs) == 6
    assert jobs_of(parsed("seed=0,1"), {}) == [["seed=0"], ["seed=1"]]


def test_arms_without_a_file_are_named_by_what_they_set() -> None:
    assert Arms(jobs_of(parsed("seed=0,1"), ARMS)).names == ["default", "lr=0.001", "s batch_size=8"]
    assert Arms([["head.loss.overlap=nwd"], ["head.loss.box_loss=nwd"]]).names == [
        "overlap=nwd",
        "box_loss=nwd",
    ]


def test_arms_have_the_names_that_the_file_gives_them() -> None:
    jobs = jobs_of(parsed("data=coco,voc", "seed=0,1"), ARMS)
    arms = Arms(jobs, ARMS)
    assert arms.names == [f"{name} {data}" for name in ARMS for data in ("coco", "voc")]
    assert arms.contrasts([("wide", "base")]) == [(4, 0), (5, 1)]  # on each data set
    assert arms.contrasts([("wide coco", "slow coco")]) == [(4, 2)]
    assert arms.contrasts([("s", "base")]) == [(4, 0), (5, 1)]  # a value still names its arm
    assert Arms(jobs[:2], ARMS).names == ["base"]


def test_a_run_beside_the_arms_of_the_file_is_named_by_its_values() -> None:
    arms = Arms([["optim.lr=0.001"], ["size=s"], ["size=s", "batch_size=8"]], ARMS)
    assert arms.names == ["slow", "s", "wide"]
    assert arms.contrasts([("wide", "slow"), ("slow", "wide")]) == [(2, 0), (0, 2)]


def test_an_arm_may_have_the_name_of_a_value() -> None:
    named = {"fpn": ["neck=fpn"], "wide": ["neck=fpn", "neck.widen=1.3"], "own": ["neck=gffpn"]}
    arms = Arms(jobs_of([], named), named)
    assert arms.names == ["fpn", "wide", "own"]
    assert arms.contrasts([("own", "fpn"), ("own", "wide"), ("wide", "fpn")]) == [(2, 0), (2, 1), (1, 0)]


def test_contrasts_name_arms_as_the_table_does() -> None:
    arms = Arms(jobs_of([], {"base": [], "slow": ["optim.lr=0.001"], "mosaic": ["augment.mosaic=1.0"]}))
    assert arms.names == ["default", "lr=0.001", "mosaic=1.0"]
    assert arms.contrasts([("lr=0.001", "default"), ("mosaic=1.0", "lr=0.001")]) == [(1, 0), (2, 1)]
    with pytest.raises(ValueError, match="an empty side names no arm; the arms are default"):
        arms.contrasts([("", "default")])


GRID = [[f"neck={neck}", f"backbone={one}"] for neck in ("fpn", "gffpn") for one in ("csp", "dark")]


@pytest.mark.parametrize(
    ("contrast", "pairs"),
    [
        (("gffpn", "fpn"), [(2, 0), (3, 1)]),
        (("gffpn dark", "fpn"), [(3, 1)]),
        (("gffpn", "fpn dark"), [(3, 1)]),
        (("dark", "fpn csp"), [(1, 0)]),
        (("gffpn dark", "fpn csp"), [(3, 0)]),
    ],
)
def test_what_one_side_alone_names_holds_for_both(
    contrast: tuple[str, str], pairs: list[tuple[int, int]]
) -> None:
    assert Arms(GRID).contrasts([contrast]) == pairs


@pytest.mark.parametrize("contrast", [("dark", "fpn"), ("fpn", "dark"), ("csp", "gffpn")])
def test_a_side_that_names_several_arms_for_one_is_refused(contrast: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match=r"names several arms \(.*, .*\); name one of them"):
        Arms(GRID).contrasts([contrast])


def test_lines_of_a_run_begin_with_the_name_of_its_arm() -> None:
    jobs = jobs_of(parsed("seed=0,1"), ARMS)
    plan = SweepPlan((), {"arms": ARMS}, tuple(map(tuple, jobs)))
    assert [label_of(plan, job, number) for number, job in enumerate(jobs)][2:5] == [
        "slow seed=0",
        "slow seed=1",
        "wide seed=0",
    ]
    alone = SweepPlan((), {"arms": ARMS}, tuple(map(tuple, jobs[::2])))
    assert label_of(alone, jobs[4], 2) == "wide"


def test_what_an_arm_sets_is_not_set_beside_it() -> None:
    with pytest.raises(ValueError, match="batch_size: the arm wide of this experiment sets it; leave it out"):
        jobs_of(parsed("batch_size=4"), ARMS)
    with pytest.raises(ValueError, match=r"experiment.arms.base: got 'size=s', expected a list of KEY=VALUE"):
        jobs_of([], {"base": "size=s"})
    with pytest.raises(ValueError, match=r"trainer.extra.x: the arm base of this experiment sets it"):
        jobs_of(parsed("+trainer.extra.x=2"), {"base": ["+trainer.extra.x=1"]})
    assert jobs_of(parsed("seed=0"), None) == [["seed=0"]]


def test_the_search_for_the_recipe_refuses_what_its_arms_set(tiny: list[str], train: Train) -> None:
    code, printed = train("experiments=recipe", *tiny, "optim.lr=0.1")
    assert code == 2
    assert "optim.lr: the arm half_lr of this experiment sets it" in printed


@pytest.mark.slow
def test_a_sweep_runs_its_arms(tiny: list[str], train: Train) -> None:
    arms = "+experiment.arms={base: [], slow: ['optim.lr=0.001'], many: ['batch_size=8', 'optim.lr=0.004']}"
    kept = [word for word in tiny if not word.startswith("batch_size")]
    code, printed = train("-m", *kept, "neck=fpn", "trainer.max_epochs=1", arms)
    assert code == 0, printed
    assert "│ 0.001    │ 16         │" in printed
    assert "│ 0.004    │ 8          │" in printed
