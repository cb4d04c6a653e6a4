"""Profiler for the time that each part of a training epoch takes."""

import time
from collections import defaultdict
from collections.abc import Callable

from lightning.pytorch.profilers import Profiler
from torch import nn

EPOCH = "run_training_epoch"
STEP = "loss, logging"
REST = "trainer's loops"
# text in the name of a Lightning action, and the part that it counts towards; the first match applies
PARTS = (
    ("train_dataloader_next", "images"),
    ("save_checkpoint", "checkpoints"),
    ("Pictures.", "pictures"),
    ("alidation", "validation"),
    ("_EvaluationLoop", "validation"),
    ("batch_to_device", "to the device"),
    (".training_step", STEP),
    (".backward", "backward"),
    ("configure_gradient_clipping", "gradient clipping"),
    ("optimizer_", "optimiser"),
    ("lr_scheduler_step", "optimiser"),
    ("RampedEMA.", "weight average"),
)


class PartClock(Profiler):
    """Profiler that divides the time of one epoch among its parts.

    Time is attributed to the innermost known part that is running. During that epoch, each change of part
    waits for the device; earlier epochs run without waiting.
    """

    def __init__(self, epoch: int, wait: Callable[[], None]) -> None:
        super().__init__()
        self.epoch = epoch
        self.wait = wait
        self.seconds: dict[str, float] = defaultdict(float)
        self.began: float | None = None
        self._begun_epochs = 0
        self._running: list[str] = []
        self._last = 0.0

    def start(self, action_name: str) -> None:
        if action_name == EPOCH:
            if self._begun_epochs == self.epoch:
                self.wait()
                self.began = self._last = time.perf_counter()
                self._running = [REST]
            self._begun_epochs += 1
        elif self._running:
            self.enter(next((part for word, part in PARTS if word in action_name), self._running[-1]))

    def stop(self, action_name: str) -> None:
        if action_name == EPOCH and self._running:
            self._charge()
            self._running = []
        elif self._running:
            self.leave()

    def enter(self, part: str) -> None:
        self._charge()
        self._running.append(part)

    def leave(self) -> None:
        self._charge()
        self._running.pop()

    def watch(self, module: nn.Module, name: str) -> None:
        """Measure a module's forward pass in training steps as a separate part called `name`."""

        def before(*_: object) -> None:
            if self._running and self._running[-1] == STEP:
                self.enter(name)

        def after(*_: object) -> None:
            if self._running and self._running[-1] == name:
                self.leave()

        module.register_forward_pre_hook(before)
        module.register_forward_hook(after)

    def _charge(self) -> None:
        self.wait()
        now = time.perf_counter()
        self.seconds[self._running[-1]] += now - self._last
        self._last = now
