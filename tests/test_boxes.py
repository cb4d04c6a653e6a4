"""Are the overlap measures correct, and finite for any box?"""

import itertools
import math

import pytest
import torch
from torchvision.ops import box_iou, complete_box_iou_loss

from gffpn.boxes import Overlap, ciou, iou, nwd, pairwise

MEASURES = [iou, ciou, nwd]
ODD_BOXES = [[0, 0, 0, 0], [5, 5, 5, 5], [5, 5, 5, 9], [5, 5, 9, 5], [5, 5, 9, 9], [600, 0, 640, 1e-4]]


def random_boxes(count: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    corner = 100 * torch.rand(count, 2, generator=generator)
    return torch.cat((corner, corner + 1 + 50 * torch.rand(count, 2, generator=generator)), 1)


def test_ciou_by_hand() -> None:
    # IoU 1/2; centres 1 apart in a 4 x 2 hull; aspect ratios 2 and 1
    wide, square = torch.tensor([0.0, 0, 4, 2]), torch.tensor([0.0, 0, 2, 2])
    aspect = 4 / math.pi**2 * (math.atan(2) - math.atan(1)) ** 2
    expected = 0.5 - 1 / 20 - aspect * aspect / (0.5 + aspect)
    assert ciou(wide, square).item() == pytest.approx(expected, abs=1e-6)
    # disjoint boxes: IoU 0, equal aspect ratios, centres 8 apart in a 16 x 8 hull
    apart = ciou(torch.tensor([0.0, 0, 8, 8]), torch.tensor([8.0, 0, 16, 8]))
    assert apart.item() == pytest.approx(-64 / 320, abs=1e-6)


def test_nwd_by_hand() -> None:
    box = torch.tensor([0.0, 0, 4, 4])
    moved = torch.tensor([3.0, 4, 7, 8])
    grown = torch.tensor([-3.0, -4, 7, 8])
    for other in (moved, grown):
        assert nwd(box, other).item() == pytest.approx(math.exp(-5 / 12.7), rel=1e-6)
    assert nwd(box, box).item() == pytest.approx(1, abs=1e-6)


def test_ordinary_boxes_agree_with_torchvision() -> None:
    a, b = random_boxes(40, seed=0), random_boxes(40, seed=1)
    torch.testing.assert_close(pairwise(iou, a, b), box_iou(a, b))
    torch.testing.assert_close(1 - ciou(a, b), complete_box_iou_loss(a, b))


def test_pairwise_keeps_the_batch_axes() -> None:
    a, b = random_boxes(6, seed=0).view(2, 3, 4), random_boxes(8, seed=1).view(2, 4, 4)
    table = pairwise(nwd, a, b)
    assert table.shape == (2, 3, 4)
    assert table[1, 2, 3] == nwd(a[1, 2], b[1, 3])


@pytest.mark.parametrize("measure", MEASURES)
def test_values_and_gradients_are_finite_for_boxes_without_area(measure: Overlap) -> None:
    pairs = torch.tensor(list(itertools.product(ODD_BOXES, ODD_BOXES)))
    a, b = pairs[:, 0].clone().requires_grad_(), pairs[:, 1].clone().requires_grad_()
    value = measure(a, b)
    value.sum().backward()
    assert value.isfinite().all()
    assert a.grad is not None
    assert b.grad is not None
    assert a.grad.isfinite().all()
    assert b.grad.isfinite().all()
