"""The forms in which one detector can run: folding, memory format, precision and engine."""

import copy
import traceback
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from gffpn.benchmark.entry import ONCE
from gffpn.benchmark.plan import AUTOCAST, Setting, Subject
from gffpn.choice import choose
from gffpn.deploy.onnx_file import OUTPUTS, Deployed, detections, exported, session
from gffpn.fold import inference_form
from gffpn.machine.devices import precision
from gffpn.machine.timing import latency

EAGER, COMPILED, GRAPH, ONNX = "eager", "torch.compile", "CUDA graph", "ONNX Runtime"
Network = Callable[[Tensor], Any]


@dataclass(frozen=True)
class Form:
    """One way to run a detector; all of them compute the same function."""

    folded: bool
    channels_last: bool = False
    precision: str = "32-true"
    engine: str = EAGER

    @property
    def name(self) -> str:
        """The form in words."""
        words = ["folded" if self.folded else "as trained"]
        words += ["channels last"] if self.channels_last else []
        words += [{"32-true": "fp32", "bf16-mixed": "bf16", "16-mixed": "fp16"}[self.precision]]
        return ", ".join([*words, *([] if self.engine == EAGER else [self.engine])])


def forms(device: torch.device, *, compiled: bool, onnx: bool) -> list[Form]:
    """Return the forms that this device supports, the plainest first.

    Not every combination is listed: each form extends an earlier one.
    """
    half = [precision("auto", device.type)] if device.type in ("cpu", "cuda") else []
    half = [name for name in half if name != "32-true"] + (["16-mixed"] if device.type == "cuda" else [])
    ladder = [Form(False), Form(True), Form(True, True)]
    for lower in half:
        ladder += [Form(True, False, lower), Form(True, True, lower)]
    fast = [Form(True, True, name) for name in ("32-true", *half)]
    engines = [GRAPH] if device.type == "cuda" else []
    engines += [COMPILED] if compiled else []
    ladder += [
        Form(form.folded, form.channels_last, form.precision, engine) for engine in engines for form in fast
    ]
    return ladder + ([Form(True, engine=ONNX)] if onnx and device.type == "cpu" else [])


def take_form(detector: nn.Module, form: Form, setting: Setting) -> Network:
    """Return a copy of the detector in this form, on the setting's device: uint8 images to raw predictions.

    Raises ValueError for an unknown engine.
    """
    twin = inference_form(detector) if form.folded else copy.deepcopy(detector).eval()
    layout = torch.channels_last if form.channels_last else torch.contiguous_format
    twin = twin.to(setting.device).to(memory_format=layout)
    dtype = AUTOCAST[form.precision]
    if form.engine == COMPILED:
        twin.compile(dynamic=False)

    def run(images: Tensor) -> Any:
        scaled = images.to(dtype=torch.float32, memory_format=layout) / 255
        # a captured graph must not depend on casts that autocast caches outside it
        keep = form.engine != GRAPH
        with torch.autocast(setting.device.type, dtype, enabled=dtype is not None, cache_enabled=keep):
            return twin(scaled)

    engines: dict[str, Callable[[Network], Network]] = {
        EAGER: lambda network: network,
        COMPILED: lambda network: network,
        GRAPH: _graphed,
    }
    return choose("engine", form.engine, engines)(run)


def _graphed(network: Network) -> Network:
    """Return the network with its kernels recorded once per input shape and then launched all at once."""
    recorded: dict[Sequence[int], tuple[torch.cuda.CUDAGraph, Tensor, Any]] = {}

    def record(images: Tensor) -> tuple[torch.cuda.CUDAGraph, Tensor, Any]:
        inputs, aside = images.clone(), torch.cuda.Stream()  # type: ignore[no-untyped-call]
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(3):  # libraries choose kernels and allocate workspaces
                network(inputs)
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            outputs = network(inputs)
        return graph, inputs, outputs

    def replay(images: Tensor) -> Any:
        if images.shape not in recorded:
            recorded[images.shape] = record(images)
        graph, inputs, outputs = recorded[images.shape]
        inputs.copy_(images)
        graph.replay()
        return outputs

    return replay


def _noise(setting: Setting) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    shape = (setting.batch, 3, *setting.image_size)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


class FormTurn:
    """Turns of one form: from uint8 images on the device to raw predictions, and from there to detections."""

    def __init__(self, form: Form, subject: Subject) -> None:
        self.form, self.subject = form, subject
        self.times: defaultdict[str, list[float]] = defaultdict(list)
        self.fault = ""
        setting = subject.setting
        subject.detector.to(setting.device)  # decoding reads constants of its head
        images = _noise(setting) if subject.images is None else subject.images
        self.single = [image[None] for image in images.to(setting.device)]
        # as often as needed, because a small set may have fewer images than a batch
        repeats = -(-setting.batch // len(images))
        self.batch = images.repeat(repeats, 1, 1, 1)[: setting.batch].to(setting.device)
        self.run: Network | None = None
        self.read = detections if form.engine == ONNX else self._decode

    def take(self, number: int) -> bool:
        """Time batch 1, on the next image, and the larger batch; return False, with `fault`, on failure."""
        try:
            if self.run is None:
                self.run = self._made()
            with torch.inference_mode():
                single = self.single[number % len(self.single)]
                for images, prefix in ((single, ""), (self.batch, "batch_")):
                    forward, whole = latency(
                        partial(self._predict, self.run, images),
                        self.read,
                        **ONCE,
                        device=self.subject.setting.device,
                    )
                    if number > 0:
                        self.times[f"{prefix}forward"].append(forward.median_ms)
                        self.times[f"{prefix}end_to_end"].append(whole.median_ms)
        except Exception as error:
            self.fault = (f"{type(error).__name__}: {error}").splitlines()[0]
            traceback.print_exception(error)
        return not self.fault

    def _predict(self, run: Network, images: Tensor, _: object) -> Any:
        return run(images)

    def _decode(self, raw: list[Tensor]) -> object:
        return self.subject.decode(raw, self.subject.setting.image_size)

    def _made(self) -> Network:
        if self.form.engine != ONNX:
            return take_form(self.subject.detector, self.form, self.subject.setting)
        deployed = Deployed(self.subject.detector, self.subject.decode, self.subject.setting.image_size)
        model = exported(deployed.eval(), self.batch[:2].cpu(), OUTPUTS).model_proto
        runtime = session(model.SerializeToString(), threads=torch.get_num_threads())
        return lambda images: runtime.run(None, {"images": images.numpy()})
