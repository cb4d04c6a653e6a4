"""One neck in a benchmark: its costs and times, or the reason why they are missing."""

import sys
import traceback
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from gffpn.benchmark.peak_memory import AllocatorPeak, activation_peak
from gffpn.benchmark.plan import SizeRefusedError, Subject
from gffpn.benchmark.training_step import TrainingStep, random_images, random_targets
from gffpn.cost import cost
from gffpn.figures import Cost
from gffpn.fold import inference_form
from gffpn.machine.timing import latency

TRAINED, INFERENCE = "as trained", "inference form"
FORMS: dict[str, Callable[[nn.Module], nn.Module]] = {
    TRAINED: lambda detector: detector.eval(),
    INFERENCE: inference_form,
}
# a turn needs no warm-up calls: 0, 1 and 2 of them gave equal times for 14 necks on a CPU
ONCE: dict[str, Any] = {"warmup": 0, "rounds": 1, "budget_s": 0.0}


class Entry:
    """Results of one neck. An exception that it raises becomes its `fault`, and the other necks continue."""

    def __init__(self, neck: str) -> None:
        self.neck = neck
        self.status = "measured"
        self.fault = ""
        self.reads: tuple[int, ...] = ()
        self.gives: dict[int, int] = {}
        self.costs: dict[str, Cost] = {}
        self.activation_bytes: dict[str, int] = {}
        self.allocator_bytes: dict[str, int] = {}
        self.training_bytes: int | None = None
        self.times: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
        """(form, what was timed) -> milliseconds, one value per round."""

    def attempt(self, act: Callable[..., object], *arguments: object) -> bool:
        """Call `act` and record any exception as the fault; return True if the entry has no fault."""
        try:
            act(*arguments)
        except Exception as error:
            self.catch(error)
        return not self.fault

    def catch(self, error: Exception) -> None:
        """Record an exception as the fault and print it, with its traceback unless it is a ValueError."""
        message = (str(error) or "no message").splitlines()[0]
        if isinstance(error, SizeRefusedError):
            self.fail(message, status=f"refused: multiples of {error.multiple} px only")
        elif isinstance(error, ValueError):
            self.fail(message)
        else:
            traceback.print_exception(error)
            self.fail(f"{type(error).__name__}: {message}")
        # the traceback's frames hold tensors, and the next neck needs their memory
        traceback.clear_frames(error.__traceback__)

    def fail(self, fault: str, *, status: str = "failed") -> None:
        """Record and print why measuring stopped; the figures measured so far are kept."""
        self.fault, self.status = fault, status
        print(f"neck={self.neck}: {status}: {fault}", file=sys.stderr, flush=True)

    def weigh(self, subject: Subject) -> None:
        """Record the untimed figures: levels, parameters, GFLOPs, and memory of a forward pass on the CPU."""
        setting, neck = subject.setting, subject.detector.neck
        self.reads = tuple(neck.in_strides)
        self.gives = {level.stride: level.channels for level in neck.out_levels}
        image = torch.zeros(1, 3, *setting.image_size).to(memory_format=setting.memory_format)
        for form, network in forms_of(subject).items():
            self.costs[form] = cost(network, setting.image_size)
            self.activation_bytes[form] = activation_peak(network, image)


def forms_of(subject: Subject) -> dict[str, nn.Module]:
    """Return the detector in eval mode in each of its forms and in the setting's memory format."""
    layout = subject.setting.memory_format
    return {form: take(subject.detector).to(memory_format=layout) for form, take in FORMS.items()}


class InferenceTurns:
    """Turns of both forms of a neck's detector: forward pass and decoding, at batch 1 and a larger one."""

    title = "Inference"

    def __init__(self, entry: Entry, subject: Subject) -> None:
        self.entry = entry
        self.subject = subject
        setting = subject.setting
        self.images = {count: random_images(count, setting) for count in {1, setting.batch}}
        subject.detector.to(setting.device)
        self.networks = forms_of(subject)

    def take(self, number: int) -> bool:
        """Time both forms, in an order that alternates from round to round; return False after a failure."""
        return self.entry.attempt(self._take, number)

    def _take(self, number: int) -> None:
        forms = list(self.networks.items())
        for form, network in forms if number % 2 else reversed(forms):
            if number == 0 and self.subject.setting.device.type == "cuda":
                self._allocated(form, network)
            for what, milliseconds in self._timed(network).items():
                if number > 0:
                    self.entry.times[form, what].append(milliseconds)

    def _timed(self, network: nn.Module) -> dict[str, float]:
        setting = self.subject.setting
        with torch.inference_mode():
            forward, whole = latency(
                lambda _: self._predict(network, 1), self._decode, **ONCE, device=setting.device
            )
            batch, batch_whole = latency(
                lambda _: self._predict(network, setting.batch), self._decode, **ONCE, device=setting.device
            )
        taken = {"forward": forward, "end_to_end": whole, "batch": batch, "batch_end_to_end": batch_whole}
        return {what: one.median_ms for what, one in taken.items()}

    def _predict(self, network: nn.Module, count: int) -> list[Tensor]:
        # entered for every call, as in a trainer: on exit, autocast clears its cache of cast weights
        with self.subject.setting.autocast():
            raw: list[Tensor] = network(self.images[count])
        return raw

    def _decode(self, raw: list[Tensor]) -> object:
        with self.subject.setting.autocast():
            return self.subject.decode(raw, self.subject.setting.image_size)

    def _allocated(self, form: str, network: nn.Module) -> None:
        with torch.inference_mode():
            self._predict(network, 1)  # libraries allocate their workspaces in the first call
            with AllocatorPeak(self.subject.setting.device) as peak:
                self._predict(network, 1)
        self.entry.allocator_bytes[form] = peak.bytes


class TrainingTurns:
    """Turns of training steps of a neck's detector."""

    title = "Training"

    def __init__(self, entry: Entry, subject: Subject) -> None:
        self.entry = entry
        setting = subject.setting
        images, targets = random_images(setting.batch, setting), random_targets(setting.batch, setting)
        self.step = TrainingStep(subject, images, targets)

    def take(self, number: int) -> bool:
        """Time a step and, in round 0, measure its memory; return False after a failure."""
        return self.entry.attempt(self._take, number)

    def _take(self, number: int) -> None:
        if number == 0:
            self.entry.training_bytes = self.step.peak_bytes()
        (taken,) = latency(lambda _: self.step(), **ONCE, device=self.step.images.device)
        if number > 0:
            self.entry.times[TRAINED, "training"].append(taken.median_ms)
