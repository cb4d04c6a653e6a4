import math
from types import SimpleNamespace

import pytest
import timm
import torch
from torch import nn

from gffpn.backbones.cspdarknet import CSPDarknet
from gffpn.backbones.darknet53 import Darknet53
from gffpn.backbones.timm import TimmBackbone
from gffpn.pyramid import Backbone, Level
from gffpn.task import DetectionTask
from golden import BACKBONES, build


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.fixture(scope="module", params=BACKBONES)
def backbone(request: pytest.FixtureRequest) -> nn.Module:
    return build("backbone", request.param).eval()


@pytest.mark.parametrize("size", [(64, 96), (90, 122), (45, 63), (33, 31)])
def test_maps_have_the_promised_shapes(backbone: nn.Module, size: tuple[int, int]) -> None:
    assert isinstance(backbone, Backbone)
    features = backbone(torch.rand(2, 3, *size))
    assert [tuple(feature.shape) for feature in features] == [
        (2, channels, math.ceil(size[0] / stride), math.ceil(size[1] / stride))
        for channels, stride in backbone.out_levels
    ]


def test_levels_have_strides_4_to_32_finest_first(backbone: nn.Module) -> None:
    assert [level.stride for level in backbone.out_levels] == [4, 8, 16, 32]


def test_input_is_unchanged_and_images_of_a_batch_are_independent(backbone: nn.Module) -> None:
    images = torch.rand(2, 3, 66, 70)
    before = images.clone()
    together = backbone(images)
    assert torch.equal(images, before)
    for all_maps, own in zip(together, backbone(images[1:]), strict=True):
        torch.testing.assert_close(all_maps[1:], own, atol=1e-4, rtol=1e-4)


def test_every_parameter_gets_a_gradient(backbone: nn.Module) -> None:
    for parameter in backbone.parameters():  # timm's residual blocks start with a scale of zero
        parameter.data[parameter == 0] = 0.5
    backbone.train()
    features = backbone(torch.rand(2, 3, 64, 64))
    sum((feature * torch.randn_like(feature)).sum() for feature in features).backward()
    backbone.eval()
    dead = [name for name, p in backbone.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not dead


def test_channels_last_is_kept(backbone: nn.Module) -> None:
    images = torch.rand(2, 3, 64, 64).contiguous(memory_format=torch.channels_last)
    backbone.to(memory_format=torch.channels_last)
    assert all(feature.is_contiguous(memory_format=torch.channels_last) for feature in backbone(images))


@pytest.mark.parametrize("kind", [CSPDarknet, Darknet53])
@pytest.mark.parametrize("changes", [{"depth": 0.0}, {"width": -1.0}])
def test_multiples_must_be_positive(kind: type, changes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected a multiple > 0"):
        kind(**{"depth": 0.33, "width": 0.25, **changes})


# counts of Darknet-53 without its classifier, equal to timm's model, and of CSPDarknet with SPPF at size l


def test_parameter_counts_at_full_size() -> None:
    with torch.device("meta"):
        assert parameters(Darknet53(depth=1.0, width=1.0)) == 40_584_928
        cspdarknet = CSPDarknet(depth=1.0, width=1.0)
    assert parameters(cspdarknet) == 26_582_912
    assert cspdarknet.out_levels == (Level(128, 4), Level(256, 8), Level(512, 16), Level(1024, 32))


def test_depths_and_widths_scale() -> None:
    nano = Darknet53(depth=0.33, width=0.25)
    assert nano.out_levels == (Level(32, 4), Level(64, 8), Level(128, 16), Level(256, 32))
    # each stage has a stride-2 convolution and max(1, round(0.33 x (1, 2, 8, 8, 4))) residual blocks
    assert [len(stage) - 1 for stage in nano.stages] == [1, 1, 3, 3, 1]
    assert [len(stage[1].blocks) for stage in CSPDarknet(depth=0.33, width=0.25).stages] == [1, 2, 3, 1]


# timm


def test_timm_normalises_with_the_models_statistics() -> None:
    backbone = TimmBackbone(name="resnet18.a1_in1k", pretrained=False)
    seen = []
    backbone.body.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    backbone((mean + 2 * std).view(1, 3, 1, 1).expand(2, 3, 40, 64))
    torch.testing.assert_close(seen[0][:, :, :40], torch.full((2, 3, 40, 64), 2.0), atol=1e-5, rtol=0)
    assert seen[0].shape == (2, 3, 64, 64)  # 40 is not a multiple of 32
    assert seen[0][:, :, 40:].abs().max() == 0  # padding is the mean colour
    assert not {"mean", "std"} & set(backbone.state_dict())


def test_the_check_at_construction_has_no_side_effects() -> None:
    torch.manual_seed(0)
    timm.create_model("resnet18.a1_in1k", features_only=True)
    expected = torch.get_rng_state()
    torch.manual_seed(0)
    backbone = TimmBackbone(name="resnet18.a1_in1k", pretrained=False)
    assert torch.equal(torch.get_rng_state(), expected)
    assert backbone.training
    assert all(module.training for module in backbone.modules())
    assert backbone.body.bn1.num_batches_tracked == 0


def test_timm_models_that_return_channels_last() -> None:
    backbone = TimmBackbone(name="mambaout_femto", pretrained=False).eval()
    shapes = [tuple(feature.shape[1:]) for feature in backbone(torch.rand(1, 3, 64, 90))]
    assert shapes == [(48, 16, 23), (96, 8, 12), (192, 4, 6), (288, 2, 3)]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet18x", r"name: got 'resnet18x'.*similar: \['resnet18'"),
        ("resnet18.nonsense", "does not have"),
        ("vit_tiny_patch16_224", "expected one per stride"),
        ("levit_128s", "does not run at 96 x 128 pixels"),
        ("inception_v4", "returns maps of shapes"),
    ],
)
def test_unsuitable_timm_models_are_refused(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TimmBackbone(name=name, pretrained=False)


@pytest.mark.parametrize(
    ("backbone", "dtype"), [(TimmBackbone, torch.float32), (nn.Identity, torch.bfloat16)]
)
def test_a_backbone_that_normalises_images_gets_all_their_grey_levels(
    backbone: type, dtype: torch.dtype
) -> None:
    task = SimpleNamespace(detector=SimpleNamespace(backbone=backbone), memory_format=torch.contiguous_format)
    greys = torch.arange(256, dtype=torch.uint8).expand(1, 3, 1, 256)
    with torch.autocast("cpu", torch.bfloat16):
        images = DetectionTask.images(task, {"images": greys})
    assert images.dtype == dtype
