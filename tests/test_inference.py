"""Does the inference form compute the same function, and never cost more?"""

import pytest
import torch
from hydra.utils import instantiate
from lightning.pytorch.plugins.layer_sync import TorchSyncBatchNorm
from torch import Tensor, nn

from gffpn.cost import count_flops
from gffpn.fold import inference_form
from gffpn.layers.conv import ConvBNAct
from gffpn.pyramid import levels_at
from golden import BACKBONES, HEADS, NECKS, build, load

IMAGES = (2, 3, 128, 192)


def lived_in(module: nn.Module) -> nn.Module:
    """Change the norms of `module` as training does, so that no scale is 1 and no shift is 0."""
    generator = torch.Generator().manual_seed(1)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            for values in (part.weight, part.bias, part.running_mean):
                values.data.add_(0.3 * torch.randn(values.shape, generator=generator))
            part.running_var.mul_(0.5 + torch.rand(part.running_var.shape, generator=generator))
    return module.eval()


def assert_same_function(module: nn.Module, *inputs: Tensor | list[Tensor]) -> nn.Module:
    folded = inference_form(module)
    with torch.no_grad():
        for plain, other in zip(module(*inputs), folded(*inputs), strict=True):
            torch.testing.assert_close(other, plain, atol=1e-4, rtol=1e-4)
    assert count_flops(folded, *inputs).total <= count_flops(module, *inputs).total
    return folded


@pytest.mark.parametrize("neck", NECKS)
def test_necks(neck: str) -> None:
    torch.manual_seed(0)
    backbone = build("backbone", "cspdarknet")
    module = lived_in(build("neck", neck, backbone.out_levels))
    features = [
        torch.randn(2, channels, IMAGES[2] // stride, IMAGES[3] // stride)
        for channels, stride in levels_at(backbone.out_levels, module.in_strides, reader=neck)
    ]
    folded = assert_same_function(module, features)
    assert not any(
        isinstance(part.norm, nn.BatchNorm2d) for part in folded.modules() if isinstance(part, ConvBNAct)
    )


def test_formerly_synchronised_norms_are_folded() -> None:
    """After training on several GPUs, Lightning leaves norms of its own class in place of BatchNorm2d."""
    norms = TorchSyncBatchNorm()
    module = norms.revert(norms.apply(lived_in(ConvBNAct(3, 4)))).eval()
    assert not isinstance(module.norm, nn.BatchNorm2d)
    assert isinstance(assert_same_function(module, torch.randn(2, 3, 8, 8)).norm, nn.Identity)


@pytest.mark.parametrize("head", HEADS)
def test_heads(head: str) -> None:
    torch.manual_seed(0)
    backbone = build("backbone", "cspdarknet")
    network = load("head", head, size="n")["network"]
    module = lived_in(instantiate(network, backbone.out_levels[1:], 3))
    features = [
        torch.randn(2, channels, IMAGES[2] // stride, IMAGES[3] // stride)
        for channels, stride in backbone.out_levels[1:]
    ]
    assert_same_function(module, features)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_backbones(backbone: str) -> None:
    torch.manual_seed(0)
    assert_same_function(lived_in(build("backbone", backbone)), torch.rand(IMAGES))


def test_folding_by_hand() -> None:
    """The norm scales by 3 / sqrt(8 + 1) = 1, so 2 x + 5 becomes (2 x + 5 - 4) x 1 + 7 = 2 x + 8."""
    row = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1, eps=1.0)).eval()
    conv, norm = row
    conv.weight.data.fill_(2), conv.bias.data.fill_(5)
    norm.running_mean.fill_(4), norm.running_var.fill_(8)
    norm.weight.data.fill_(3), norm.bias.data.fill_(7)
    folded = inference_form(row)
    assert isinstance(folded[1], nn.Identity)
    assert (folded[0].weight.item(), folded[0].bias.item()) == pytest.approx((2, 8))
    assert isinstance(row[1], nn.BatchNorm2d)
    assert row[0].weight.item() == 2
