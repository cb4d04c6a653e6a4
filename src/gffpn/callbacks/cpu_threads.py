"""The number of CPU threads during training: fixed, or adapted to what other processes leave."""

import time
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback

from gffpn.machine.devices import device_name
from gffpn.machine.thread_choice import ThreadChoice, Verdict


class CPUThreads(Callback):
    """Callback that chooses the number of threads while training on a CPU, and records those used.

    With a `fixed` number, nothing is chosen. Each process chooses for itself. The chosen number remains set
    after training; `at_start` is the number before it.
    """

    def __init__(self, fixed: int | None) -> None:
        self.fixed = fixed
        self.used: list[int] = []
        """Numbers with which a step was trained, in the order of their first use, over all attempts."""
        self.devices: list[str] = []
        """Models of the first process's devices with which a step was trained, in the same order."""
        self.at_start = torch.get_num_threads()
        self._choice: ThreadChoice | None = None
        self._start = 0.0
        self._silent = False

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        if self.fixed is not None:  # Lightning may have divided the cores among the processes
            torch.set_num_threads(self.fixed)
        self.at_start = torch.get_num_threads()

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if (name := device_name(trainer.strategy.root_device)) not in self.devices:
            self.devices.append(name)
        several = self.at_start > 1 and trainer.strategy.root_device.type == "cpu"
        self._choice = ThreadChoice(self.at_start) if several and self.fixed is None else None

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if (number := torch.get_num_threads()) not in self.used:
            self.used.append(number)
        self._start = time.perf_counter()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self._choice is None:
            return
        verdict = self._choice.step(time.perf_counter() - self._start, len(batch["images"]))
        if self._choice.number != torch.get_num_threads():
            torch.set_num_threads(self._choice.number)
        if verdict is not None and trainer.is_global_zero:
            self._report(verdict)

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self._choice is not None and trainer.state.fn == "fit":
            # of the first process: the others print and log nothing
            pl_module.log("train/threads", float(torch.get_num_threads()), rank_zero_only=True)

    def _report(self, verdict: Verdict) -> None:
        before = _at(verdict.before, verdict.seconds_before)
        tried = _at(verdict.tried, verdict.seconds_tried)
        if verdict.accepted and verdict.tried > verdict.before:
            print(f"Cores are free: continuing with {tried} instead of {before}", flush=True)
        elif verdict.accepted:
            print(f"Busy machine: {before} wait for other processes; continuing with {tried}", flush=True)
        elif verdict.tried < verdict.before and not self._silent:
            self._silent = True  # once is enough for what does not change
            print(f"Busy machine: {before} wait for other processes; {tried} not faster", flush=True)

    def state_dict(self) -> dict[str, Any]:
        return {"used": self.used, "devices": self.devices}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.used = list(state_dict["used"])
        self.devices = list(state_dict.get("devices", ()))  # a checkpoint may be older than this list


def cpu_threads(trainer: L.Trainer) -> CPUThreads:
    """Return the trainer's callback that chooses the number of threads."""
    (callback,) = (callback for callback in trainer.callbacks if isinstance(callback, CPUThreads))  # type: ignore[attr-defined]
    return callback


def _at(threads: int, seconds: float) -> str:
    return f"{threads} thread{'s' if threads > 1 else ''} ({1 / seconds:.1f} images/s)"
