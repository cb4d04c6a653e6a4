"""The HTML page of a report: is everything there, does it stand alone, and can everybody read it?"""

import json
import re
import shutil
import subprocess
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from html import escape, unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from matplotlib.text import Text
from PIL import Image

import gffpn.report.page.document
from fake_runs import finished_run, predicted_run, predictions, write_log
from gffpn.metrics.matching import Boxes
from gffpn.report.facts import Claim, Facts, Gap, RunFacts, StudyFacts
from gffpn.report.figures.canvas import Drawing, axes, inline_svg
from gffpn.report.figures.drawn import drawings, write_figures
from gffpn.report.figures.forest import FARTHEST, forest
from gffpn.report.figures.palette import COLOURS, colour, dash
from gffpn.report.figures.series import LEGEND, fitted, legend, versus, width_of
from gffpn.report.page.document import page, write_page
from gffpn.report.page.verdicts import Said, split
from gffpn.runs.folder import RunFolder
from gffpn.runs.predictions import read_predictions, write_predictions
from gffpn.runs.record import write_record
from gffpn.stats.question import Question
from gffpn.stats.runs import Run
from gffpn.stats.study import Study, study

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
SCRIPT = Path(__file__).parents[1] / "src/gffpn/report/page/script.js"
SKILLS = {"fpn": 0.5, "gffpn": 0.95}
VOID = {"meta", "link", "input", "br", "img", "hr"}


def made_study(runs: Path, *, seeds: int = 3, skills: dict[str, float] = SKILLS, **asked: object) -> Study:
    """Return a study of invented runs, two necks and three seeds unless given."""
    found = [
        Run((f"neck={neck}", f"seed={seed}"), "finished", path, RunFolder(path).read())
        for neck, skill in skills.items()
        for seed in range(seeds)
        for path in [predicted_run(runs, neck, skill=skill, seed=seed)]
    ]
    question = replace(Question(contrasts=(("gffpn", "fpn"),)), **asked)
    return study("invented", found, question)


