"""Is each ground truth assigned the predictions that its rule prescribes?"""

import pytest
import torch
from torch import Tensor

from gffpn.assign import align_tasks, candidate_points, match_anchors
from gffpn.heads.points import grid_points

CPU = torch.device("cpu")


def matches_of(box: list[float], anchors: list[list[float]]) -> set[tuple[int, int, int]]:
    """Return the matches (anchor, row, column) of one box on a 4 x 4 grid of stride 8."""
    found = match_anchors(
        torch.tensor([[box]]),
        torch.tensor([[True]]),
        torch.tensor(anchors),
        stride=8,
        grid=(4, 4),
        max_ratio=4.0,
    )
    columns = zip(
        *(getattr(found, name).tolist() for name in ("anchor", "row", "column", "valid")), strict=True
    )
    return {(anchor, row, column) for anchor, row, column, valid in columns if valid}


def square(x: float, y: float, side: float) -> list[float]:
    return [x - side / 2, y - side / 2, x + side / 2, y + side / 2]


@pytest.mark.parametrize(
    ("centre", "cells"),
    [
        ((13.0, 21.0), {(2, 1), (2, 2), (3, 1)}),  # cell 1.6, 2.6: nearer to the right and lower neighbours
        ((10.0, 18.0), {(2, 1), (2, 0), (1, 1)}),  # cell 1.25, 2.25: nearer to the left and upper neighbours
        ((2.0, 2.0), {(0, 0)}),  # the nearer neighbours lie outside the grid
        ((30.0, 13.0), {(1, 3), (2, 3)}),  # the right neighbour is outside, the lower one is not
        ((32.0, 32.0), {(3, 3)}),  # a centre on the border belongs to the last cell
    ],
)
def test_a_box_is_assigned_to_its_cell_and_the_nearer_neighbours(
    centre: tuple[float, float], cells: set[tuple[int, int]]
) -> None:
    assert matches_of(square(*centre, 12), [[12, 12]]) == {(0, row, column) for row, column in cells}


def test_an_anchor_fits_a_box_below_the_maximum_ratio() -> None:
    anchors = [[10, 10], [39, 10], [40, 10], [10, 2.5], [10, 2.6]]
    assert {anchor for anchor, _, _ in matches_of(square(12, 12, 10), anchors)} == {0, 1, 4}
    assert not matches_of([12, 12, 12, 12], [[10, 10]])


def test_matches_refer_to_image_and_target() -> None:
    boxes = torch.tensor([[square(12, 12, 10), [0.0] * 4], [square(20, 4, 10), square(4, 20, 10)]])
    valid = torch.tensor([[True, False], [True, True]])
    found = match_anchors(boxes, valid, torch.tensor([[10.0, 10]]), stride=8, grid=(4, 4), max_ratio=4.0)
    assert set(zip(found.target[found.valid].tolist(), found.image[found.valid].tolist(), strict=True)) == {
        (0, 0),
        (2, 1),
        (3, 1),
    }


def test_candidates_lie_within_the_box() -> None:
    points, _ = grid_points([(4, 4)], [8], CPU)
    boxes = torch.tensor([[[8.0, 8, 24, 16], [0, 0, 32, 32]]])
    found = candidate_points(points, boxes, torch.tensor([[True, False]]), min_side=1.0)
    assert points[found[0, 0]].tolist() == [[12, 12], [20, 12]]
    assert not found[0, 1].any()


def test_a_tiny_box_has_a_candidate_wherever_it_lies() -> None:
    points, _ = grid_points([(4, 4)], [8], CPU)
    centre = torch.rand(500, 2, generator=torch.Generator().manual_seed(0)) * 32
    centre[:3] = torch.tensor([[0.0, 0], [16, 16], [12, 12]])
    boxes = torch.cat((centre - 1, centre + 1), 1)[None]
    found = candidate_points(points, boxes, torch.ones(1, 500, dtype=torch.bool), min_side=16.0)
    assert found.any(-1).all()


# two ground truths, three points; alignment = sqrt(score) x overlap^2
SCORES = torch.tensor([[[0.64, 0.25, 0.36], [0.04, 0.81, 0.49]]])
OVERLAPS = torch.tensor([[[0.5, 0.8, 0.1], [0.9, 0.6, 0.5]]])
CANDIDATES = torch.tensor([[[True, True, True], [False, True, True]]])


def test_task_alignment_by_hand() -> None:
    # alignments 0.2, 0.32, 0.006 and none, 0.324, 0.175; both ground truths take point 1, which overlaps the
    # first one more
    found = align_tasks(SCORES, OVERLAPS, CANDIDATES, topk=2, alpha=0.5, beta=2.0)
    assert found.positive.tolist() == [[True, True, True]]
    assert found.target.tolist() == [[0, 0, 1]]
    expected = torch.tensor([[0.2 / 0.32 * 0.8, 0.8, 0.5]])
    torch.testing.assert_close(found.weight, expected)


def test_a_ground_truth_that_loses_its_points_gets_one() -> None:
    # with topk = 1, both take point 1; the second one loses it and falls back to point 2
    found = align_tasks(SCORES, OVERLAPS, CANDIDATES, topk=1, alpha=0.5, beta=2.0)
    assert found.positive.tolist() == [[False, True, True]]
    assert found.target.tolist() == [[0, 0, 1]]
    torch.testing.assert_close(found.weight, torch.tensor([[0.0, 0.8, 0.5]]))


def test_equal_boxes_share_their_points_so_that_each_gets_one() -> None:
    scores, overlaps = torch.full((1, 3, 4), 0.5), torch.tensor([[[0.4, 0.3, 0.2, 0.1]]]).expand(1, 3, 4)
    found = align_tasks(scores, overlaps, torch.ones(1, 3, 4, dtype=torch.bool), topk=4, alpha=0.5, beta=6.0)
    assert set(found.target[0].tolist()) == {0, 1, 2}
    assert found.target[0, 0] == 0


def test_tiny_overlaps_do_not_vanish() -> None:
    found = align_tasks(
        torch.full((1, 1, 3), 1e-4),
        torch.tensor([[[1e-4, 2e-5, 0.0]]]),
        torch.ones(1, 1, 3, dtype=torch.bool),
        topk=3,
        alpha=0.5,
        beta=6.0,
    )
    torch.testing.assert_close(found.weight, torch.tensor([[1e-4, 1e-4 * 0.2**6, 0.0]]), rtol=1e-3, atol=0.0)


def random_problem(images: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    scores, overlaps = (torch.rand(images, 5, 40, generator=generator) for _ in range(2))
    return scores, overlaps, torch.rand(images, 5, 40, generator=generator) < 0.4


def test_images_of_a_batch_are_independent() -> None:
    problem = random_problem(3)
    together = align_tasks(*problem, topk=4, alpha=0.5, beta=6.0)
    for image in range(3):
        alone = align_tasks(*(part[image : image + 1] for part in problem), topk=4, alpha=0.5, beta=6.0)
        assert all(torch.equal(a[0], b[image]) for a, b in zip(alone, together, strict=True))


def test_only_candidates_are_assigned_and_every_ground_truth_gets_some() -> None:
    scores, overlaps, candidates = random_problem(8)
    found = align_tasks(scores, overlaps, candidates, topk=10, alpha=0.5, beta=6.0)
    assert candidates.gather(1, found.target[:, None])[:, 0][found.positive].all()
    owners = torch.nn.functional.one_hot(found.target, 5) * found.positive[..., None]
    assert (owners.sum(1) > 0).all()
    assert (owners.sum(1) <= 10).all()
    assert (found.weight[~found.positive] == 0).all()
