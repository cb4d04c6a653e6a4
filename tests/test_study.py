"""Tests of arms, contrasts, and the verdicts that a sweep ends with."""

import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations, product
from pathlib import Path

import pytest

from commands import Train
from fake_runs import predicted_run, predictions
from gffpn.__main__ import main as gffpn
from gffpn.report.answer import answer_markdown, arm_cells, contrast_cells, need_words, sentence
from gffpn.runs.folder import RunFolder
from gffpn.runs.predictions import write_predictions
from gffpn.runs.record import Record
from gffpn.stats.arms import Arms
from gffpn.stats.question import Question, check_class, check_contrasts, question
from gffpn.stats.runs import Arm, Run
from gffpn.stats.study import Study, compare, study

PARTS = [
    [f"neck.lpam.attention={attention}", f"neck.lpam.context={context}", f"seed={seed}"]
    for attention in ("fccfm", "none")
    for context in ("lsam", "conv")
    for seed in (0, 1)
]


def test_arms_are_runs_that_differ_only_in_their_seed() -> None:
    arms = Arms(PARTS)
    assert arms.names == ["fccfm lsam", "fccfm conv", "none lsam", "none conv"]
    assert arms.of_run == [0, 0, 1, 1, 2, 2, 3, 3]
    assert not arms.one_run_each


@pytest.mark.parametrize(
    ("values", "name"), [(("true", "false"), "flag=true"), (("1", "2"), "flag=1"), (("a", "b"), "a")]
)
def test_a_value_that_says_nothing_alone_has_its_key(values: tuple[str, str], name: str) -> None:
    assert Arms([[f"neck.flag={value}"] for value in values]).names[0] == name


def test_a_contrast_holds_at_each_setting_of_what_it_leaves_out() -> None:
    arms = Arms(PARTS)
    assert arms.contrasts([("fccfm", "none")]) == [(0, 2), (1, 3)]
    assert arms.contrasts([("fccfm lsam", "none conv")]) == [(0, 3)]
    assert arms.contrasts([("context=lsam", "neck.lpam.context=conv")]) == [(0, 1), (2, 3)]


def test_without_contrasts_all_arms_stand_against_the_first() -> None:
    assert Arms([["neck=fpn"], ["neck=panet"], ["neck=gffpn"]]).contrasts([]) == [(1, 0), (2, 0)]


@pytest.mark.parametrize(
    ("axes", "pairs"),
    [
        ({"neck": ("fpn", "gffpn"), "data": ("coco", "voc")}, [(2, 0), (3, 1)]),
        ({"data": ("coco", "voc"), "neck": ("fpn", "gffpn")}, [(1, 0), (3, 2)]),
        ({"data.root": ("a", "b"), "neck": ("fpn", "gffpn")}, [(1, 0), (3, 2)]),
        ({"data": ("coco", "voc")}, []),
        ({"data.train_images": ("50", "100")}, [(1, 0)]),
        ({"neck": ("fpn", "gffpn"), "size": ("n", "s")}, [(1, 0), (2, 0), (3, 1)]),
    ],
)
def test_without_contrasts_arms_differ_in_one_axis_and_not_in_their_data(
    axes: dict[str, tuple[str, ...]], pairs: list[tuple[int, int]]
) -> None:
    runs = [
        [f"{key}={value}" for key, value in zip(axes, row, strict=True)] for row in product(*axes.values())
    ]
    assert Arms(runs).contrasts([]) == pairs


def test_without_contrasts_arms_of_several_settings_stand_against_the_first() -> None:
    arms = {"base": ["size=n"], "wide": ["size=s", "batch_size=8"], "slow": ["size=n", "optim.lr=0.1"]}
    runs = [[*words, f"data={data}"] for words in arms.values() for data in ("coco", "voc")]
    for declared in (arms, {}):
        assert Arms(runs, declared).contrasts([]) == [(2, 0), (3, 1), (4, 0), (5, 1)]


@pytest.mark.parametrize(("tested_on", "pairs"), [(("x", "x"), [(1, 0)]), (("x", "y"), [])])
def test_arms_on_equal_images_are_compared(tested_on: tuple[str, ...], pairs: list[tuple[int, int]]) -> None:
    assert Arms([["data.contrast=1"], ["data.contrast=2"]]).contrasts([], tested_on) == pairs


