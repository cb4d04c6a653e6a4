"""Optimiser, learning-rate schedule and the other settings of a training recipe."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from gffpn.pyramid import PartlyUndecayed

ParamGroups = list[dict[str, object]]


def decay_groups(module: nn.Module, weight_decay: float) -> ParamGroups:
    """Split a module's parameters into a group with weight decay and a group without.

    Weight matrices and kernels decay; norms, biases and fusion scalars (fewer than 2 axes) do not. Neither do
    the parameters that a submodule lists in `undecayed`, such as a table of biases.
    """
    named = {
        id(part.get_parameter(name))
        for part in module.modules()
        if isinstance(part, PartlyUndecayed)
        for name in part.undecayed
    }
    parameters = [p for p in module.parameters() if p.requires_grad]
    decaying = [p for p in parameters if p.ndim >= 2 and id(p) not in named]
    rest = [p for p in parameters if p.ndim < 2 or id(p) in named]
    return [
        {"params": decaying, "weight_decay": weight_decay},
        {"params": rest, "weight_decay": 0.0},
    ]


def _adamw(
    groups: Iterable[dict[str, object]], recipe: "Recipe", fused: bool | None
) -> torch.optim.Optimizer:
    return torch.optim.AdamW(list(groups), lr=recipe.lr, betas=(recipe.momentum, 0.999), fused=fused)


def _sgd(groups: Iterable[dict[str, object]], recipe: "Recipe", fused: bool | None) -> torch.optim.Optimizer:
    nesterov = recipe.momentum > 0
    return torch.optim.SGD(
        list(groups), lr=recipe.lr, momentum=recipe.momentum, nesterov=nesterov, fused=fused
    )


Optimizer = Literal["adamw", "sgd"]
OPTIMIZERS: dict[Optimizer, Callable[..., torch.optim.Optimizer]] = {"adamw": _adamw, "sgd": _sgd}

Schedule = Literal["cosine", "linear", "constant"]
# progress after the warm-up, 0..1 -> fraction of the descent from the peak rate to the final rate
SCHEDULES: dict[Schedule, Callable[[float], float]] = {
    "cosine": lambda progress: (1 - math.cos(math.pi * progress)) / 2,
    "linear": lambda progress: progress,
    "constant": lambda progress: 0.0,
}


RANGES: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    ("lr", lambda value: value > 0, "a rate above 0"),
    ("momentum", lambda value: 0 <= value < 1, "0 or more, below 1"),
    ("weight_decay", lambda value: value >= 0, "0 or more"),
    ("warmup_epochs", lambda value: value >= 0, "0 or more"),
    ("final_lr", lambda value: 0 <= value <= 1, "a fraction of lr, 0 to 1"),
    ("gradient_clip", lambda value: value is None or value > 0, "null or a norm above 0"),
    ("ema_decay", lambda value: value is None or 0 < value < 1, "null or a value between 0 and 1"),
)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Settings of the weight updates.

    `lr` is the peak rate, which is reached linearly over `warmup_epochs`, at most half of the training, and
    then lowered to `lr * final_lr` by `schedule`. `momentum` is Nesterov momentum for sgd and beta1 for
    adamw. `gradient_clip` bounds the norm of the gradient; `ema_decay` is the decay of the weight average
    after its ramp. Null turns either off.
    """

    optimizer: Optimizer
    lr: float
    momentum: float
    weight_decay: float
    schedule: Schedule
    warmup_epochs: float
    final_lr: float
    gradient_clip: float | None
    ema_decay: float | None

    def __post_init__(self) -> None:
        for name, choices in (("optimizer", OPTIMIZERS), ("schedule", SCHEDULES)):
            if getattr(self, name) not in choices:
                raise ValueError(
                    f"optim.{name}: got {getattr(self, name)!r}, expected one of {list(choices)}"
                )
        for name, fits, expected in RANGES:
            value = getattr(self, name)
            if not fits(value):
                raise ValueError(f"optim.{name}: got {value!r}, expected {expected}")

    def factor(self, step: int, *, steps_per_epoch: int, total_steps: int) -> float:
        """Return the factor by which the peak rate is multiplied at a step (0 is the first)."""
        warmup_steps = min(self.warmup_epochs * steps_per_epoch, total_steps / 2)
        if step + 1 < warmup_steps:
            return (step + 1) / warmup_steps
        progress = min(1.0, (step + 1 - warmup_steps) / max(1.0, total_steps - warmup_steps))
        return 1 - (1 - self.final_lr) * SCHEDULES[self.schedule](progress)

    def build(
        self, module: nn.Module, *, steps_per_epoch: int, total_steps: int, fused: bool = True
    ) -> tuple[torch.optim.Optimizer, LambdaLR]:
        """Return the optimiser of a module's parameters and its schedule, to be stepped after every step.

        fused: use one kernel for all parameters, 3 times faster on a CPU than a loop over them; false leaves
        the choice to PyTorch.
        """
        optimizer = OPTIMIZERS[self.optimizer](decay_groups(module, self.weight_decay), self, fused or None)

        def factor(step: int) -> float:
            return self.factor(step, steps_per_epoch=steps_per_epoch, total_steps=total_steps)

        return optimizer, LambdaLR(optimizer, factor)
