"""One neck in a benchmark: what it costs, what it took, or why it did not."""

import sys
import traceback
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from gffpn.benchmark.memory import AllocatorPeak, activation_peak
from gffpn.benchmark.plan import SizeRefusedError, Subject
from gffpn.benchmark.training import TrainingStep, random_images, random_targets
from gffpn.cost import Cost, cost
from gffpn.fold import inference_form
from gffpn.machine.timing import latency

TRAINED, INFERENCE = "as trained", "inference form"
FORMS: dict[str, Callable[[nn.Module], nn.Module]] = {
    TRAINED: lambda detector: detector.eval(),
    INFERENCE: inference_form,
}
# a call in a turn needs no other before it: tried with 0, 1 and 2 among 14 necks on a CPU, times were equal
ONCE: dict[str, Any] = {"warmup": 0, "rounds": 1, "budget_s": 0.0}


class Entry:
    """A neck's row. Whatever it raises becomes its `fault`, and the other necks go on."""

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
        """(form, what was timed) -> milliseconds, one a round."""

    def attempt(self, act: Callable[..., object], *arguments: object) -> bool:
        """Do it; whether it went well."""
        try:
            act(*arguments)
        except Exception as error:
            self.catch(error)
        return not self.fault

    def catch(self, error: Exception) -> None:
        """Make a fault of what was raised, and tell it; what is no wrong value keeps its traceback."""
        told = (str(error) or "no message").splitlines()[0]
        if isinstance(error, SizeRefusedError):
            self.fail(told, status=f"refused: multiples of {error.multiple} px only")
        elif isinstance(error, ValueError):
            self.fail(told)
        else:
            traceback.print_exception(error)
            self.fail(f"{type(error).__name__}: {told}")
        # its frames hold tensors, and the next neck needs the memory
        traceback.clear_frames(error.__traceback__)

    def fail(self, fault: str, *, status: str = "failed") -> None:
        """Keep what is known, and why no more comes."""
        self.fault, self.status = fault, status
        print(f"neck={self.neck}: {status}: {fault}", file=sys.stderr, flush=True)

    def weigh(self, subject: Subject) -> None:
        """What needs no clock: levels, parameters, GFLOPs, and the memory of a forward pass on the CPU."""
        setting, neck = subject.setting, subject.detector.neck
        self.reads = tuple(neck.in_strides)
        self.gives = {level.stride: level.channels for level in neck.out_levels}
        image = torch.zeros(1, 3, *setting.image_size).to(memory_format=setting.memory_format)
        for form, network in forms_of(subject).items():
            self.costs[form] = cost(network, setting.image_size)
            self.activation_bytes[form] = activation_peak(network, image)


def forms_of(subject: Subject) -> dict[str, nn.Module]:
    """The detector in eval mode, in each of its forms, where and how its memory lies."""
    layout = subject.setting.memory_format
    return {form: take(subject.detector).to(memory_format=layout) for form, take in FORMS.items()}


class InferenceTurns:
    """Both forms of a neck's detector: forward, forward with decoding at batch 1, forward at a larger one."""

    title = "Inference"

    def __init__(self, entry: Entry, subject: Subject) -> None:
        self.entry = entry
        self.subject = subject
        setting = subject.setting
        self.images = {count: random_images(count, setting) for count in {1, setting.batch}}
        subject.detector.to(setting.device)
        self.networks = forms_of(subject)

    def take(self, number: int) -> bool:
        """Time both forms, in the other order every other round."""
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
        # entered anew each time, as a trainer does: autocast forgets at its end what it has cast
        with self.subject.setting.autocast():
            raw: list[Tensor] = network(self.images[count])
        return raw

    def _decode(self, raw: list[Tensor]) -> object:
        with self.subject.setting.autocast():
            return self.subject.decode(raw, self.subject.setting.image_size)

    def _allocated(self, form: str, network: nn.Module) -> None:
        with torch.inference_mode():
            self._predict(network, 1)  # a library makes its workspace at its first call
            with AllocatorPeak(self.subject.setting.device) as peak:
                self._predict(network, 1)
        self.entry.allocator_bytes[form] = peak.bytes


class TrainingTurns:
    """Training steps of a neck's detector."""

    title = "Training"

    def __init__(self, entry: Entry, subject: Subject) -> None:
        self.entry = entry
        setting = subject.setting
        images, targets = random_images(setting.batch, setting), random_targets(setting.batch, setting)
        self.step = TrainingStep(subject, images, targets)

    def take(self, number: int) -> bool:
        """Time a step; the first round measures its memory."""
        return self.entry.attempt(self._take, number)

    def _take(self, number: int) -> None:
        if number == 0:
            self.entry.training_bytes = self.step.peak_bytes()
        (taken,) = latency(lambda _: self.step(), **ONCE, device=self.step.images.device)
        if number > 0:
            self.entry.times[TRAINED, "training"].append(taken.median_ms)
