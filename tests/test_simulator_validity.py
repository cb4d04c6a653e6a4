"""Can a detector cheat on the simulated data? Small and quick versions of the validity tests.

The checks also run on a simulator that leaks on purpose: a check that passes there too proves nothing.
`make simulator-card` runs the same checks at full scale.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pytest

import simulator_card
from tinyindus.dials import DIAL_NAMES, PRESETS, preset
from tinyindus.gallery.page import page
from tinyindus.gallery.sheet import Sheet, region
from tinyindus.truth import Truth
from validity import card, contents, context, nothing, outlines, prior, repeat, splits, thumbnail
from validity.finding import Finding, auc, balanced, interval
from validity.scenes import Retouch, Trial, sticker, trial

SIDE = 128
"""Image size in pixels; the card uses 320 and 640."""
DEFAULT = preset("paper")


@pytest.fixture(scope="module")
def scenes() -> dict[str, list[Trial]]:
    counts = {"train": 120, "test": 110}
    return {
        split: [trial(i, split, DEFAULT, (SIDE, SIDE)) for i in range(count)]
        for split, count in counts.items()
    }


class TestFigures:
    def test_auc_equals_a_calculation_by_hand(self) -> None:
        scores, positive = np.array([3.0, 1.0, 2.0, 1.0]), np.array([True, True, False, False])
        assert auc(scores, positive) == (1 + 1 + 0 + 0.5) / 4
        # the negative at 2.0, which beats the positive at 1.0, has a weight of 3
        assert auc(scores, positive, np.array([1.0, 1.0, 3.0, 1.0])) == (3 + 1 + 0 + 0.5) / 8

    def test_every_kind_and_side_has_equal_weight(self) -> None:
        positive, kind = np.array([True, False, False, True, True]), np.array([0, 0, 0, 1, 2])
        assert balanced(positive, kind).tolist() == [2.5, 1.25, 1.25, 0.0, 0.0]

    def test_samples_of_a_group_are_drawn_together(self) -> None:
        group, values = np.repeat(np.arange(9), 50), np.repeat(np.arange(9.0), 50)
        low, high = interval(lambda w: float((w * values).sum() / w.sum()), group)
        # nine groups, mean 4, standard deviation 2.6: the standard error is 2.6 / 3 for groups of any size
        assert (4 - low, high - 4) == (pytest.approx(1.7, abs=0.4), pytest.approx(1.7, abs=0.4))

    def test_a_finding_holds_within_its_bounds(self) -> None:
        assert [Finding("x", v, "", at_least=1, at_most=2).holds for v in (0.9, 1.0, 2.0, 2.1)] == [
            False,
            True,
            True,
            False,
        ]
        assert Finding("x", 5.0, "").holds is None


def patch_finding(scenes: dict[str, list[Trial]], retouch: Retouch | None) -> Finding:
    train, test = (
        nothing.Places(scenes[split], contrast=False, retouch=retouch, patch=16)
        for split in ("train", "test")
    )
    return nothing.patch_finding(train, test, "", epochs=8, bounded=True)


@pytest.mark.slow
class TestNothing:
    def test_contrast_0_is_the_scene_without_its_defects(self, scenes: dict[str, list[Trial]]) -> None:
        changed = [s for s in scenes["test"] if (s.picture.pixels != s.blank.pixels).any()]
        assert len(changed) > 100
        assert not any(s.blank.truths for s in scenes["test"])

    def test_places_of_absent_defects_cannot_be_recognised(self, scenes: dict[str, list[Trial]]) -> None:
        finding = patch_finding(scenes, None)
        # with so few places, the error is 0.03; the card uses the full number
        assert abs(finding.value - 0.5) < 0.09, finding

    def test_a_step_pasted_after_the_lens_is_noticed(self, scenes: dict[str, list[Trial]]) -> None:
        finding = patch_finding(scenes, sticker(8.0, margin=1))
        assert finding.value > 0.65, finding

    @pytest.mark.parametrize("contrast", [False, True])
    def test_noise_inside_boxes_equals_the_noise_outside(
        self, scenes: dict[str, list[Trial]], contrast: bool
    ) -> None:
        every = [*scenes["train"], *scenes["test"]]
        finding = nothing.noise_finding(every, "", dials=DEFAULT, contrast=contrast)
        assert abs(finding.value - 1) < 0.04, finding

    def test_a_smoothed_patch_is_noticed(self, scenes: dict[str, list[Trial]]) -> None:
        def smooth(pixels: np.ndarray, truths: Sequence[Truth]) -> np.ndarray:
            out = pixels.copy()
            for x1, y1, x2, y2 in (t.box for t in truths):
                out[y1:y2, x1:x2] = (out[y1:y2, x1:x2] // 2) + (np.roll(out, 1, 0)[y1:y2, x1:x2] // 2)
            return out

        finding = nothing.noise_finding(scenes["test"], "", dials=DEFAULT, contrast=False, retouch=smooth)
        assert not finding.holds, finding


@pytest.mark.slow
class TestThumbnail:
    def finding(self, scenes: dict[str, list[Trial]], retouch: Retouch | None = None) -> Finding:
        train, test = (thumbnail.twins(scenes[split], retouch) for split in ("train", "test"))
        return thumbnail.thumbnail_finding(train, test, "", epochs=14)

    def test_a_thumbnail_does_not_show_a_defect(self, scenes: dict[str, list[Trial]]) -> None:
        assert (finding := self.finding(scenes)).holds, finding

    def test_a_wide_bright_patch_is_noticed(self, scenes: dict[str, list[Trial]]) -> None:
        assert not (finding := self.finding(scenes, sticker(40.0, margin=10))).holds, finding


@pytest.mark.slow
class TestPrior:
    def test_fixed_boxes_find_nothing(self, scenes: dict[str, list[Trial]]) -> None:
        train, test = ([s.picture.truths for s in scenes[split]] for split in ("train", "test"))
        assert (finding := prior.prior_finding(train, test, "")).holds, finding

    def test_defects_at_fixed_places_are_noticed(self, scenes: dict[str, list[Trial]]) -> None:
        def kept(trials: list[Trial]) -> list[list[Truth]]:
            # each class has a fixed place; the picture still decides which classes occur
            return [
                [replace(t, box=(10 * t.label, 5, 10 * t.label + 8, 13)) for t in s.picture.truths]
                for s in trials
            ]

        finding = prior.prior_finding(kept(scenes["train"]), kept(scenes["test"]), "")
        assert not finding.holds, finding


@pytest.mark.slow
class TestContext:
    def auc(self, match: float) -> float:
        train, test = (context.crops(n, split, match, 256) for n, split in ((50, "train"), (36, "test")))
        scores = context.scores_of(train, test, "tight", epochs=5)
        return context.finding("", scores, test, len(train.positive)).value

    # a classifier learns less from so few crops than from those of the card, where the bound is 0.75
    def test_at_match_1_the_patch_alone_does_not_reveal_a_defect(self) -> None:
        assert self.auc(1.0) < 0.66

    def test_at_match_0_the_patch_alone_reveals_a_defect(self) -> None:
        assert self.auc(0.0) > 0.66


class TestOutlines:
    def test_boxes_agree_with_masks_and_with_the_twins_pixels(self) -> None:
        pairs = [outlines.lone(i, DEFAULT, (192, 192)) for i in range(40)]
        seen = [error for pair in pairs if (error := outlines.seen_error(*pair)) is not None]
        stored = [outlines.stored_error(t, (192, 192)) for picture, _ in pairs for t in picture.truths]
        assert len(seen) > 30
        assert max(seen) <= 1
        assert max(stored) <= 1

    def test_run_lengths_are_decoded(self) -> None:
        mask = outlines.decoded([3, 2, 2, 1, 4], (3, 4))
        assert outlines.bounds(mask) == (1, 0, 3, 2)
        assert mask.sum() == 3


class TestSplits:
    def test_splits_share_no_near_duplicates_but_twins_are_found(self) -> None:
        train, test = (splits.looks(split, 40, DEFAULT, (SIDE, SIDE), 0) for split in ("train", "test"))
        twins = splits.looks("test", 40, replace(DEFAULT, noise=2.0, empty_share=0.0), (SIDE, SIDE), 0)
        assert splits.near_duplicates(train, test) == 0
        assert splits.near_duplicates(twins, test) == 40


class TestRepeat:
    def test_the_recorded_scenes_are_reproduced(self) -> None:
        assert repeat.recorded_now() == repeat.known(), (
            "the simulator has changed: run `make golden` and read the diff"
        )
        assert repeat.worst(repeat.reference(), repeat.reference_now()) <= 1
        assert set(repeat.known()) == set(PRESETS)

    def test_plain_instructions_draw_the_same_scenes(self) -> None:
        here, there = (repeat.elsewhere(24, SIDE, e) for e in ({}, repeat.plain_machine()))
        assert here[1] == there[1]
        assert repeat.worst(here[0], there[0]) <= 1


class TestCard:
    PART = MappingProxyType({"code": "old", "commit": "c", "minutes": 1.0, "machine": "m"})

    def test_it_lists_failed_missing_and_outdated_parts(self) -> None:
        findings = [Finding("leak", 0.7, "9 scenes", 0.6, 0.8, at_most=0.6), Finding("beside", 0.5, "n")]
        parts = {"nothing": {**self.PART, "findings": card.dump(findings)}}
        text = card.text(json.loads(json.dumps(parts)), ["nothing", "thumbnail"], code="new")
        assert "| 1 nothing | leak | at most 0.6 | 0.700 (0.600 to 0.800) | 9 scenes | **no** |" in text
        assert "| 1 nothing | beside |  | 0.500 | n |  |" in text
        assert "These do **not** hold: leak." in text
        assert "2 thumbnail | not measured" in text
        assert "old (not the present version)" in text
        assert card.load(card.dump(findings)) == findings

    def test_every_dial_is_described(self) -> None:
        assert tuple(contents.dial_help()) == DIAL_NAMES
        assert len(contents.dial_table()) == 2 + len(DIAL_NAMES)

    def test_counts_add_up(self) -> None:
        counts = contents.count_objects("demo", 9, 96)
        assert sum(counts["classes"].values()) == sum(counts["bins"].values()) > 0
        assert sum(counts["products"].values()) == counts["scenes"] == 9
        assert len(contents.count_table({"demo": counts})) > len(counts["classes"])

    def test_the_recorded_card_shows_its_figures(self) -> None:
        parts = json.loads(simulator_card.FIGURES.read_text())
        shown = simulator_card.CARD.read_text()
        for name, part in parts.items():
            for finding in card.load(part.get("findings", [])):
                number = list(simulator_card.CHECKS).index(name) + 1
                assert card.finding_row(f"{number} {name}", finding) in shown


def test_gallery_sheets_have_the_expected_size_and_appear_on_the_page() -> None:
    tile = np.zeros((20, 30, 3), np.uint8)
    image = Sheet([[tile, None], [tile, tile]], ["a", "b"], ["one", "two"]).draw()
    assert image.height > 40
    assert image.width > 60
    assert region((0, 0, 10, 10), 64, 640) == (0, 0, 64, 64)
    assert region((630, 300, 640, 310), 64, 640) == (576, 273, 640, 337)
    text = page([("twins", "Twins & co", "words")], "SIMULATED")
    assert 'src="twins.png"' in text
    assert "Twins &amp; co" in text