@pytest.mark.parametrize(
    ("contrast", "message"),
    [
        (("gfpn", "fpn"), r"\[gfpn, fpn\]: gfpn names no arm; did you mean gffpn\?"),
        (("xyz", "fpn"), "xyz names no arm; the arms are fpn, gffpn"),
        (("fpn", "fpn"), "no two arms differ in this alone"),
        (("fpn",), "expected two arms"),
    ],
)
def test_a_contrast_without_its_arms_is_refused(contrast: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Arms([["neck=fpn"], ["neck=gffpn"]]).contrasts([contrast])


def test_a_value_of_two_keys_is_refused() -> None:
    runs = [[f"a.act={a}", f"b.act={b}"] for a in ("relu", "silu") for b in ("relu", "silu")]
    with pytest.raises(ValueError, match=r"write a\.act=relu or b\.act=relu"):
        Arms(runs).contrasts([("relu", "silu")])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("primary_endpoint", "mAP50"),
        ("primary_endpoint", "test/mAP5"),
        ("primary_endpoint", "test/AP50_paper"),
        ("margin", 0),
        ("margin", 1.5),
        ("margin", None),
        ("margin", "abc"),
        ("looks", [0]),
        ("looks", 3),
        ("contrasts", ["gffpn", "fpn"]),
        ("contrasts", [["gffpn"]]),
        ("contrasts", "gffpn"),
    ],
)
def test_a_wrong_question_is_refused(key: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"experiment.{key}"):
        question({"primary_endpoint": "test/mAP50", "contrasts": [], key: value})


def test_a_question_is_checked_against_the_arms_of_its_own_file() -> None:
    asked = Question(contrasts=(("gffpn", "fpn"),))
    check_contrasts(asked, [["neck=fpn"], ["neck=gffpn"]])
    with pytest.raises(ValueError, match="gffpn names no arm"):
        check_contrasts(asked, [["neck=fpn"], ["neck=panet"]])


def test_contrasts_name_values_as_overrides_have_them() -> None:
    asked = question({"primary_endpoint": "test/mAP50", "contrasts": [[True, False], [None, 3]]})
    assert asked.contrasts == (("true", "false"), ("null", "3"))
    assert Arms([["neck='gffpn'"], ["neck=fpn"]]).contrasts([("gffpn", "fpn")]) == [(0, 1)]


def test_a_contrast_may_name_arms_of_the_command_or_of_the_file() -> None:
    asked = Question(contrasts=(("mine", "fpn"), ("gffpn", "fpn")))
    check_contrasts(asked, [["neck=fpn"], ["neck=mine"]], [["neck=fpn"], ["neck=gffpn"]])
    with pytest.raises(ValueError, match="gffpn names no arm"):
        check_contrasts(asked, [["neck=fpn"], ["neck=mine"]], [])


def test_an_endpoint_of_an_unknown_class_is_refused() -> None:
    check_class(Question(primary_endpoint="AP50/pock"), ["pock", "flaw"])
    with pytest.raises(ValueError, match="the data have no class pok, but pock, flaw"):
        check_class(Question(primary_endpoint="AP50/pok"), ["pock", "flaw"])