@pytest.fixture(scope="module")
def invented(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return made_study(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def html(invented: Study) -> str:
    return page([invented])


@pytest.fixture(scope="module")
def drawn(invented: Study) -> Mapping[str, Drawing]:
    return drawings(invented)


class Tree(HTMLParser):
    """Collects the elements of a page and checks that each one is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def values(self, name: str) -> list[str]:
        return [value for _, found in self.elements if (value := found.get(name)) is not None]


def plain(text: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", text).split())


def test_every_section_is_there(html: str) -> None:
    text = plain(html)
    assert re.search(r"gffpn is better than fpn by \d+\.\d points", text)
    assert (
        "Cost: 1.5 against 1.3 M parameters (+15 %), 3 against 2.6 GFLOPs (+15 %), 31.2 against 31.2" in text
    )
    assert "3 seeds per arm, 12 test images with 48 objects" in text
    assert re.search(r'<p class="which">gffpn is better than fpn on mAP50\.</p>', html)
    for heading in ("Differences", "Arms", "Size of the objects", "Cost", "Training", "Operating point"):
        assert f">{heading}</h3>" in html
    for title in (
        "95 % intervals",
        "AP by size",
        "Probability of",
        "against GFLOPs",
        "over epochs",
        "Errors:",
    ):
        assert any(title in found for found in re.findall(r"<h4>(.*?)</h4>", html)), title


def test_the_page_is_well_formed_and_its_links_lead_somewhere(html: str) -> None:
    tree = Tree(html)
    assert tree.open == []
    ids = tree.values("id")
    assert len(ids) == len(set(ids))
    aimed = [link[1:] for link in tree.values("href") if link.startswith("#")]
    aimed += re.findall(r"url\(#([^)]+)\)", html)
    aimed += [one for name in ("aria-labelledby", "aria-describedby") for one in tree.values(name)]
    assert aimed
    assert set(aimed) <= set(ids)


def test_the_page_loads_nothing(html: str) -> None:
    tree = Tree(html)
    links = [*tree.values("href"), *tree.values("src"), *re.findall(r"url\(([^)]*)\)", html)]
    assert [link for link in links if not link.startswith(("#", "data:"))] == []
    assert "@import" not in html
    assert {name for _, found in tree.elements for name in found if name.startswith("on")} == set()


def test_a_page_is_the_same_each_time(invented: Study, html: str) -> None:
    assert page([invented]) == html


def test_the_script_is_small() -> None:
    assert SCRIPT.stat().st_size <= 3 * 1024


def test_every_figure_has_words_and_only_colours_of_the_page(drawn: Mapping[str, Drawing]) -> None:
    for name, drawing in drawn.items():
        svg = inline_svg(drawing, name)
        assert re.search(r"<title id=[^>]*>[^<]{5,}</title><desc id=[^>]*>[^<]{10,}</desc>", svg), name
        assert re.findall(r"#[0-9a-f]{6}\b", svg) == [], name
        assert "DejaVu" not in svg
        assert "<text" in svg


def test_arms_are_linked_in_tables_and_figures(html: str, drawn: Mapping[str, Drawing]) -> None:
    used = {arm for value in Tree(html).values("data-arm") for arm in value.split()}
    assert used == {"0", "1"}
    forest = inline_svg(drawn["forest"], "x")
    # seeds of each arm, and line, point and labels of the contrast
    assert sorted(set(re.findall(r'data-arm="([^"]*)"', forest))) == ["0", "1", "1 0"]


def test_verdicts_are_not_grey_and_tables_show_that_they_continue() -> None:
    style = (SCRIPT.parent / "style.css").read_text()
    rules = re.findall(r"([^{}]+)\{([^{}]*)\}", style)
    # grey is for what cannot tell in the forest plot alone
    assert [
        rule for name, rule in rules if re.search("cannot-tell|no-verdict", name) and "color:" in rule
    ] == []
    (hint,) = [rule for name, rule in rules if ".scroll" in name and "local" in rule]
    assert hint.count(" local") == hint.count(" scroll,") == 2


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_have_contrast(theme: str) -> None:
    # WCAG 2.2: 4.5 for text, 3 for the marks of a figure
    paper = luminance(getattr(COLOURS["paper"], theme))
    for name, one in COLOURS.items():
        if name not in ("paper", "band", "rule"):
            darker, lighter = sorted((luminance(getattr(one, theme)), paper))
            assert (lighter + 0.05) / (darker + 0.05) >= 4.5, name


def test_one_seed_gives_figures_and_no_verdict(tmp_path: Path) -> None:
    text = page([made_study(tmp_path, seeds=1)])
    assert "no verdict (one seed)" in plain(text)
    assert "better than" not in plain(text)
    assert "An arm with one seed: about these weights, not about the neck." in plain(text)
    assert ">Cost</h3>" in text


def test_runs_without_predictions_have_tables_and_a_note(tmp_path: Path) -> None:
    paths = [finished_run(tmp_path, "fpn", seed=seed) for seed in range(2)]
    runs = [Run(("neck=fpn",), "finished", path, RunFolder(path).read()) for path in paths]
    text = plain(page([study("bare", runs, Question())]))
    assert "50.0 ± 0.0 (2)" in text
    assert "predictions.npz: missing" in text


def test_a_study_without_finished_runs_has_a_page(tmp_path: Path) -> None:
    runs = [Run(("neck=fpn", "seed=0"), "failed", None, None, "RuntimeError: no")]
    facts = StudyFacts("runs", "python train.py -m neck=fpn", (RunFacts("neck=fpn", "0", "failed"),))
    gap = Gap("fpn", "0", "failed", "RuntimeError: <no>", "python train.py neck=fpn seed=0")
    text = page([study("none", runs, Question())], facts=Facts((replace(facts, gaps=(gap,)),)))
    assert "No run has finished." in text
    assert "RuntimeError: &lt;no&gt;" in text
    assert "python train.py neck=fpn seed=0" in text
    assert Tree(text).open == []


def test_many_verdicts_show_the_winners_and_fold_the_others() -> None:
    made = [
        Said("better", "a"),
        *[Said("cannot-tell", str(number)) for number in range(8)],
        Said("worse", "b"),
    ]
    shown, folded = split(made)
    assert [one.sentence for one in shown] == ["a", "b"]
    assert len(folded) == 8
    assert split(made[1:9]) == (made[1:9], [])  # few, or nothing but these: all at once


def test_names_with_markup_are_text(tmp_path: Path) -> None:
    found = made_study(tmp_path, seeds=2)
    arms = {arm.name: replace(arm, name=f"<i>{arm.name}</i> $x$ & _y_") for arm in found.arms}
    contrasts = [replace(one, a=arms[one.a.name], b=arms[one.b.name]) for one in found.contrasts]
    text = page([replace(found, name="<b>", arms=tuple(arms.values()), contrasts=tuple(contrasts))])
    assert "<i>" not in text
    assert "<b>" not in plain(text).partition("Verdict")[0]
    assert "&lt;i&gt;gffpn&lt;/i&gt; $x$ &amp; _y_" in text
    assert Tree(text).open == []


@pytest.mark.parametrize("words", ["w" * 300, "darknet53"])
def test_long_names_of_arms_fit(tmp_path: Path, words: str) -> None:
    found = made_study(tmp_path / "runs", seeds=2)
    arms = {arm.name: replace(arm, name=f"{arm.name} {words} {arm.name}") for arm in found.arms}
    contrasts = tuple(replace(one, a=arms[one.a.name], b=arms[one.b.name]) for one in found.contrasts)
    drawn = drawings(replace(found, arms=tuple(arms.values()), contrasts=contrasts))
    assert {"forest", "size_differences", "cost_params", "learning_loss"} <= set(drawn)
    (errors,) = (name for name in drawn if name.startswith("errors_"))
    assert all(path.stat().st_size for path in write_figures(tmp_path / "figures", {errors: drawn[errors]}))
    for name, one in drawn.items():
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # such as a layout without room for the axes
            one.figure.draw_without_rendering()
        width = one.figure.get_window_extent().width
        legends = [legend for axes in one.figure.axes if (legend := axes.get_legend())]
        texts = [text for part in (*one.figure.axes, *legends, one.figure) for text in named(part)]
        for text in texts:
            box = text.get_window_extent()
            assert -2 <= box.x0 <= box.x1 <= width + 2, (name, text)


def named(part: Any) -> list[Text]:
    """Return the texts of a part of a figure that may hold names of arms."""
    return part.get_texts() if hasattr(part, "get_texts") else [*part.texts]


def test_what_is_hardly_detectable_does_not_squeeze_the_intervals(invented: Study) -> None:
    ranges = []
    for detectable in (0.0, 20.0):
        contrasts = [
            replace(one, verdict=replace(one.verdict, detectable=detectable))
            for one in invented.contrasts
            if one.verdict
        ]
        drawing = forest(replace(invented, contrasts=tuple(contrasts)))
        assert drawing
        ranges.append(drawing.figure.axes[0].get_xlim())
    assert ranges[0] == ranges[1]
    assert -FARTHEST <= ranges[0][0] < 0 < ranges[0][1] <= FARTHEST


@pytest.mark.parametrize("count", [2, 8, 12, LEGEND])
def test_a_legend_of_many_arms_is_whole_and_leaves_room(count: int) -> None:
    with axes(2.9) as (figure, plot):
        for at in range(count):
            plot.plot([0, 1], [at, at], dash(at), color=colour(at), label=f"gffpn number {at}")
        legend(plot)
        figure.draw_without_rendering()
        shown = plot.get_legend()
        assert shown
        assert len(shown.get_texts()) == count
        assert len({(line.get_color(), line.get_linestyle()) for line in plot.lines}) == count
        box = shown.get_window_extent()
        assert box.x0 >= 0
        assert box.x1 <= figure.bbox.x1
        assert box.y1 <= figure.bbox.y1
        assert plot.get_window_extent().height > 1.2 * figure.dpi


def test_a_shortened_name_keeps_both_ends() -> None:
    assert fitted("abcdef", width_of("abcdef")) == "abcdef"
    assert fitted("abcdef", width_of("ab\u2026ef") + 1) == "ab\u2026ef"
    assert fitted("abcdef", 0) == "\u2026"
    assert versus("gffpn", "fpn", 300) == "gffpn \u2212 fpn"
    # a short name leaves its room to the other one
    assert versus("m" * 20, "i", width_of("mmm\u2026mmm \u2212 i") + 1) == "mmm\u2026mmm \u2212 i"
    assert (
        versus("a" * 20, "b" * 20, width_of("bb\u2026bb \u2212 bb\u2026bb") + 1)
        == "aa\u2026aa \u2212 bb\u2026bb"
    )


def test_runs_on_other_images_are_shown_and_not_compared(tmp_path: Path) -> None:
    found = []
    for neck, images in (("fpn", 12), ("gffpn", 9)):
        for seed in range(2):
            run = RunFolder(predicted_run(tmp_path, neck, skill=0.7, seed=seed))
            splits = dict.fromkeys(("val", "test"), predictions(0.7, images=images, classes=("pock", "flaw")))
            write_predictions(run.predictions, splits)
            found.append(Run((f"neck={neck}", f"seed={seed}"), "finished", run.path, run.read()))
    text = page([study("apart", found, Question())])
    assert "no verdict (tested on different images)" in plain(text)
    assert "No pictures: the runs were tested on different images" in text
    assert "Errors: " not in text
    assert ">Operating point</h3>" in text


def test_no_study_at_all() -> None:
    assert "There is no run to report on." in page([])


def test_simulated_data_is_called_so_wherever_results_stand(html: str) -> None:
    # the invented runs are on tinyindus_sim
    assert "Simulated data: every result" in html
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", html, re.DOTALL)
    assert captions
    assert all("Simulated data." in one for one in captions)
    tables = re.findall(r"<h4>([^<]*)</h4>\s*<div class=\"scroll\"", html)
    assert len(tables) >= 6
    assert [one for one in tables if "(simulated data)" not in one] == []


def test_the_papers_figures_stand_beside_ours_in_its_order(tmp_path: Path) -> None:
    classes = ("xsf", "xjf", "other")  # the paper's order is xjf, xsf
    runs = []
    for seed in range(2):
        path = predicted_run(tmp_path, "fpn", skill=0.7, seed=seed, classes=classes)
        runs.append(Run(("neck=fpn", f"seed={seed}"), "finished", path, RunFolder(path).read()))
    text = page([study("paper", runs, Question(paper_table="table3_tinyindus"))], pictures=False)
    rows = re.findall(r'<tr class="paper">(.*?)</tr>', text, re.DOTALL)
    assert "60.2" in plain(rows[0])  # cspdarknet, fpn: mAP50
    assert plain(rows[1]) == "paper 64.0 95.7"  # xjf, xsf, and nothing for a class that it lacks
    heads = re.findall(r"<thead>(.*?)</thead>", text, re.DOTALL)
    assert any(re.match(r"arm xjf n=\d+ xsf n=\d+ other n=\d+", plain(head)) for head in heads)


def with_images(runs: Path, root: Path) -> Study:
    """Return an invented study whose image files exist below `root`."""
    found = made_study(runs)
    root.mkdir()
    for number in range(12):
        noise = np.random.default_rng(number).integers(0, 255, (320, 320, 3), dtype=np.uint8)
        Image.fromarray(noise).save(root / f"{number:03d}.png")
    for path in runs.glob("*/config.yaml"):
        config = yaml.safe_load(path.read_text())
        path.write_text(yaml.safe_dump(config | {"data": {"root": str(root)}}))
    return found


def test_pictures_show_the_same_images_for_every_arm(tmp_path: Path) -> None:
    text = page([with_images(tmp_path / "runs", tmp_path / "images")])
    scenes = re.findall(r'aria-label="(\d+\.png), (truth|fpn|gffpn)[^"]*"', text)
    names = [name for name, _ in scenes]
    assert len(scenes) == 12
    assert [column for _, column in scenes] == ["truth", "fpn", "gffpn"] * 4
    assert names == [name for name in names[::3] for _ in range(3)]
    assert text.count("data:image/jpeg") >= 4
    assert "Found by gffpn, missed by fpn" in text
    assert re.search(r"fpn, seed 0: \d+ found, \d+ missed, \d+ false", text)
    assert Tree(text).open == []


def test_the_share_of_runs_that_find_an_object_counts_runs_not_arms(tmp_path: Path) -> None:
    found = with_images(tmp_path / "runs", tmp_path / "images")
    runs = [run for arm in found.arms for run in arm.runs][:4]  # three of one arm and one of the other
    shares = re.findall(r"(\d+) % of runs find it", page([study("uneven", runs, found.question)]))
    assert shares
    assert set(shares) <= {"0", "25"}


def test_images_of_one_name_with_other_pixels_are_not_shown(tmp_path: Path) -> None:
    found = with_images(tmp_path / "runs", tmp_path / "images")
    other = tmp_path / "other"
    shutil.copytree(tmp_path / "images", other)
    runs = []
    for run in (run for arm in found.arms for run in arm.runs):
        assert run.path
        assert run.record
        if "neck=fpn" in run.overrides:
            config = RunFolder(run.path).config
            config.write_text(config.read_text().replace(str(tmp_path / "images"), str(other)))
            data = replace(run.record.data, fingerprint="of other data")
            run = replace(run, record=replace(run.record, data=data))
        runs.append(run)
    assert "data:image/jpeg" in page([study("equal pixels", runs, found.question)])
    for file in other.iterdir():
        Image.new("RGB", (320, 320)).save(file)
    text = page([study("other pixels", runs, found.question)])
    assert "No pictures: the test images of the runs differ in their pixels" in text


def test_a_crowd_region_is_no_object_and_what_lies_in_it_is_not_false(tmp_path: Path) -> None:
    found = with_images(tmp_path / "runs", tmp_path / "images")
    for run in (run for arm in found.arms for run in arm.runs):
        assert run.path
        file = RunFolder(run.path).predictions
        splits = read_predictions(file)
        one = splits["test"].evaluated
        image = np.arange(12)
        whole = np.tile([0.0, 0.0, 320.0, 320.0], (24, 1))
        regions = Boxes(np.repeat(image, 2), np.tile([0, 1], 12), whole)
        order = np.argsort(np.concatenate([one.objects.image, regions.image]), kind="stable")
        joined = [np.concatenate(pair)[order] for pair in zip(one.objects, regions, strict=True)]
        crowd = np.concatenate([one.crowd, np.ones(24, bool)])[order]
        splits["test"] = replace(splits["test"], evaluated=one._replace(objects=Boxes(*joined), crowd=crowd))
        write_predictions(file, splits)
    text = page([found])
    assert "truth: 4 objects" in text
    assert re.search(r"fpn, seed 0: \d+ found, \d+ missed, 0 false", text)
    assert not re.search(r"fpn, seed 0: \d+ found, \d+ missed, [1-9]\d* false", text)


def test_missing_images_are_named(html: str) -> None:
    assert re.search(r"No pictures: \d+\.png: not found in", html)


def test_claims_gaps_and_commands_are_shown(invented: Study) -> None:
    run = RunFacts("gffpn", "0", "finished", "gffpn_s0", command="python train.py neck=gffpn seed=0")
    gap = Gap("fpn", "3", "interrupted", "2 of 8 epochs", "python train.py neck=fpn seed=3")
    claim = Claim("gain", "GF-FPN is better than FPN.", "Table 3", "+9.7", "cannot tell", "+1.0 (-2 to 4)")
    facts = Facts((StudyFacts("runs", "train.py -m x", (run,), (gap,)),), (claim,), ("9 of 9 figures agree",))
    text = plain(page([invented], facts=facts, pictures=False))
    for said in (
        "neck=gffpn seed=0",
        "fpn seed 3 (interrupted)",
        "2 of 8 epochs",
        "+9.7 cannot tell",
        "9 of",
    ):
        assert said in text, said


def test_telemetry_is_drawn_if_it_was_logged(tmp_path: Path) -> None:
    found = made_study(tmp_path)
    for path in tmp_path.glob("*"):
        rows = [{"epoch": n, "train/objects_0_8": 40, "train/unassigned_0_8": 40 - 10 * n} for n in range(3)]
        write_log(path, attempt=1, rows=rows)
    text = page([found], pictures=False)
    assert ">Small objects in training</h3>" in text
    # 20 of 40 in the last epoch
    assert "gffpn ends at 50" in text


def test_figures_are_files_too(drawn: Mapping[str, Drawing], tmp_path: Path) -> None:
    paths = write_figures(tmp_path, drawn)
    assert {path.suffix for path in paths} == {".svg", ".pdf"}
    assert all(path.stat().st_size > 1000 for path in paths)
    assert "var(--" not in (tmp_path / "forest.svg").read_text()
    assert "<text" in (tmp_path / "forest.svg").read_text()


def test_each_study_has_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = []
    contents = gffpn.report.page.document.contents

    def noted(*given: Any, figures_to: Path, **named: Any) -> dict[str, Any]:
        folders.append(figures_to.name)
        return contents(*given, **named)

    monkeypatch.setattr("gffpn.report.page.document.contents", noted)
    bare = study("necks", [Run(("neck=fpn",), "failed", None, None)], Question())
    names = ["necks", "necks 2", "a b", "a/b", "a-b-2", "..", "w" * 300, "w" * 300]
    page([replace(bare, name=name) for name in names], figures=tmp_path)
    assert folders[:6] == ["necks", "necks-2", "a-b", "a-b-2", "a-b-2-2", "study"]
    assert len(set(folders)) == len(names)
    assert max(map(len, folders)) <= 90


def many(runs: Path, arms: int, seeds: int) -> Study:
    """Return a study of `arms` x `seeds` runs that share one run's predictions."""
    path = predicted_run(runs, "fpn", skill=0.7, epochs=60)
    made = RunFolder(path).read()
    assert made
    study("first", [Run(("neck=fpn",), "finished", path, made)], Question())
    page([study("first", [Run(("neck=fpn",), "finished", path, made)], Question())], pictures=False)
    found = []
    for arm in range(arms):
        for seed in range(seeds):
            copy = shutil.copytree(path, runs / f"neck{arm}_{seed}")
            own = replace(made, seed=seed)
            write_record(copy / "metrics.json", own)
            found.append(Run((f"neck=neck{arm}", f"seed={seed}"), "finished", copy, own))
    return study("many", found, Question())


@pytest.mark.slow
def test_a_hundred_runs_are_a_small_page_made_quickly(tmp_path: Path) -> None:
    found = many(tmp_path / "runs", 20, 5)
    runs = [RunFacts(arm.name, run.seed, "finished") for arm in found.arms for run in arm.runs]
    facts = StudyFacts("runs", "", tuple(runs))
    start = time.process_time()  # not by the clock: other tests run at the same time
    write_page(tmp_path / "report.html", [found], facts=Facts((facts,)), pictures=False)
    assert time.process_time() - start < 10
    assert (tmp_path / "report.html").stat().st_size < 1.5e6


@pytest.fixture(scope="module")
def browse(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, int], tuple[str, list[str]]]:
    """Return a function that opens a page and returns its final DOM and the browser's log."""
    if CHROMIUM is None:
        pytest.skip("needs Chromium, in which the page is opened, on the search path")
    folder = tmp_path_factory.mktemp("chromium")

    def opened(text: str, width: int) -> tuple[str, list[str]]:
        file = folder / "page.html"
        # a window has at least 500 pixels, a frame may have fewer
        file.write_text(FRAME.format(width=width, page=escape(text)))
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
        flags += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
        flags += [f"--user-data-dir={folder}/profile", "--window-size=1700,900"]
        # Chromium asks for the time and for updates of its own accord: it finds no host here
        flags += ["--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr", "--dump-dom"]
        done = subprocess.run([CHROMIUM, *flags, file.as_uri()], capture_output=True, text=True, timeout=120)
        return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]

    return opened


