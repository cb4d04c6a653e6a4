"""Does an ONNX file compute what the detector computes, suppression included?"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from torch import Tensor, nn

from gffpn.deploy.onnx_file import Deployed, detections, exported, required, session, write_onnx
from gffpn.detector import Detector
from gffpn.fold import inference_form
from gffpn.heads.postprocess import Decode
from gffpn.pyramid import levels_at
from golden import NECKS, build, load

SIZE = (128, 192)


def run(module: nn.Module, images: Tensor, example: Tensor) -> list[np.ndarray]:
    model = exported(module.eval(), example, ["a", "b", "c", "d", "e"]).model_proto
    return session(model.SerializeToString(), threads=1).run(None, {"images": images.numpy()})


class OfOneTensor(nn.Module):
    """A neck that reads all its maps from one row per image."""

    def __init__(self, neck: nn.Module, shapes: list[tuple[int, int, int]]) -> None:
        super().__init__()
        self.neck, self.shapes = neck, shapes

    def forward(self, row: Tensor) -> list[Tensor]:
        parts = row.split([np.prod(shape).item() for shape in self.shapes], dim=1)
        return self.neck([part.view(-1, *shape) for part, shape in zip(parts, self.shapes, strict=True)])


@pytest.mark.slow
@pytest.mark.parametrize("neck", NECKS)
def test_necks(neck: str) -> None:
    """The exported neck runs with a batch size other than that of the example input."""
    torch.manual_seed(0)
    levels = build("backbone", "cspdarknet").out_levels
    network = build("neck", neck, levels)
    read = levels_at(levels, network.in_strides, reader=neck)
    shapes = [(channels, SIZE[0] // stride, SIZE[1] // stride) for channels, stride in read]
    module = OfOneTensor(inference_form(network), shapes).eval()
    rows = torch.randn(3, sum(int(np.prod(shape)) for shape in shapes))
    with torch.no_grad():
        expected = module(rows)
    for got, one in zip(run(module, rows, rows[:2]), expected, strict=True):
        torch.testing.assert_close(torch.from_numpy(got), one, atol=1e-4, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("cells", [(8, 12), (16, 24), (5, 3)])
def test_adaptive_max_pooling_of_maps_of_any_size(cells: tuple[int, int]) -> None:
    pool = nn.AdaptiveMaxPool2d((8, 6))
    x = torch.randn(3, 2, *cells, generator=torch.Generator().manual_seed(0))
    (got,) = run(pool, x, x[:2])
    assert np.array_equal(got, pool(x).numpy())


class Given(nn.Module):
    """A detector that returns one stored answer per image, chosen by the image's first pixel."""

    def __init__(self, boxes: Tensor, scores: Tensor) -> None:
        super().__init__()
        self.register_buffer("answers", torch.cat((boxes, scores), -1))

    def forward(self, images: Tensor) -> list[Tensor]:
        return [self.answers[(images[:, 0, 0, 0] * 255).round().long()]]


class Reads(Decode[nn.Module]):
    def predict(self, raw: list[Tensor]) -> tuple[Tensor, Tensor]:
        return raw[0][..., :4], raw[0][..., 4:]


