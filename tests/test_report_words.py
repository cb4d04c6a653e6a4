"""Do the words of a report follow from the verdicts alone, with units, and name the data and what is few?"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from fake_runs import predicted_run, record
from gffpn.report.analyses import Analyses, error_differences, possible_errors, read_analyses
from gffpn.report.answer import answer_lines, answer_markdown, contrast_cells, legend, need_words, sentence
from gffpn.report.caption import caption, data_words
from gffpn.report.facts import Facts, StudyFacts
from gffpn.report.figures.drawn import drawings
from gffpn.report.figures.forest import forest
from gffpn.report.figures.sizes import count_word, few_words
from gffpn.report.page.contents import contents
from gffpn.report.page.detection import detection_table
from gffpn.report.page.document import page
from gffpn.report.page.operating import gains_table, rates_table
from gffpn.report.page.tables import contrasts_table, costs_table, exploratory_table
from gffpn.report.scale import scale_words
from gffpn.report.table import row_of
from gffpn.report.timing import doubt_of_timing
from gffpn.report.which import not_compared, which
from gffpn.report.write import markdown
from gffpn.runs.folder import RunFolder
from gffpn.runs.record import Record
from gffpn.stats.bands import Band
from gffpn.stats.error_types import ErrorType
from gffpn.stats.planning import Need
from gffpn.stats.question import Question
from gffpn.stats.runs import Arm, Run
from gffpn.stats.study import Contrast, Study, study
from gffpn.stats.verdicts import Verdict, Word
from gffpn.verbs.plan import seed_words
from gffpn.verbs.report import PAGES

MINUS = "\N{MINUS SIGN}"


def arm(name: str, params: int = 1_000_000, made: Record | None = None) -> Arm:
    made = made or record(name)
    made = replace(made, cost=replace(made.cost, params=params))
    return Arm(name, (Run((f"neck={name}", "seed=0"), "finished", None, made),), ())


def asked(pairs: Sequence[tuple[Arm, Arm, Word | str]], arms: Sequence[Arm], *, small: bool = False) -> Study:
    """Return a study with these verdicts; any other word is the reason why there is none."""
    contrasts = []
    for a, b, word in pairs:
        if word in ("better", "worse", "same", "cannot tell"):
            verdict = Verdict(word, 0.01, (0.0, 0.0), small, 0.02)
            contrasts.append(Contrast(a, b, "mAP50", verdict=verdict))
        else:
            contrasts.append(Contrast(a, b, "mAP50", reason=word))
    return Study("s", Question(), tuple(arms), tuple(contrasts))


FPN, PANET, GFFPN = arm("fpn", 1), arm("panet", 3), arm("gffpn", 2)
THREE = (FPN, PANET, GFFPN)


@pytest.mark.parametrize(
    ("panet", "gffpn", "said"),
    [
        (
            "cannot tell",
            "cannot tell",
            "No arm is shown to differ from fpn on mAP50; fpn has the fewest parameters.",
        ),
        ("cannot tell", "better", "gffpn is better than fpn on mAP50; panet: cannot tell."),
        ("better", "better", "panet, gffpn are better than fpn on mAP50."),
        ("worse", "better", "gffpn is better than fpn on mAP50; panet is worse than fpn on mAP50."),
        (
            "same",
            "cannot tell",
            "panet is the same as fpn within the margin on mAP50; gffpn: cannot tell; "
            "fpn has the fewest parameters.",
        ),
        (
            "gffpn: no finished run",
            "cannot tell",
            "gffpn is not shown to differ from fpn on mAP50; panet: no verdict; fpn has fewer parameters.",
        ),
        ("one seed", "one seed", "No verdict: one seed."),
    ],
)
def test_one_sentence_says_which_arm_by_the_verdicts(panet: str, gffpn: str, said: str) -> None:
    assert which(asked([(PANET, FPN, panet), (GFFPN, FPN, gffpn)], THREE)) == said


def test_the_sentence_of_pairs_without_a_common_arm_names_both() -> None:
    other = arm("afpn", 1)
    pairs = [(GFFPN, FPN, "better"), (PANET, other, "cannot tell")]
    assert which(asked(pairs, (*THREE, other))) == (
        "gffpn is better than fpn on mAP50; panet against afpn: cannot tell."
    )
    # two arms have the fewest parameters
    pairs = [(GFFPN, FPN, "cannot tell"), (PANET, other, "cannot tell")]
    assert which(asked(pairs, (*THREE, other))) == (
        "gffpn is not shown to differ from fpn on mAP50; panet is not shown to differ from afpn on mAP50."
    )


def test_many_pairs_that_cannot_tell_are_counted_and_none_is_a_neck() -> None:
    rungs = [arm(name, params) for params, name in enumerate(("none", "fpn", "lsam", "gate", "star"), 1)]
    pairs = [(b, a, "cannot tell") for a, b in pairwise(rungs)]
    assert which(asked(pairs, rungs)) == (
        "None of 4 contrasts shows a difference on mAP50; neck=none has the fewest parameters."
    )
    assert (
        which(asked([(rungs[1], rungs[0], "better")], rungs[:2])) == "fpn is better than neck=none on mAP50."
    )


def test_a_difference_below_the_margin_is_called_so() -> None:
    assert which(asked([(GFFPN, FPN, "better")], (FPN, GFFPN), small=True)) == (
        "gffpn is better than fpn on mAP50, by less than the margin."
    )
    assert which(asked([], (FPN,))) == ""


def test_pairs_that_nobody_asked_for_are_named_with_the_setting() -> None:
    both = asked([(PANET, FPN, "cannot tell"), (GFFPN, FPN, "cannot tell")], THREE)
    said = f"Not compared: gffpn {MINUS} panet. 'experiment.contrasts=[[gffpn,panet]]' asks for it."
    assert not_compared(both) == said
    assert answer_lines(both)[-1] == said
    undecided = [replace(one, verdict=None, reason="one seed") for one in both.contrasts]
    assert f"\n\n{said}\n\n" in answer_markdown(replace(both, contrasts=tuple(undecided)))
    declared = replace(both, question=Question(contrasts=(("panet", "fpn"), ("gffpn", "fpn"))))
    assert not_compared(declared) == ""
    assert not_compared(replace(both, arms=(FPN, PANET), contrasts=both.contrasts[:1])) == ""
    five = [FPN, PANET, GFFPN, arm("afpn"), arm("bifpn")]
    many = asked([(one, FPN, "cannot tell") for one in five[1:]], five)
    assert re.fullmatch(
        r"Not compared: gffpn . panet, afpn . panet, bifpn . panet and 3 more\. "
        r"'experiment\.contrasts=\[\[gffpn,panet\],\[afpn,panet\],\[bifpn,panet\]\]' asks for the first 3\.",
        not_compared(many),
    )


def test_pairs_that_differ_in_one_setting_come_first_and_their_words_are_quoted() -> None:
    runs = [
        Run((f"neck={neck}", f"backbone={backbone}"), "missing", None, None)
        for neck in ("fpn", "gffpn")
        for backbone in ("darknet53", "cspdarknet")
    ]
    said = not_compared(study("four", runs, Question()))
    first = '["gffpn cspdarknet","gffpn darknet53"]'
    others = '["gffpn cspdarknet","fpn darknet53"],["gffpn darknet53","fpn cspdarknet"]'
    assert f"'experiment.contrasts=[{first},{others}]'" in said


def made(runs: Path, skills: dict[str, float], *, seeds: int = 3, **facts: Any) -> Study:
    """Return a study of invented runs, in which each neck finds objects with a probability of its own."""
    found = [
        Run((f"neck={neck}", f"seed={seed}"), "finished", path, RunFolder(path).read())
        for neck, skill in skills.items()
        for seed in range(seeds)
        for path in [predicted_run(runs, neck, skill=skill, seed=seed, **facts)]
    ]
    return study("invented", found, Question())


@pytest.fixture(scope="module")
def clear(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return made(tmp_path_factory.mktemp("runs"), {"fpn": 0.3, "gffpn": 0.9})


def test_every_number_of_points_has_its_unit(clear: Study) -> None:
    (one,) = clear.contrasts
    assert one.verdict
    unknown = replace(one, verdict=replace(one.verdict, word="cannot tell"), need=Need(7, None))
    (sentence,) = [
        line
        for line in answer_lines(replace(clear, contrasts=(unknown,)))
        if line.startswith("gffpn against fpn: cannot tell")
    ]
    assert sentence.endswith(
        "; to find a difference of 1.0 points with 80 % probability: 4 more seeds per arm."
    )
    enough = replace(unknown, need=Need(3, None))
    assert need_words(enough, clear.question) == "enough seeds for 1.0 points: the difference may be smaller"
    said = "; a difference of 1.0 points would be found with 80 % probability, so it may be smaller."
    assert any(line.endswith(said) for line in answer_lines(replace(clear, contrasts=(enough,))))
    assert "Margin: 1.0 points." in answer_markdown(clear)


def test_more_seeds_are_those_of_the_arm_that_has_fewer(clear: Study) -> None:
    (one,) = clear.contrasts
    assert one.verdict
    assert one.estimate
    unknown = replace(one, verdict=replace(one.verdict, word="cannot tell"), need=Need(7, None))
    unequal = replace(unknown, estimate=replace(one.estimate, seeds=(3, 6)))
    assert need_words(unequal, clear.question) == "7 seeds per arm"


@pytest.mark.parametrize(
    ("looks", "factor", "words"),
    [
        ((), 3, " as one of several contrasts"),
        ((3, 6), 1, " at one of 2 looks, each at 2.5 %"),
        ((3, 6), 3, " as one of several contrasts at one of 2 looks, each at 2.5 %"),
    ],
)
def test_an_interval_without_zero_says_why_it_cannot_tell(
    clear: Study, looks: tuple[int, ...], factor: int, words: str
) -> None:
    (one,) = clear.contrasts
    assert one.verdict
    assert one.estimate
    p = factor * one.estimate.p
    unknown = replace(one, verdict=replace(one.verdict, word="cannot tell", p=p), need=None)
    said = sentence(unknown, Question(looks=looks))
    assert said.endswith(f", but p < 0.001{words}).")


@pytest.mark.parametrize(
    ("p", "looks", "words"),
    [
        (0.0004, (), "< 0.001"),
        (0.0421, (), "0.042"),
        (0.0499, (), "0.0499"),
        (0.0499997, (), "0.0499997"),
        (0.05, (), "0.050"),
        (0.0501, (), "0.050"),
        (math.nextafter(0.05, 0), (), "0.049999999999999996"),
        (0.02498, (3, 6), "0.02498"),
        (0.0251, (3, 6), "0.025"),
        (0.0166, (3, 6, 12), "0.0166"),
        (0.0167, (3, 6, 12), "0.017"),
    ],
)
def test_a_printed_p_value_is_on_the_side_of_its_verdict(
    clear: Study, p: float, looks: tuple[int, ...], words: str
) -> None:
    asked = Question(looks=looks)
    (one,) = clear.contrasts
    assert one.verdict
    judged = replace(one, verdict=replace(one.verdict, p=p))
    assert f"; p {words})." in sentence(judged, asked)
    _, (cells,) = contrast_cells(replace(clear, question=asked, contrasts=(judged,)))
    assert words in cells


@pytest.mark.parametrize(
    ("margin", "words"),
    [(0.01, "1.0"), (0.07, "7.0"), (0.125, "12.5"), (0.0025, "0.25"), (0.0005, "0.05"), (1 / 30, "3.33333")],
)
def test_a_margin_is_not_rounded(clear: Study, margin: float, words: str) -> None:
    asked = replace(clear, question=Question(margin=margin))
    (one,) = clear.contrasts
    assert one.verdict
    same = replace(one, verdict=replace(one.verdict, word="same"))
    drawn = forest(asked)
    assert drawn
    assert f"Margin: {words} points." in " ".join(legend(asked))
    assert f" are the same within {words} points " in sentence(same, asked.question)
    assert f" a difference matters from {words} points on." in str(
        contents("s", asked, None, with_pictures=False)
    )
    assert f"differences below the margin of {words} points." in " ".join(drawn.caption.split())
    assert seed_words(3, 0.02, asked.question).endswith(f"(margin: {words}).")


def test_no_probability_is_rounded_to_certainty(clear: Study) -> None:
    (one,) = clear.contrasts
    assert one.estimate
    for share, words in ((0.9996, "> 0.99"), (0.0004, "< 0.01"), (0.994, "0.99"), (0.5, "0.50")):
        known = replace(one, estimate=replace(one.estimate, superiority=share))
        assert words in contrast_cells(replace(clear, contrasts=(known,)))[1][0]


def test_the_legend_counts_the_family_and_the_images_of_all_contrasts(clear: Study) -> None:
    (one,) = clear.contrasts
    assert one.estimate
    assert (said := " ".join(legend(clear))).count(
        "(12 independent ones); p by Holm's rule for 1 contrast."
    ) == 1, said
    on_others = replace(one, estimate=replace(one.estimate, groups=30))
    few = replace(one, endpoint="AP_8_16", verdict=None, reason="too few objects (12)")
    missing = Contrast(replace(one.a, runs=()), one.b, one.endpoint, reason="no finished run")
    both = replace(clear, contrasts=(one, on_others, few, missing))
    assert "(12 or 30 independent ones); p by Holm's rule for 3 contrasts." in " ".join(legend(both))


@pytest.mark.parametrize(
    ("seeds", "detectable", "looks", "words"),
    [
        (1, None, (), "One seed: no verdict."),
        (3, None, (), "What it can detect is known when two seeds of two arms are finished."),
        (
            6,
            None,
            (3, 6),
            "What it can detect is known when 3 seeds of two arms, the first look, are",
        ),
        (5, 0.02, (3, 6), "No verdict with 5 seeds: experiment.looks declares verdicts with 3, 6 seeds."),
        (6, 0.02, (3, 6), "With 6 seeds, a true difference of 2.0 points is found with 80 % probability"),
    ],
)
def test_a_plan_says_whether_its_seeds_end_with_a_verdict(
    seeds: int, detectable: float | None, looks: tuple[int, ...], words: str
) -> None:
    assert seed_words(seeds, detectable, Question(looks=looks)).startswith(words)


def test_the_page_says_with_which_arm_each_is_compared(clear: Study) -> None:
    def basis(study: Study) -> str:
        return str(contents("s", study, None, with_pictures=False)["basis"])

    assert basis(clear).endswith(" Each other arm is compared with fpn.")
    assert basis(replace(clear, arms=clear.arms[:1], contrasts=())).endswith(" points on.")
    (one,) = clear.contrasts
    two = replace(clear, contrasts=(one, replace(one, a=one.b, b=one.a)))
    assert basis(two).endswith(
        " Each arm is compared with the first one from which it differs in one setting."
    )


def test_the_verdict_and_what_is_needed_come_before_the_figures(clear: Study) -> None:
    headers, body = contrast_cells(clear)
    assert headers[:4] == ["contrast", "difference", "verdict", "needed"]
    assert dict(zip(headers, body[0], strict=True))["verdict"] == "better"
    table = contrasts_table(clear)
    assert table
    assert table.lines[0].name == f"gffpn {MINUS} fpn"
    assert [cell.wraps for cell in table.lines[0].cells[:4]] == [False, True, True, False]


@pytest.mark.parametrize(
    ("data", "root", "words"),
    [
        ("coco", "/sets/nuclei", "nuclei, read as data=coco"),
        ("coco", "sets/nuclei/", "nuclei, read as data=coco"),
        ("coco", "", "coco"),
        ("deeppcb", "/sets/deeppcb", "deeppcb"),
        ("tinyindus_sim", "", "tinyindus_sim (SIMULATED data)"),
    ],
)
def test_data_are_named_by_their_folder(data: str, root: str, words: str) -> None:
    assert data_words(record(data=data), root) == words
    overrides = ["neck=fpn", *([f"data.root={root}"] if root else [])]
    row = row_of({"overrides": overrides, "status": "finished"}, record(data=data))
    assert caption([row])[0].startswith(f"{words}, test split, percent")


def test_the_folder_of_a_runs_configuration_is_the_name_everywhere(tmp_path: Path) -> None:
    found = made(tmp_path, {"fpn": 0.4}, seeds=2, data="coco")
    for path in tmp_path.glob("*/config.yaml"):
        path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "data": {"root": "/sets/pcb"}}))
    shown = contents("s0", found, None, with_pictures=False)
    assert shown["data_lines"] == [
        "pcb, read as data=coco; real images; 2 classes: pock, flaw; images: 8 train, 12 val, 12 test. "
        "48 test objects: 1 of 0\N{EN DASH}8 px, 3 of 8\N{EN DASH}16 px, 21 of 16\N{EN DASH}32 px, "
        "23 of 32\N{EN DASH}96 px, "
        "by side in the network's input of 320 px."
    ]
    assert shown["setting"][0].startswith("pcb, read as data=coco, test split")
    text = markdown([found], Facts((StudyFacts("runs", "", ()),)))
    assert "\npcb, read as data=coco, test split" in text


def with_differences(found: Study, **ends: Any) -> Analyses:
    """Return the analyses of a study whose difference of detection has a band of these ends at each side."""
    analyses = read_analyses(found)
    count = len(analyses.curves[0].sides)
    flat = {name: np.full(count, value, dtype=np.float64) for name, value in ends.items()}
    one = analyses.detection_differences[1]
    analyses.__dict__["detection_differences"] = {1: replace(one, **flat)}
    return analyses


def test_detection_at_the_largest_side_is_compared_with_an_interval(clear: Study) -> None:
    analyses = read_analyses(clear)
    one: Band = analyses.detection_differences[1]
    first, second = (analyses.curves[at].band.value for at in (0, 1))
    assert one.value == pytest.approx(second - first)
    table = detection_table(clear, analyses)
    assert table
    assert table.headers[-1][0] == "minus fpn"
    assert table.lines[0].cells[-1].text == ""
    shown = with_differences(clear, value=-0.116, low=-0.239, high=0.008, lower=-0.3, upper=0.05)
    table = detection_table(clear, shown)
    assert table
    assert table.lines[1].cells[-1].text == f"{MINUS}11.6 ({MINUS}23.9 to 0.8)"
    assert table.notes[-1].endswith("no difference to fpn is shown.")
    assert table.notes[-1].startswith("Exploratory")
    assert "centre lies in the object's box" in table.notes[1]


def test_arms_without_verdict_for_their_training_are_not_compared_elsewhere(clear: Study) -> None:
    analyses = read_analyses(clear)
    assert analyses.detection_differences
    assert error_differences(analyses, 1, 0)

    def on_another(run: Run) -> Run:
        assert run.record
        training = replace(run.record.training, devices=("another",))
        return replace(run, record=replace(run.record, training=training))

    first, second = clear.arms
    other = replace(second, runs=tuple(map(on_another, second.runs)))
    for arms in ((first, other), (first, first)):
        analyses = read_analyses(replace(clear, arms=arms))
        assert analyses.detection_differences == {}
        assert error_differences(analyses, 1, 0) is None


def test_bands_that_exclude_zero_say_where(clear: Study) -> None:
    analyses = with_differences(clear, lower=-0.2, upper=0.1)
    upper = analyses.detection_differences[1].upper
    upper[3:6] = -0.01
    table = detection_table(clear, analyses)
    assert table
    low, high = analyses.curves[0].sides[[3, 5]]
    assert f"gffpn finds less than fpn at {low:.1f} to {high:.1f} px; else no" in table.notes[-1]


def test_detection_of_one_seed_is_about_its_weights(tmp_path: Path) -> None:
    found = made(tmp_path, {"fpn": 0.3, "gffpn": 0.9}, seeds=1)
    table = detection_table(found, read_analyses(found))
    assert table
    assert table.notes[-1].endswith("about these weights, not about the neck.")
    alone = made(tmp_path / "alone", {"fpn": 0.3}, seeds=1)
    table = detection_table(alone, read_analyses(alone))
    assert table
    assert [name for name, _ in table.headers] == ["a50", "a90", "a90/95", "floor", "ceiling"]


def test_minutes_are_left_out_where_they_do_not_compare(clear: Study) -> None:
    table = costs_table(clear)
    assert table.lines[0].cells[-1].text == "12.5"
    assert table.notes == ("FPS and minutes: medians over the seeds.",)
    arms = [
        replace(
            one,
            runs=tuple(
                replace(run, record=replace(run.record, choice=replace(run.record.choice, launcher="joblib")))
                for run in one.runs
                if run.record
            ),
        )
        for one in clear.arms
    ]
    table = costs_table(replace(clear, arms=tuple(arms)))
    assert [cell.text for cell in table.lines[0].cells[-3:]] == ["n/a", "n/a", "12.5"]  # all shared it alike
    assert table.notes[0].endswith(
        "Left out (n/a): timed while other processes may have used the same machine."
    )
    table = costs_table(replace(clear, arms=(arms[0], *clear.arms[1:])))
    assert [cell.text for cell in table.lines[0].cells[-3:]] == ["n/a"] * 3


@pytest.mark.parametrize(
    "training", [{"devices": ("another",)}, {"threads": (2, 1)}, {"minutes_others": 0.3}]
)
def test_minutes_of_runs_that_did_not_train_alike_are_left_out(
    clear: Study, training: dict[str, Any]
) -> None:
    first, *others = clear.arms[1].runs
    assert first.record
    moved = replace(first.record, training=replace(first.record.training, **training))
    arm = replace(clear.arms[1], runs=(replace(first, record=moved), *others))
    table = costs_table(replace(clear, arms=(clear.arms[0], arm)))
    assert [cell.text for cell in table.lines[0].cells[-2:]] == ["25.0", "n/a"]
    assert table.notes[0].endswith(" Minutes are left out: the runs differ in device, threads or neighbours.")


def test_speeds_of_different_versions_of_torch_are_not_compared(clear: Study) -> None:
    def with_torch(run: Run) -> Run:
        assert run.record
        origin = replace(run.record.provenance, libraries={"torch": "2.0"})
        return replace(run, record=replace(run.record, provenance=origin))

    a, b = clear.arms
    assert doubt_of_timing(a, b) == ""
    other = replace(b, runs=tuple(map(with_torch, b.runs)))
    assert doubt_of_timing(a, other) == "timed with different versions of torch"


@pytest.mark.parametrize(
    ("timed", "doubt"),
    [
        (lambda seed: None, "not timed yet; repeating the sweep's command does it"),
        (lambda seed: "gffpn_s0", "one timing of an arm; timings vary"),
        (lambda seed: f"gffpn_s{seed}", ""),
    ],
)
def test_one_timing_for_all_seeds_counts_once(
    clear: Study, timed: Callable[[int], str | None], doubt: str
) -> None:
    def with_speed(run: Run) -> Run:
        assert run.record
        assert run.record.speed
        name = timed(run.record.seed)
        speed = replace(run.record.speed, timed_run=name) if name else None
        return replace(run, record=replace(run.record, speed=speed))

    a, b = (replace(arm, runs=tuple(map(with_speed, arm.runs))) for arm in clear.arms[:2])
    assert doubt_of_timing(a, b) == doubt


def test_single_intervals_are_called_so(clear: Study) -> None:
    table = exploratory_table(clear, read_analyses(clear))
    assert table
    assert "95 % interval of this difference by itself" in table.caption
    assert "hold for all sizes of a contrast together" in table.notes[0]
    assert table.lines[0].name == f"gffpn {MINUS} fpn"


def test_errors_that_one_class_cannot_have_are_left_out(tmp_path: Path, clear: Study) -> None:
    assert possible_errors(clear) == tuple(ErrorType)
    one = made(tmp_path, {"fpn": 0.3, "gffpn": 0.9}, seeds=2, classes=("nucleus",))
    kept = ["localisation", "duplicate", "background", "missed"]
    assert [kind.name.lower() for kind in possible_errors(one)] == kept
    (drawn,) = (figure for name, figure in drawings(one).items() if name.startswith("errors_"))
    assert [label.get_text() for label in drawn.figure.axes[0].get_yticklabels()] == kept
    gains = gains_table(one, read_analyses(one))
    assert gains
    assert [name for name, _ in gains.headers] == kept


def test_overkill_without_a_clean_image_says_why(clear: Study) -> None:
    table = rates_table(clear, read_analyses(clear))
    assert table
    assert table.headers[-1] == ("overkill", "n=0")
    assert table.lines[0].cells[-1].text == "n/a"
    assert table.notes[0].endswith("n/a, because every test image has an object.")


def test_few_objects_are_marked_in_the_figures_by_size(clear: Study) -> None:
    bins = record().test.network_bins  # 0, 12, 40, 81 and 5 objects
    assert [count_word(one) for one in bins[1:4]] == ["n=12, few", "n=40, few", "n=81"]
    assert few_words(bins[2:]) == " Few objects (40) at 16\N{EN DASH}32 px, (5) at 96+ px."
    assert few_words(bins[3:4]) == ""
    drawn = drawings(clear)
    for name in ("sizes", "size_differences", next(name for name in drawn if name.startswith("errors_"))):
        assert "Few objects (" in drawn[name].caption, name


def test_differences_have_a_true_minus_sign_on_the_page(clear: Study) -> None:
    html = page([clear], pictures=False)
    assert f"gffpn {MINUS} fpn" in html
    assert "gffpn - fpn" not in html
    text = re.sub(r"<(style|script)>.*?</\1>|<[^>]*>", " ", html, flags=re.DOTALL)
    assert re.findall(r"[( ]-\d\S*", text) == []


def test_the_scale_of_the_paper_is_named_if_ours_is_another(clear: Study) -> None:
    assert scale_words([clear]) == (
        "The paper's detectors with cspdarknet have 40.7 to 58.5 M parameters at 640 px; "
        "those here have 1.3 to 1.5 M at 320 px."
    )
    own = record()
    large = replace(own, image_size=(640, 640), cost=replace(own.cost, params_m=42.0))
    assert scale_words([asked([], (arm("fpn", made=large),))]) == ""
    assert scale_words([]) == ""


def test_a_page_is_recognised_before_another_one_replaces_it(clear: Study) -> None:
    assert page([clear], pictures=False).encode().startswith(PAGES["report.html"])


def test_the_page_explains_its_words() -> None:
    html = page([])
    words = re.findall(r"<dt>(.*?)</dt>", html)
    assert {"neck", "arm", "contrast", "seed", "mAP50", "Holm", "endpoint", "margin", "escape"} <= set(words)
    assert len(words) == len(re.findall(r"<dd>[^<]+\.</dd>", html))
