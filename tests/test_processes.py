"""Do two processes compute the gradients and log the losses of one process?"""

import multiprocessing
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import patch

import numpy as np
import pytest
import torch
import torch.distributed as dist
from hydra.utils import instantiate
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from gffpn.build.detector import build_loss_and_decode
from gffpn.callbacks.size_counts import SizeCounts
from gffpn.config.compose import compose_config
from gffpn.data.canvas import lost
from gffpn.heads.yolov5 import YOLOv5Head, YOLOv5Loss
from gffpn.pyramid import Assignments, Level
from gffpn.task import DetectionTask
from golden import HEADS

LEVELS = (Level(16, 8), Level(24, 16), Level(32, 32))
SIZE = (64, 64)
# the last image has no boxes, so a process that has no other image has no object at all
BOXES = [
    [[6.0, 6, 10, 10], [30, 20, 50, 44]],
    [[40.0, 38, 48, 46]],
    [[8.0, 30, 40, 62], [50, 4, 62, 12], [2, 2, 30, 28]],
    [],
]
SHARES = {
    "equal": ([0, 1], [2, 3]),
    "one without objects": ([0, 1, 2], [3]),
    "unequal": ([2], [0, 1, 3]),
}
"""The images of the first and of the second process."""
LOSSES = ([(1.0, 2), (4.0, 1)], [(8.0, 2)])
"""Per process, the loss and the number of images of each validation batch."""


class HeadInEval(nn.Module):
    """A head in eval mode, because BatchNorm would see only the images of its own process."""

    def __init__(self, name: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        config = compose_config([f"head={name}"])
        self.head = instantiate(config.head.network, LEVELS, 3, _convert_="all").eval()
        self.loss, _ = build_loss_and_decode(config, self.head)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        return self.head(features)


def total(model: nn.Module, loss: Callable[..., dict[str, Tensor]], images: list[int]) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    maps = [torch.randn(len(BOXES), c, 64 // s, 64 // s, generator=generator) for c, s in LEVELS]
    boxes = [torch.tensor(BOXES[image]).reshape(-1, 4) for image in images]
    targets = [{"boxes": one, "labels": torch.arange(len(one))} for one in boxes]
    return torch.stack(list(loss(model([x[images] for x in maps]), targets, SIZE).values())).sum()


def gradients(head: HeadInEval) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in head.named_parameters() if p.grad is not None}


def untrained() -> DetectionTask:
    """Return a task of a head alone."""
    detector, head = nn.Module(), YOLOv5Head(LEVELS[:1], 1)
    detector.head = head
    return DetectionTask(
        cast(Any, detector),
        YOLOv5Loss(head),
        cast(Any, None),
        cast(Any, None),
        classes=("dent",),
        channels_last=False,
    )


def logged(losses: list[tuple[float, int]]) -> float:
    """Return the mean that a task logs for these losses and numbers of images."""
    task, values = untrained(), dict[str, Tensor]()
    task._losses["val"] = [({"loss": torch.tensor(loss)}, images) for loss, images in losses]
    with patch.object(task, "log", lambda name, value, **_: values.update({name: value})):
        task._log_losses("val")
    return float(values["val/loss"])


def counted(rank: int) -> dict[str, float]:
    """Return the counts by size that a process logs after one object, on the second process after two."""
    task, callback, values = untrained(), SizeCounts(), dict[str, float]()
    trainer = cast(Any, SimpleNamespace(is_global_zero=rank == 0))
    boxes = torch.tensor([[[0.0, 0, 4, 4], [0, 0, 40, 40]]])
    valid = torch.tensor([[True, rank == 1]])
    callback.on_train_start(trainer, task)
    assert isinstance(task.loss, YOLOv5Loss)
    assert task.loss.watch
    task.loss.watch(Assignments(boxes, valid, torch.tensor([[[2], [3]]])))
    gone = lost(np.array([[0, 0, 9, 9]], np.float32), by="crop")
    callback.on_train_batch_end(trainer, task, None, {"lost_boxes": gone}, 0)
    with patch.object(task, "log_dict", values.update):
        callback.on_validation_epoch_end(trainer, task)
    return {name.removeprefix("train/"): value for name, value in values.items() if value}


def answer(rank: int, folder: Path) -> None:
    """Compute, as one of two processes, what the tests compare with one process, and save it."""
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    answers: dict[str, Any] = {"logged": logged(LOSSES[rank]), "counted": counted(rank)}
    for name in HEADS:
        for share, images in SHARES.items():
            head = HeadInEval(name)
            model = DistributedDataParallel(head)
            loss = total(model, head.loss, images[rank])
            loss.backward()
            answers[f"{name} {share}"] = {"loss": loss.detach(), **gradients(head)}
        with torch.no_grad():
            # in validation, processes have different numbers of batches and must not wait for each other
            answers[f"{name} val"] = [float(total(head, head.loss, [0, 1])) for _ in range(1 + rank)]
    torch.save(answers, folder / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Return what two real processes computed, forked because importing torch takes seconds."""
    folder = tmp_path_factory.mktemp("two")
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=answer, args=(rank, folder)) for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        process.kill()
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("share", SHARES)
def test_two_processes_train_with_the_gradient_of_one(
    name: str, share: str, two: list[dict[str, Any]]
) -> None:
    head = HeadInEval(name)
    loss = total(head, head.loss, list(range(len(BOXES))))
    loss.backward()
    first, second = (one[f"{name} {share}"] for one in two)
    expected = gradients(head)
    assert all(expected[key].any() for key in expected)
    for key, gradient in expected.items():
        torch.testing.assert_close(first[key], gradient, rtol=1e-4, atol=1e-6)
        assert torch.equal(first[key], second[key])
    torch.testing.assert_close((first["loss"] + second["loss"]) / 2, loss.detach())


@pytest.mark.parametrize("name", HEADS)
def test_the_validation_loss_does_not_depend_on_the_number_of_processes(
    name: str, two: list[dict[str, Any]]
) -> None:
    """Two processes whose batches are equal log the loss of one whose batch is both of them."""
    head = HeadInEval(name)
    with torch.no_grad():
        whole = float(total(head, head.loss, [0, 1, 0, 1]))
    assert [loss for one in two for loss in one[f"{name} val"]] == pytest.approx([whole] * 3, rel=1e-5)


def test_a_logged_loss_is_the_mean_over_the_images_of_all_processes(two: list[dict[str, Any]]) -> None:
    assert [one["logged"] for one in two] == pytest.approx([(1 * 2 + 4 * 1 + 8 * 2) / 5] * 2)


def test_the_counts_by_size_are_sums_over_all_processes(two: list[dict[str, Any]]) -> None:
    expected = {
        "objects_0_8": 2,
        "positives_s8_0_8": 4,
        "objects_32_96": 1,
        "positives_s8_32_96": 3,
        "lost_crop_8_16": 2,
    }
    assert [one["counted"] for one in two] == [expected] * 2
