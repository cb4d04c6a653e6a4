"""Does `gffpn parts` compute figures on parts of the test images, and their differences, with intervals?"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fake_runs import predicted_run, predictions
from fake_sweeps import EXPERIMENT, add_to_config, fake_sweep, kill
from gffpn.__main__ import main
from gffpn.report.collect import collect
from gffpn.report.parts import parts_of
from gffpn.report.seeds import with_seeds
from gffpn.runs.predictions import write_predictions
from gffpn.runs.sweeps import record_job
from gffpn.stats.draws import draws
from gffpn.stats.estimate import Family, Sample
from gffpn.stats.parts import compared, part_figures, parts_by_name
from gffpn.stats.replicates import replicates
from hand_predictions import erring_detector


def test_parts_are_found_by_name() -> None:
    masks = parts_by_name(["a-0.png", "a-1.png", "b-0.png", "c.png"], {"first": r"-0\.png$", "second": "-1"})
    assert masks["first"].tolist() == [True, False, True, False]
    assert masks["second"].tolist() == [False, True, False, False]
    for patterns, fault in (
        ({"x": "("}, "--part x: '\\(' is no regular expression"),
        ({"x": "z"}, "--part x: 'z' is in no image's name, such as a.png"),
        ({"x": "a", "y": "png"}, "--part: a.png belongs to two parts"),
    ):
        with pytest.raises(ValueError, match=fault):
            parts_by_name(["a.png", "b.png"], patterns)


def test_a_part_of_all_images_has_the_figures_of_the_whole() -> None:
    found = erring_detector(2, images=30)
    whole = replicates(found, count=300, only=["mAP50"])["mAP50"]
    every = {"all": np.ones(30, bool)}
    part = part_figures(found, every, draws(found.groups, 300), max_detections=100)["all"]
    assert part.point == whole.point
    assert (part.values == whole.values).all()
    assert (part.influence == whole.influence).all()


def test_a_part_ignores_all_other_images() -> None:
    found = erring_detector(4, images=30)
    mask = np.arange(30) < 12
    evaluated = found.evaluated
    others = ~mask[evaluated.detections.image]
    spoilt = evaluated._replace(scores=np.where(others, 1.0 - evaluated.scores / 2, evaluated.scores))
    one, other = (
        part_figures(each, {"part": mask}, draws(found.groups, 50), max_detections=100)["part"]
        for each in (found, replace(found, evaluated=spoilt))
    )
    assert one.point == other.point
    assert (one.values == other.values).all()


def test_twins_that_are_equal_have_no_gap() -> None:
    """Both parts show the same objects and detections, and their images are drawn together."""
    one = erring_detector(6, images=20)
    found = _twice(one)
    masks = {"a": np.arange(40) < 20, "b": np.arange(40) >= 20}
    seed = part_figures(found, masks, draws(found.groups, 200), max_detections=100)
    parts = compared({"arm": [seed, seed]}, [], {"a": 1, "b": 1}, pooled=["arm"])
    assert parts.arms["arm"]["gap"].delta == 0
    assert parts.arms["arm"]["gap"].interval() == pytest.approx((0, 0), abs=1e-12)
    assert parts.arms["arm"]["a"].interval()[0] < parts.arms["arm"]["a"].delta


def _twice(one: object) -> object:
    found = one.evaluated
    images = len(one.names)

    def both(boxes: object) -> object:
        return type(boxes)(
            np.concatenate([boxes.image, boxes.image + images]),
            np.tile(boxes.label, 2),
            np.tile(boxes.xyxy, (2, 1)),
        )

    return replace(
        one,
        names=tuple(f"{name}-{twin}" for twin in (0, 1) for name in one.names),
        groups=one.groups * 2,
        sizes=np.tile(one.sizes, (2, 1)),
        evaluated=found._replace(
            image_index=np.arange(2 * images),
            scales=np.tile(found.scales, (2, 1)),
            detections=both(found.detections),
            scores=np.tile(found.scores, 2),
            objects=both(found.objects),
            crowd=np.tile(found.crowd, 2),
        ),
    )


def test_the_interval_of_a_mean_has_its_nominal_coverage() -> None:
    """Normal figures with a part from seeds and a part from images, crossed; three seeds and 40 images."""
    rng, held, repeats = np.random.default_rng(0), 0, 400
    for _ in range(repeats):
        seeds, images = rng.normal(0, 1.0, (4, 3)), rng.normal(0, 4.0, 40)
        counts = draws([str(k) for k in range(40)], 300)
        mean = counts.T @ images / 40
        arms = [
            Sample(
                one + images.mean(), one[:, None] + mean[None], np.tile((images - images.mean()) / 40, (3, 1))
            )
            for one in seeds
        ]
        low, high = Family(arms).mean(arms[0]).interval()
        held += low < 0 < high
    assert 0.92 < held / repeats < 0.98


def test_a_run_without_predictions_and_one_without_seeds_are_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = fake_sweep(tmp_path, skills={"fpn": 0.4, "gffpn": 0.9, "a|b": 0.5})
    fake_sweep(tmp_path, "alone", skills={"panet": 0.4}, seeds=(0,))
    (tmp_path / "fpn_plain_tinyindus_sim_s1" / "predictions.npz").unlink()
    words = [str(tmp_path), "--out", str(tmp_path / "o")]
    main(["parts", "--part", "early=^00[0-5]", *words])
    printed = capsys.readouterr().out
    assert "NOTE: alone: left out, as no arm has two finished runs" in printed
    assert (
        f"NOTE: {sweep.name}: {tmp_path / 'fpn_plain_tinyindus_sim_s1' / 'predictions.npz'}: missing"
        in printed
    )
    assert "| a\\|b " in (tmp_path / "o" / "parts.md").read_text()
    main(["luck", "--objects", "9", "--sets", "20", *words])
    assert "NOTE: alone: left out, as no arm has two finished runs" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["parts", "--part", "early=^00[0-5]"], ["luck", "--objects", "9"]])
def test_only_arms_and_contrasts_with_intervals_are_shown_and_the_page_says_so(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An arm of one run is left out, as the report gives it no interval; what is left out is named."""
    asked = {**EXPERIMENT, "contrasts": [["gffpn", "fpn"], ["gffpn", "panet"], ["panet", "fpn"]]}
    sweep = fake_sweep(tmp_path, experiment=asked)
    for seed in (1, 2):
        kill(tmp_path / f"panet_plain_tinyindus_sim_s{seed}")
    kill(tmp_path / "fpn_plain_tinyindus_sim_s0")
    main([*words, str(sweep), "--out", str(tmp_path / "o")])
    printed = capsys.readouterr().out
    page = next((tmp_path / "o").glob("*.md")).read_text()
    left_out = "panet: left out, as it has fewer than two finished runs with predictions"
    assert f"NOTE: necks: {left_out}" in printed
    assert f"NOTE: {left_out}." in page
    assert all("Runs per arm: 2 (fpn), 3 (gffpn)." in text for text in (printed, page))
    assert not [line for line in page.splitlines() if line.startswith("| ") and "panet" in line]