def answers(boxes: int, classes: int) -> tuple[Tensor, Tensor]:
    """Return boxes (2, A, 4) of two images, and scores (2, A, classes) in 0..1.

    Boxes form clusters; many cross the border of 64 x 96 pixels, and some have no area.
    """
    generator = torch.Generator().manual_seed(1)

    def draw(*shape: int) -> Tensor:
        return torch.rand(2, boxes, *shape, generator=generator)

    middles = draw(2) * torch.tensor([120.0, 80.0]) - 10
    heap = middles[:, torch.randint(0, boxes // 8, (boxes,), generator=generator)] + 3 * draw(2)
    half = 12 * draw(2) * (draw(1) > 0.05)
    return torch.cat((heap - half, heap + half), -1), draw(classes) ** 3


def asked(decode: Decode[Any], size: tuple[int, int], detector: nn.Module) -> list[list[dict[str, Tensor]]]:
    """Return the detections in three images, two of them equal, found in three ways.

    They are `detect` in PyTorch, the file in ONNX Runtime, and the fixed-size `forward` in PyTorch.
    """
    images = torch.zeros(3, 3, *size, dtype=torch.uint8)
    images[1, 0, 0, 0] = 1
    deployed = Deployed(detector, decode, size).eval()
    arrays = run(deployed, images, images[:2])
    with torch.no_grad():
        return [
            deployed.detect(images),
            detections(arrays),
            detections([x.numpy() for x in deployed(images)]),
        ]


def assert_same(ours: list[dict[str, Tensor]], theirs: list[dict[str, Tensor]]) -> None:
    for one, other in zip(ours, theirs, strict=True):
        assert one.keys() == other.keys()
        assert one["labels"].tolist() == other["labels"].tolist()
        torch.testing.assert_close(other["boxes"], one["boxes"], atol=1e-4, rtol=0)
        torch.testing.assert_close(other["scores"], one["scores"], atol=1e-6, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize(
    "rule",
    [
        {"score_threshold": 0.2},
        {"score_threshold": 0.0, "max_detections": 7, "iou_threshold": 0.3},
        {"score_threshold": 0.05, "max_candidates": 40},
        {"score_threshold": 0.05, "multi_label": False},
        {"score_threshold": 1.0},
    ],
)
def test_the_suppression_rule_is_the_same(rule: dict[str, Any]) -> None:
    detector = Given(*answers(200, 3))
    ours, theirs, fixed = asked(Reads(detector, **rule), (64, 96), detector)
    assert_same(ours, theirs)
    assert_same(ours, fixed)
    assert [len(one["boxes"]) > 3 for one in ours] == [rule["score_threshold"] < 1] * 3
    assert torch.equal(ours[0]["boxes"], ours[2]["boxes"])


@pytest.mark.slow
def test_suppression_by_hand() -> None:
    """The first two boxes have IoU 16 / 20: the lower score is removed in its class and kept in another."""
    boxes = torch.tensor([[[0.0, 0, 4, 4], [0, 0, 4, 5], [0, 0, 4, 5], [70, 70, 90, 90], [-4, -4, 2, 2]]])
    scores = torch.tensor([[[0.9, 0], [0.8, 0], [0, 0.7], [0.6, 0], [0.5, 0]]])
    detector = Given(boxes, scores)
    deployed = Deployed(detector, Reads(detector, score_threshold=0.1), (64, 64)).eval()
    found = run(deployed, torch.zeros(1, 3, 64, 64, dtype=torch.uint8), torch.zeros(2, 3, 64, 64).byte())
    boxes, scores, labels, counts = (array[0].tolist() for array in found)
    assert counts == 3  # the box at 70 lies outside
    assert boxes[:4] == [[0, 0, 4, 4], [0, 0, 4, 5], [0, 0, 2, 2], [0, 0, 0, 0]]
    assert scores[:4] == pytest.approx([0.9, 0.7, 0.5, 0])
    assert labels[:4] == [0, 1, 0, -1]


@pytest.mark.slow
def test_a_file_holds_the_whole_detector(tmp_path: Path) -> None:
    torch.manual_seed(0)
    backbone = build("backbone", "cspdarknet")
    neck = build("neck", "fpn", backbone.out_levels)
    node = load("head", "tal", size="n")
    head = instantiate(node["network"], neck.out_levels, 3)
    decode = instantiate({**node["decode"], "score_threshold": 0.01}, head)
    detector = Detector(backbone, neck, head).eval()
    for part in detector.modules():  # larger activations, so that different images have different answers
        if isinstance(part, nn.BatchNorm2d):
            part.running_var.fill_(0.05)
    images = torch.randint(0, 256, (3, 3, 64, 96), dtype=torch.uint8)
    with torch.no_grad():  # scores that neither saturate nor tie: rounding would decide their order
        towers = zip(head.box_towers, head.class_towers, detector(images / 255), strict=True)
        for box_tower, class_tower, logits in towers:
            box_tower[-1].weight /= logits[:, :-3].std()
            class_tower[-1].weight /= logits[:, -3:].std()
    deployed = Deployed(detector, decode, (64, 96)).eval()
    path = tmp_path / "detector.onnx"
    write_onnx(deployed, path, {"classes": '["a", "b", "c"]'})
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    runtime = session(path, threads=1)
    assert runtime.get_modelmeta().custom_metadata_map["classes"] == '["a", "b", "c"]'
    (given,) = runtime.get_inputs()
    assert (given.name, given.type, given.shape[1:]) == ("images", "tensor(uint8)", [3, 64, 96])
    with torch.no_grad():
        ours = deployed.detect(images)
    assert_same(ours, detections(runtime.run(None, {"images": images.numpy()})))
    assert not torch.equal(ours[0]["scores"], ours[1]["scores"])


def test_a_missing_library_is_reported_with_its_extra() -> None:
    with pytest.raises(ValueError, match=r"no_such_runtime is not installed; install the extra `export`"):
        required("no_such_runtime")