def made(runs: Path, skills: dict[str, float], *, seeds: int = 3, asked: Question | None = None) -> Study:
    """Return the study of invented runs: per neck, the probability with which it finds an object."""
    found = []
    for neck, skill in skills.items():
        for seed in range(seeds):
            path = predicted_run(runs, neck, skill=skill, seed=seed)
            overrides = (f"neck={neck}", f"seed={seed}")
            found.append(Run(overrides, "finished", path, RunFolder(path).read()))
    return study("invented", found, asked or Question())


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Return the study of two necks that clearly differ, with three seeds each."""
    return made(tmp_path_factory.mktemp("answer"), {"fpn": 0.3, "gffpn": 0.9})


def test_a_clear_difference_is_a_verdict_in_words(answer: Study) -> None:
    (contrast,) = answer.contrasts
    assert contrast.verdict is not None
    assert contrast.verdict.word == "better"
    assert sentence(contrast, answer.question).startswith("gffpn is better than fpn by ")
    headers, body = contrast_cells(answer)
    line = dict(zip(headers, body[0], strict=True))
    assert line["contrast"] == "gffpn - fpn"
    assert line["verdict"] == "better"
    assert line["difference"].startswith("+")
    assert line["P(A > B)"] == "> 0.99"


def test_a_note_warns_of_networks_that_learned_nothing(tmp_path: Path) -> None:
    (note,) = made(tmp_path / "bad", {"fpn": 0.0, "gffpn": 0.0}).notes
    assert note.startswith("no run has a test mAP50 of 5 %: these networks have hardly learned anything")
    assert not made(tmp_path / "good", {"fpn": 0.0, "gffpn": 0.9}).notes
    assert not made(tmp_path / "one", {"fpn": 0.0}).notes


def test_the_reverse_contrast_is_the_reverse_verdict(tmp_path: Path, answer: Study) -> None:
    there = answer.contrasts[0]
    back = made(tmp_path, {"gffpn": 0.9, "fpn": 0.3}).contrasts[0]
    assert there.estimate is not None
    assert back.estimate is not None
    assert back.verdict is not None
    assert back.verdict.word == "worse"
    assert back.estimate.delta == pytest.approx(-there.estimate.delta)
    assert back.estimate.variance == pytest.approx(there.estimate.variance)


def test_a_small_sample_cannot_say_and_what_it_needs(tmp_path: Path) -> None:
    answer = made(tmp_path, {"fpn": 0.5, "gffpn": 0.55})
    (contrast,) = answer.contrasts
    assert contrast.verdict is not None
    assert contrast.verdict.word == "cannot tell"
    assert "no number of seeds" in need_words(contrast, answer.question)


def test_one_seed_gives_no_verdict(tmp_path: Path) -> None:
    answer = made(tmp_path, {"fpn": 0.3, "gffpn": 0.9}, seeds=1)
    assert sentence(answer.contrasts[0], answer.question) == "gffpn against fpn: no verdict (one seed)."
    assert contrast_cells(answer)[1][0][2] == "no verdict: one seed"


def test_verdicts_are_taken_at_declared_looks_only(tmp_path: Path) -> None:
    early = made(tmp_path, {"fpn": 0.3, "gffpn": 0.9}, seeds=2, asked=Question(looks=(3, 6)))
    assert early.contrasts[0].reason == "not at a declared look (3, 6 seeds)"
    due = made(tmp_path, {"fpn": 0.3, "gffpn": 0.9}, seeds=3, asked=Question(looks=(3, 6)))
    assert due.contrasts[0].verdict is not None


def test_a_class_with_few_objects_has_no_verdict(answer: Study) -> None:
    counts = {one.name: one.objects for one in answer.arms[0].records[0].test.classes}
    assert min(counts.values()) >= 20
    assert answer.explore("AP50/pock")[0].verdict is not None
    assert answer.explore("AP50/unknown")[0].reason == "no figure for AP50/unknown"


def test_runs_without_results_have_their_own_cells(tmp_path: Path) -> None:
    path = predicted_run(tmp_path, "fpn", skill=0.5)
    runs = [
        Run(("neck=fpn", "seed=0"), "finished", path, RunFolder(path).read()),
        Run(("neck=fpn", "seed=1"), "failed", None, None, "out of memory"),
        Run(("neck=gffpn", "seed=0"), "missing", None, None),
        Run(("neck=gffpn", "seed=1"), "missing", None, None),
    ]
    answer = study("invented", runs, Question())
    _, body = arm_cells(answer)
    assert body[0][:2] == ["fpn", "1 of 2"]
    assert body[1][:3] == ["gffpn", "0 of 2", "missing"]
    assert answer.contrasts[0].reason == "gffpn: no finished run"
    assert "no verdict (gffpn: no finished run)" in answer_markdown(answer)


def test_runs_without_predictions_are_named(tmp_path: Path) -> None:
    path = predicted_run(tmp_path, "fpn", skill=0.5)
    (path / "predictions.npz").unlink()
    runs = [Run((f"neck={neck}", "seed=0"), "finished", path, RunFolder(path).read()) for neck in ("a", "b")]
    answer = study("invented", runs, Question())
    assert answer.contrasts[0].reason == "b: no predictions"
    assert "predictions.npz: missing" in answer.notes[0]


def test_contrasts_of_necks_that_were_left_out_are_noted(tmp_path: Path) -> None:
    asked = Question(contrasts=(("gffpn", "fpn"), ("gffpn", "panet")))
    answer = made(tmp_path, {"fpn": 0.3, "gffpn": 0.9}, asked=asked)
    assert [one.name for one in answer.contrasts] == ["gffpn - fpn"]
    assert "panet names no arm" in answer.notes[0]


def test_replicates_are_kept_and_made_again_from_other_predictions(tmp_path: Path) -> None:
    first = made(tmp_path, {"fpn": 0.3}, seeds=2).arms[0].replicates[0]
    kept = tmp_path / "fpn_plain_tinyindus_sim_s0" / "replicates.npz"
    before = kept.stat().st_mtime_ns
    again = made(tmp_path, {"fpn": 0.3}, seeds=2).arms[0].replicates[0]
    assert kept.stat().st_mtime_ns == before
    assert again["mAP50"][0] == first["mAP50"][0]
    other = made(tmp_path, {"fpn": 0.8}, seeds=2).arms[0].replicates[0]
    assert other["mAP50"][0] > first["mAP50"][0]


def test_a_plan_has_both_names_of_an_arm_and_counts_its_runs_once(
    tiny: list[str], capsys: pytest.CaptureFixture
) -> None:
    gffpn(["plan", *tiny, "neck=fpn", "trainer.threads=1,2", "seed=0,1,1"])
    planned = capsys.readouterr().out
    assert re.search(r"threads=1 *\W *0, 1 .*\n.*threads=2 *\W *0, 1 ", planned), planned
    assert "2 of 2 runs are left" in planned


@pytest.mark.slow
def test_a_sweep_with_seeds_ends_with_verdicts_and_can_be_planned(
    train: Train, tiny: list[str], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    words = [*tiny, "neck=fpn,panet", "name=two", "trainer.max_epochs=1"]
    code, output = train("-m", *words, "seed=0,1")
    assert code == 0
    assert "two: arms" in output
    assert "two: contrasts" in output
    answer = (tmp_path / "runs/sweeps/two/results.md").read_text()
    assert answer.startswith(("panet is ", "No verdict"))
    assert "\n- panet " in answer
    assert "one row per run" in answer

    gffpn(["plan", "-m", *words, "seed=0,1"])
    assert "All runs are finished." in capsys.readouterr().out
    gffpn(["plan", *words, "seed=0,1,2"])
    planned = capsys.readouterr().out
    assert "2 of 6 runs are left" in planned
    assert " minutes." in planned
    assert "Contrast: panet - fpn on mAP50" in planned
    gffpn(["plan", *words, "seed=0,1,2", "runs_at_a_time=2"])
    assert "minutes, 2 at a time." in capsys.readouterr().out


def test_a_diverged_run_is_a_result_that_is_named(tmp_path: Path) -> None:
    runs = []
    for neck, skill in (("fpn", 0.3), ("gffpn", 0.9)):
        for seed in (0, 1):
            path = predicted_run(tmp_path, neck, skill=skill, seed=seed)
            runs.append(Run((f"neck={neck}", f"seed={seed}"), "finished", path, RunFolder(path).read()))
    runs.append(Run(("neck=gffpn", "seed=2"), "diverged", None, None, "the loss is nan"))
    answer = study("invented", runs, Question())
    assert arm_cells(answer)[1][1][1] == "2 of 3, 1 diverged"
    assert sentence(answer.contrasts[0], answer.question).endswith(" gffpn: 1 of 3 diverged.")
    assert answer.notes == ("gffpn: 1 of 3 diverged; its mean is that of the others",)


def test_a_diverged_run_counts_as_a_look(tmp_path: Path) -> None:
    answer = made(tmp_path, {"fpn": 0.3, "gffpn": 0.9}, seeds=3, asked=Question(looks=(3, 6)))
    runs = [run for arm in answer.arms for run in arm.runs]
    runs[-1] = Run(("neck=gffpn", "seed=2"), "diverged", None, None, "the loss is nan")
    assert study("invented", runs, answer.question).contrasts[0].verdict is not None
    assert (
        study("invented", runs[:-1], answer.question).contrasts[0].reason.startswith("not at a declared look")
    )


def test_seeds_of_one_arm_on_other_images_are_not_compared(tmp_path: Path) -> None:
    answer = made(tmp_path, {"fpn": 0.3, "gffpn": 0.9})
    last = answer.arms[1].runs[-1]
    assert last.path
    more = predictions(0.9, images=14, classes=("pock", "flaw"))
    write_predictions(RunFolder(last.path).predictions, {"val": more, "test": more})
    runs = [run for arm in answer.arms for run in arm.runs]
    for endpoint in ("mAP50", "AP_32_96"):
        (one,) = study("invented", runs, Question()).explore(endpoint)
        assert (one.reason, one.estimate) == ("tested on different images", None)


@pytest.mark.parametrize(
    ("endpoint", "count"), [("AP_0_8", 0), ("AP_8_16", 2), ("AP50/bright", 2), ("mAP50", None)]
)
def test_too_few_objects_for_a_verdict_are_named_before_the_sweep(
    endpoint: str, count: int | None, tiny: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    gffpn(["plan", *tiny, "neck=fpn", "seed=0,1", f"experiment.primary_endpoint=test/{endpoint}"])
    said = f"test/{endpoint}: the test split has {count} such objects, and a verdict needs 20"
    assert (said in capsys.readouterr().err) == (count is not None)


def test_predictions_of_another_run_are_noted(tmp_path: Path) -> None:
    answer = made(tmp_path, {"fpn": 0.3, "gffpn": 0.9})
    runs = [run for arm in answer.arms for run in arm.runs]
    first, last = runs[0].path, runs[-1].path
    assert first
    assert last
    shutil.copy(RunFolder(first).predictions, RunFolder(last).predictions)
    mixed = study("invented", runs, Question())
    (note,) = mixed.notes
    assert note.startswith(f"{last}: predictions.npz does not give the mAP50 of metrics.json, and contrasts")
    RunFolder(last).predictions.unlink()
    (note,) = study("invented", runs, Question()).notes
    assert note.endswith("; contrasts are without this run")


def differing(record: Record, key: str) -> Record:
    """Return a record whose training differs in what the setting `key` may change."""
    if key == "trainer.precision":
        return replace(record, settings=replace(record.settings, precision="16-mixed"))
    if key == "data.root":
        return replace(record, data=replace(record.data, fingerprint="another"))
    training = {"trainer.accelerator": {"devices": ("another",)}, "trainer.devices": {"processes": 2}}[key]
    return replace(record, training=replace(record.training, **training))


@pytest.mark.parametrize(
    ("key", "group", "reason"),
    [
        ("trainer.precision", "trainer", "trained in different precisions"),
        ("trainer.accelerator", "trainer", "trained on different devices"),
        ("trainer.devices", "trainer", "trained by different numbers of processes"),
        ("data.root", "data", "trained on different data"),
    ],
)
def test_arms_whose_trainings_differ_are_compared_only_if_they_differ_in_a_setting(
    answer: Study, key: str, group: str, reason: str
) -> None:
    def elsewhere(run: Run) -> Run:
        assert run.record
        return replace(run, record=differing(run.record, key))

    def with_words(run: Run, *overrides: str) -> Run:
        return replace(run, overrides=(*run.overrides, *overrides))

    def verdict_on(*overrides: str, both: Sequence[str] = ()) -> str:
        first = [with_words(run, *both) for run in answer.arms[0].runs]
        second = [with_words(elsewhere(run), *both, *overrides) for run in answer.arms[1].runs]
        return study("invented", [*first, *second], Question()).contrasts[0].reason

    assert verdict_on() == reason
    assert verdict_on(f"{key}=other") == ""
    assert verdict_on(f"{group}=other") == ""
    # a word of the command that holds for all runs varies nothing
    assert verdict_on(both=[f"{key}=auto"]) == reason
    assert verdict_on(both=[f"{group}=one"]) == reason
    everywhere = [elsewhere(run) for arm in answer.arms for run in arm.runs]
    assert study("invented", everywhere, Question()).contrasts[0].reason == ""


@pytest.mark.parametrize("key", ["trainer.precision", "trainer.accelerator", "trainer.devices"])
def test_arms_of_which_other_shares_trained_elsewhere_are_not_compared(answer: Study, key: str) -> None:
    def reason(*elsewhere: int) -> str:
        """Return why there is no verdict if the first runs of each arm, so many, trained elsewhere."""
        runs = [
            replace(run, record=differing(run.record, key)) if run.record and at < count else run
            for arm, count in zip(answer.arms, elsewhere, strict=True)
            for at, run in enumerate(arm.runs)
        ]
        return study("invented", runs, Question()).contrasts[0].reason

    assert reason(1, 1) == reason(2, 2) == ""
    assert reason(1, 2).startswith("trained ")


def test_seeds_of_one_arm_that_trained_for_other_numbers_of_epochs_are_not_compared(answer: Study) -> None:
    *others, last = answer.arms[1].runs
    assert last.record
    longer = replace(last.record, settings=replace(last.record.settings, epochs=99))
    runs = [*answer.arms[0].runs, *others, replace(last, record=longer)]
    (found,) = study("invented", runs, Question()).contrasts
    assert found.reason == f"{answer.arms[1].name}: trained for different numbers of epochs"


def test_a_pair_that_is_declared_in_both_orders_is_one_test(answer: Study) -> None:
    runs = [run for arm in answer.arms for run in arm.runs]
    pair = ("gffpn", "fpn")
    once, twice = (
        study("invented", runs, Question(contrasts=asked)) for asked in ((pair,), (pair, pair[::-1]))
    )
    assert once.contrasts[0].verdict
    assert [one.verdict for one in twice.contrasts] == [once.contrasts[0].verdict]


def test_seeds_of_one_arm_on_other_training_images_are_not_compared(answer: Study) -> None:
    *others, last = answer.arms[1].runs
    assert last.record
    moved = replace(last, record=differing(last.record, "data.root"))
    for words in ((), ("data.root=other",)):  # of the whole arm
        second = [replace(run, overrides=(*run.overrides, *words)) for run in (*others, moved)]
        (found,) = study("invented", [*answer.arms[0].runs, *second], Question()).contrasts
        assert found.reason.endswith(": trained on different data")


def test_an_arm_under_two_names_is_no_comparison_and_counts_once(answer: Study) -> None:
    runs = [run for arm in answer.arms for run in arm.runs]
    again = [
        replace(run, overrides=(*run.overrides, "ablation=star_residual")) for run in answer.arms[1].runs
    ]
    asked = replace(answer.question, contrasts=(("gffpn", "fpn"),))
    twice = study("invented", [*runs, *again], asked)
    alone = study("invented", runs, asked)
    assert any("are the same runs" in note for note in twice.notes)
    by_arms = {
        (one.a.name, one.b.name): one
        for one in compare(twice.arms, list(permutations(twice.arms, 2)), "mAP50", asked)
    }
    same = [one for one in by_arms.values() if one.reason == "the same runs"]
    assert len(same) == 2
    found = [one.estimate for one in twice.contrasts if one.estimate]
    assert found
    assert {one.df for one in found} == {one.estimate.df for one in alone.contrasts if one.estimate}


def test_the_number_of_objects_stands_in_the_head_only_where_all_runs_agree(answer: Study) -> None:
    first = next(head for head in arm_cells(answer)[0] if head.startswith("AP 16-32"))
    assert re.fullmatch(r"AP 16-32 \(n=\d+\)", first)
    last = answer.arms[1].runs[-1]
    assert last.record
    test = last.record.test
    bins = tuple(replace(one, objects=one.objects + 1) for one in test.bins)
    other = replace(last, record=replace(last.record, test=replace(test, bins=bins)))
    arm = replace(answer.arms[1], runs=(*answer.arms[1].runs[:-1], other))
    assert "AP 16-32" in arm_cells(replace(answer, arms=(answer.arms[0], arm)))[0]


def test_a_test_set_without_objects_does_not_mean_that_nothing_was_learned(answer: Study) -> None:
    runs = []
    for run in (run for arm in answer.arms for run in arm.runs):
        assert run.record
        runs.append(replace(run, record=replace(run.record, test=replace(run.record.test, mAP50=None))))
    assert study("empty", runs, Question()).notes == ()


def test_few_objects_give_an_interval_without_verdict(answer: Study) -> None:
    (small,) = answer.explore("AP_8_16")
    assert small.reason.startswith("too few objects (")
    assert small.estimate is not None
    assert small.verdict is None
    line = contrast_cells(replace(answer, contrasts=(small,)))[1][0]
    assert " to " in line[4]
    assert line[2].startswith("no verdict: too few objects")
    assert "95 % interval" in sentence(small, answer.question)


def test_bins_that_hold_other_objects_are_not_compared(answer: Study) -> None:
    runs = []
    for run in answer.arms[1].runs:
        assert run.record
        test = run.record.test
        bins = tuple(replace(one, objects=one.objects + 1) for one in test.bins)
        runs.append(replace(run, record=replace(run.record, test=replace(test, bins=bins))))
    other = replace(answer.arms[1], runs=tuple(runs))
    (found,) = compare((answer.arms[0], other), [(other, answer.arms[0])], "AP_8_16", answer.question)
    assert found.reason == "the bins of size hold different objects"


def test_missing_contrasts_count_in_the_family(answer: Study) -> None:
    """So that a verdict does not change when the missing runs finish."""
    alone = answer.contrasts[0].verdict
    missing = Arm("panet", (Run(("neck=panet",), "missing", None, None),), ())
    pairs = [(answer.arms[1], answer.arms[0]), (missing, answer.arms[0])]
    both = compare((*answer.arms, missing), pairs, "mAP50", answer.question)[0].verdict
    assert alone is not None
    assert both is not None
    assert both.p == pytest.approx(min(2 * alone.p, 1))
