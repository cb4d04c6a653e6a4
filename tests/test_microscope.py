"""Are the figures of the microscope correct, on small cases by hand and on a whole detector?"""

import math
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gffpn.data.tinyindus import example_scene
from gffpn.detector import Detector
from gffpn.microscope.guided import guided_views
from gffpn.microscope.measures import area_under_curve, contrast, on_cells, saturation
from gffpn.microscope.specimen import Specimen, boxes_mask, from_run_lengths, simulated_mask, untrained
from gffpn.pyramid import Level
from golden import build
from tinyindus.dials import preset
from tinyindus.scene import render
from tinyindus.store import write_dataset
from tinyindus.write import run_lengths

OBJECTS = np.array([[True, False], [True, False]])


def test_area_under_the_curve_by_hand() -> None:
    """Object cells score 3 and 1, the others 2 and 1: of four pairs, two are right and one is a tie."""
    scores = torch.tensor([[[3.0, 2.0], [1.0, 1.0]], [[5.0, 0.0], [6.0, 1.0]], [[0.0, 0.0], [0.0, 0.0]]])
    assert area_under_curve(scores, OBJECTS).tolist() == [2.5 / 4, 1.0, 0.5]
    assert np.isnan(area_under_curve(scores, np.zeros((2, 2), np.bool_))).all()
    assert np.isnan(area_under_curve(scores, np.ones((2, 2), np.bool_))).all()


def test_cells_of_a_mask_by_hand() -> None:
    """One pixel at row 4, column 1 of 5 x 4 pixels; cells have 2 x 2."""
    mask = np.zeros((5, 4), np.bool_)
    mask[4, 1] = True
    assert on_cells(mask, 2).tolist() == [[False, False], [False, False], [True, False]]


def test_contrast_by_hand() -> None:
    """Mean absolute values per cell: 2, 1 / 4, 0. On objects (2 + 4) / 2, elsewhere (1 + 0) / 2."""
    maps = torch.tensor([[[-1.0, 2.0], [4.0, 0.0]], [[3.0, 0.0], [-4.0, 0.0]]])
    assert contrast(maps, OBJECTS) == 6.0
    assert math.isnan(contrast(torch.zeros(1, 2, 2), OBJECTS))


def test_saturation_by_hand() -> None:
    assert saturation(torch.tensor([0.01, 0.05, 0.5, 0.96])) == (0.25, 0.25)
    assert saturation(torch.tensor([0.01, 0.05, 0.5, 0.96]), margin=0.1) == (0.5, 0.25)


def test_masks_by_hand() -> None:
    assert boxes_mask(torch.tensor([[0.5, 1.0, 2.0, 2.0]]), (3, 3)).tolist() == [
        [False, False, False],
        [True, True, False],
        [False, False, False],
    ]
    # columns first: one zero, two ones, one zero
    assert from_run_lengths([1, 2, 1], (2, 2)).tolist() == [[False, True], [True, False]]


def test_run_lengths_are_those_of_the_simulator() -> None:
    mask = np.random.default_rng(0).random((3, 4)) < 0.5
    full = np.zeros((6, 7), np.bool_)
    full[2:5, 1:5] = mask
    assert np.array_equal(from_run_lengths(run_lengths(mask, (1, 2, 5, 5), (6, 7)), (6, 7)), full)


class Halves(nn.Module):
    """Backbone: the image averaged over 2 x 2 and 4 x 4 pixels."""

    out_levels = (Level(3, 2), Level(3, 4))

    def forward(self, images: Tensor) -> list[Tensor]:
        return [nn.functional.avg_pool2d(images, 2), nn.functional.avg_pool2d(images, 4)]


class Doubled(nn.Module):
    in_strides = (2, 4)
    out_levels = (Level(3, 2), Level(3, 4))

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(2.0))

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        return [self.factor * x for x in features]


class Finest(nn.Module):
    """Head that ignores the coarser level."""

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        return features[:1]


