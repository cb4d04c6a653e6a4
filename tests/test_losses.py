"""Do the losses equal those of their papers, and does descending on them improve a box?"""

import math

import pytest
import torch

from gffpn.losses import BOX_LOSSES, alpha_iou_loss, distribution_focal_loss

SAME = torch.tensor([[2.0, 3, 12, 8]])


@pytest.mark.parametrize("name", BOX_LOSSES)
def test_the_loss_of_a_perfect_box_is_zero(name: str) -> None:
    assert BOX_LOSSES[name](SAME, SAME).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("name", BOX_LOSSES)
def test_descent_moves_a_box_towards_its_target(name: str) -> None:
    box = torch.tensor([[10.0, 10, 20, 30]], requires_grad=True)
    target = torch.tensor([[14.0, 12, 30, 28]])
    before = BOX_LOSSES[name](box, target)
    before.sum().backward()
    assert box.grad is not None
    step = 0.5 * box.grad / box.grad.norm()
    assert BOX_LOSSES[name](box.detach() - step, target).item() < before.item()


def test_alpha_iou_by_hand() -> None:
    # IoU 2 / 6, centres 1 apart in an enclosing box of 3 x 2, equal aspect ratios
    loss = alpha_iou_loss(torch.tensor([[0.0, 0, 2, 2]]), torch.tensor([[1.0, 0, 3, 2]]))
    assert loss.item() == pytest.approx(1 - (1 / 3) ** 3 + (1 / 13) ** 3, abs=1e-6)


def test_distribution_focal_loss_by_hand() -> None:
    logits = torch.tensor([0.1, 0.2, 0.3, 0.4]).log()
    between = -(0.75 * math.log(0.2) + 0.25 * math.log(0.3))
    for target, expected in ((1.25, between), (2.0, -math.log(0.3)), (3.0, -math.log(0.4))):
        assert distribution_focal_loss(logits, torch.tensor(target)).item() == pytest.approx(expected)


def test_distribution_focal_loss_clips_targets_to_the_bins() -> None:
    logits = torch.randn(2, 5, generator=torch.Generator().manual_seed(0))
    outside = distribution_focal_loss(logits, torch.tensor([-3.0, 9.0]))
    torch.testing.assert_close(outside, distribution_focal_loss(logits, torch.tensor([0.0, 4.0])))
