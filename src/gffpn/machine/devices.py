"""The devices of this machine: choice, name, synchronisation, and the precision that is fast on them."""

import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

FULL_NAMES = {
    "None": "32-true",  # Lightning's default
    "64": "64-true",
    "32": "32-true",
    "16": "16-mixed",
    "bf16": "bf16-mixed",
}
"""Lightning's full names of the precisions that have short names, too, such as 32 and "32"."""


def device(accelerator: str, *, setting: str = "trainer.accelerator") -> torch.device:
    """Return the device on which a trainer with this accelerator runs a single process.

    Raises ValueError, naming the setting that chose it, if the machine has no such device.
    """
    if accelerator == "cpu":
        return torch.device("cpu")
    found = torch.accelerator.current_accelerator(check_available=True)
    if accelerator == "auto":
        return found or torch.device("cpu")
    if found is None or accelerator not in ("gpu", found.type):
        kinds = ["auto", "cpu", *(["gpu", found.type] if found else [])]
        raise ValueError(f"{setting}: got {accelerator!r}, this machine has {kinds}")
    return found


def precision(asked: str | int | None, accelerator: str) -> str:
    """Return Lightning's full name of a precision.

    That of `auto` is bf16 if the machine multiplies it in hardware, and fp32 otherwise. On a CPU, Lightning
    trains in bf16 if fp16 is asked for.
    """
    if asked != "auto":
        name = FULL_NAMES.get(str(asked), str(asked))
        on_cpu = accelerator == "cpu" or (accelerator == "auto" and not torch.accelerator.is_available())
        return "bf16-mixed" if on_cpu and name == "16-mixed" else name
    if accelerator != "cpu" and torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
    # emulated bf16 is 300 times slower than fp32 on a CPU without these instructions
    capable = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bf16-mixed" if capable else "32-true"


@contextmanager
def without_tf32() -> Iterator[None]:
    """Compute float32 in full inside the block.

    By default, PyTorch rounds the inputs of convolutions on a GPU to TF32, with 10 bits instead of 23, while
    its matrix products are exact. A CPU has no TF32.
    """
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


def device_name(device: torch.device) -> str:
    """Return the model of the GPU or the processor, for the footnote of a table."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(iter(models), platform.processor() or platform.machine())


def synchronizer(device: torch.device) -> Callable[[], None]:
    """Return a function that waits until the device has finished its work.

    Raises ValueError for a kind of device that cannot be timed.
    """
    synchronizers: dict[str, Callable[[], None]] = {
        "cpu": lambda: None,
        "cuda": lambda: torch.cuda.synchronize(device),
        "mps": torch.mps.synchronize,
    }
    if device.type not in synchronizers:
        raise ValueError(f"device: got {device.type!r}, expected one of {list(synchronizers)}")
    return synchronizers[device.type]