def test_maps_and_gradients_by_hand() -> None:
    """The loss is the sum of 3 x 2 x 2 outputs that are twice the input; the coarser level gets nothing."""
    detector = Detector(Halves(), Doubled(), Finest())
    images = torch.full((3, 4, 4), 255, dtype=torch.uint8)
    target = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}
    found = Specimen(
        "toy",
        False,
        detector,
        lambda raw, targets, size: {"sum": raw[0].sum()},
        images,
        target,
        np.zeros((4, 4), np.bool_),
    )
    maps = found.maps()
    assert {side: {s: tuple(x.shape) for s, x in one.items()} for side, one in maps.items()} == {
        "C": {2: (3, 2, 2), 4: (3, 1, 1)},
        "P": {2: (3, 2, 2), 4: (3, 1, 1)},
    }
    assert maps["P"][4].flatten().tolist() == [2.0, 2.0, 2.0]
    assert found.gradients() == {
        "C": {2: pytest.approx(2 * math.sqrt(12)), 4: 0.0},
        "P": {2: pytest.approx(math.sqrt(12)), 4: 0.0},
    }
    assert detector.neck.factor.grad is None
    assert guided_views(found) == []


@pytest.mark.parametrize("attention", ["fccfm", "se"])
def test_views_of_guided_stages_explain_their_outputs(attention: str) -> None:
    """With star and residual, P is gate * F + G, and the gate is sigmoid(G)."""
    torch.manual_seed(0)
    backbone = build("backbone", "cspdarknet")
    neck = build("neck", "gffpn", backbone.out_levels, lpam={"attention": attention})
    detector = Detector(backbone, neck, Finest()).eval()
    image = torch.randint(256, (3, 64, 96), dtype=torch.uint8)
    found = Specimen("untrained", False, detector, None, image, {}, np.zeros((64, 96), np.bool_))
    views = guided_views(found)
    assert [(view.name, view.stride) for view in views] == [
        ("guided.8", 8),
        ("guided.16", 16),
        ("guided.32", 32),
    ]
    for view in views:
        torch.testing.assert_close(view.gate, view.guide.sigmoid())
        torch.testing.assert_close(view.output, view.star + view.guide)
        torch.testing.assert_close(view.added, view.gate + view.coarser)
        assert (view.inside is None) == (attention == "se")
        if view.inside is not None:
            torch.testing.assert_close(
                view.inside.attention.sum(-1), torch.ones_like(view.inside.row_entropy)
            )


def test_an_untrained_detector_sees_the_pixels_of_simulated_defects() -> None:
    found = untrained(["neck=gffpn", "image_size=96"])
    boxes = boxes_mask(found.target["boxes"], found.mask.shape)
    assert found.mask.any()
    assert not (found.mask & ~boxes).any()
    assert found.mask.sum() < boxes.sum()
    # with the statistics of the image, each channel of a norm's output has mean 0 in eval mode too
    norm = next(part for part in found.detector.modules() if isinstance(part, nn.BatchNorm2d))
    means: list[Tensor] = []
    norm.register_forward_hook(lambda _, inputs, output: means.append(output.mean((0, 2, 3))))
    found.maps()
    torch.testing.assert_close(means[0], torch.zeros_like(means[0]), atol=1e-5, rtol=0)
    gradients = found.gradients()
    assert set(gradients["P"]) == {8, 16, 32}
    assert all(value > 0 for value in gradients["C"].values())


def test_the_mask_of_a_written_picture_is_that_of_its_scene(tmp_path: Path) -> None:
    scenes = (render(i, "test", preset("paper"), (96, 96), seed=0) for i in count())
    number = next(i for i, scene in enumerate(scenes) if len(scene.truths) > 1)
    counts = {"train": 1, "val": 1, "test": number + 1}
    folder = write_dataset(
        tmp_path, dials=preset("paper"), image_size=(96, 96), counts=counts, seed=0, progress=False
    )
    picture = folder / "images" / "test" / f"{number:06d}.png"
    assert np.array_equal(simulated_mask(picture), example_scene((96, 96)).mask)