FRAME = """<!DOCTYPE html><html><body>
<iframe width="{width}" height="900" style="border:0" srcdoc="{page}" onload="
  document.body.parentNode.dataset.probe = this.contentDocument.body.parentNode.dataset.probe"></iframe>
</body></html>"""
PROBE = """<script>
addEventListener("load", () => {
  const boxed = ".scroll, .pictures, pre, .chips, svg";
  const wide = [...document.querySelectorAll("body *")].filter((one) => !one.closest(boxed)
    && one.getBoundingClientRect().right > innerWidth + 1).map((one) => one.tagName);
  document.querySelector(".chips button").click();
  document.querySelector("table.sorts th:nth-child(3) button").click();
  const heads = [...document.querySelectorAll("th")].filter(
    (one) => /^(verdict|needed)$/.test(one.innerText));
  const ends = heads.map((one) => one.getBoundingClientRect().right);
  const count = (selector) => document.querySelectorAll(selector).length;
  document.documentElement.dataset.probe = JSON.stringify({
    wide, requests: performance.getEntriesByType("resource").map((one) => one.name),
    width: innerWidth, over: document.body.scrollWidth > innerWidth,
    dim: count(".dim") > 0, sorted: count("[aria-sort]"),
    answers: ends.length, cut: ends.filter((end) => end > innerWidth).length});
});
</script>"""
GOOD = {"wide": [], "requests": [], "over": False, "dim": True, "sorted": 1, "answers": 2, "cut": 0}


def probed(dom: str) -> dict[str, Any]:
    found = re.search(r'data-probe="([^"]*)"', dom)
    assert found
    return json.loads(unescape(found.group(1)))


@pytest.mark.slow
@pytest.mark.parametrize("width", [400, 1600])
def test_a_browser_shows_it_without_errors_requests_or_overflow(
    html: str, width: int, browse: Callable[[str, int], tuple[str, list[str]]]
) -> None:
    text = html.replace("</body>", f"{PROBE}</body>")
    dom, log = browse(text, width)
    assert log == []
    assert probed(dom) == GOOD | {"width": width}


@pytest.mark.slow
def test_the_page_refuses_requests_and_the_probe_sees_faults(
    html: str, browse: Callable[[str, int], tuple[str, list[str]]]
) -> None:
    image = '<img src="http://example.invalid/x.png" alt="">'
    fault = f'{image}<p style="width:70rem">wide</p><script>nosuch()</script>'
    dom, log = browse(html.replace("</main>", f"{fault}</main>{PROBE}"), 400)
    assert any("x.png' violates the following Content Security Policy" in line for line in log)
    assert any("nosuch is not defined" in line for line in log)
    seen = probed(dom)
    assert (seen["wide"], seen["over"]) == (["P"], True)