def test_an_arm_that_is_there_twice_adds_no_seeds(tmp_path: Path) -> None:
    """Two names of the same runs: the intervals are those without the second name."""
    sweep = fake_sweep(tmp_path, skills={"fpn": 0.4, "gffpn": 0.9})
    found = []
    for seeds in ((), (0, 1, 2)):
        for number, seed in enumerate(seeds, start=6):
            run = tmp_path / f"gffpn_plain_tinyindus_sim_s{seed}"
            record_job(sweep, number, overrides=["neck=again", f"seed={seed}"], run=run)
        (study,) = with_seeds([source.study() for source in collect([sweep])])
        found.append(parts_of(study, {"early": "^00[0-5]"}))
    once, twice = found
    assert once.arms.keys() < twice.arms.keys()
    assert once.arms["fpn"]["early"].interval() == twice.arms["fpn"]["early"].interval()


@pytest.mark.parametrize("words", [["luck", "--objects", "9", "--sets", "2"], ["parts", "--part", "all=."]])
def test_the_name_of_a_data_set_leads_out_of_no_folder(tmp_path: Path, words: list[str]) -> None:
    fake_sweep(tmp_path / "runs", skills={"fpn": 0.4})
    for seed in (0, 1):
        run = predicted_run(tmp_path / "runs", "panet", skill=0.5, seed=seed)
        add_to_config(run, choice={"neck": "panet", "data": "../../mine"})
    out = tmp_path / "a" / "b" / "out"
    main([words[0], str(tmp_path / "runs"), *words[1:], "--out", str(out)])
    pages = {path.parent for path in tmp_path.rglob(f"{words[0]}.md")}
    assert pages == {out / "necks", out / "runs-on-..-..-mine"}


def test_a_fault_names_its_study(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fake_sweep(tmp_path, "a")
    fake_sweep(tmp_path, "b", skills={"afpn": 0.5, "cfpt": 0.6}, classes=("pock",))
    more = predictions(0.9, images=14, classes=("pock",))
    path = tmp_path / "cfpt_plain_tinyindus_sim_s0" / "predictions.npz"
    write_predictions(path, {"val": more, "test": more})
    with pytest.raises(SystemExit):
        main(["luck", str(tmp_path), "--objects", "9", "--sets", "2", "--out", str(tmp_path / "o")])
    assert "ERROR: b: the runs were tested on different images" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["luck", str(tmp_path), "--objects", "10", "--out", str(tmp_path / "o")])
    assert "ERROR: a: --objects: got 10" in capsys.readouterr().err


def test_the_verb(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = fake_sweep(tmp_path)
    main(
        [
            "parts",
            str(sweep),
            "--part",
            "early=^00[0-5]",
            "--part",
            "late=^(00[6-9]|01)",
            "--out",
            str(tmp_path / "o"),
        ]
    )
    printed = capsys.readouterr().out
    assert "gap" in printed
    assert "gffpn \N{MINUS SIGN} fpn" in printed
    page = (tmp_path / "o" / "parts.md").read_text()
    assert all("Data: tinyindus_sim (SIMULATED data)." in text for text in (printed, page))
    assert [word.strip() for word in page.splitlines()[6].split("|")[1:-1]] == [
        "arm",
        "early (n=24)",
        "late (n=24)",
        "gap",
    ]
    assert "early" in (tmp_path / "o" / "parts.svg").read_text()


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["--part", "early"], "--part: got 'early', expected NAME=PATTERN"),
        (["--part", "a=0", "--part", "a=1"], "--part: got a twice"),
        (["--part", "a=zebra"], "--part a: 'zebra' is in no image's name"),
        (["--part", "gap=0"], "--part: got gap, which is the name of the difference"),
        (
            ["--part", "a=^00[0-3]"],
            "--part a: got 16 objects in 4 independent images, expected some objects and",
        ),
    ],
)
def test_wrong_parts_are_refused(
    words: list[str], fault: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = fake_sweep(tmp_path)
    with pytest.raises(SystemExit):
        main(["parts", str(sweep), *words, "--out", str(tmp_path / "o")])
    assert fault in capsys.readouterr().err
