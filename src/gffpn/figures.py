"""Results of a run as plain values: average precision, operating point, cost and speed. Needs no torch."""

from dataclasses import dataclass

Figure = float | None
"""A share from 0 to 1; None without the objects or detections that it needs."""


@dataclass(frozen=True)
class ClassFigures:
    """Average precision of one class."""

    name: str
    objects: int
    AP50: Figure
    AP50_paper: Figure
    """By the rule of the paper's tables."""


@dataclass(frozen=True)
class BinFigures:
    """Average precision of the objects with low <= side < high, over classes and IoU .50:.95."""

    name: str
    low: float
    high: float | None
    """None for the last bin, which has no upper end."""
    native: bool
    """True if the side is in pixels of the image file instead of the network's input."""
    objects: int
    AP: Figure


@dataclass(frozen=True)
class Figures:
    """Average precision on one split; means leave out classes without objects."""

    images: int
    objects: int
    mAP50: Figure
    mAP50_95: Figure
    AP50_paper: Figure
    classes: tuple[ClassFigures, ...]
    """In the order of the labels."""
    bins: tuple[BinFigures, ...]
    """The bins in network pixels, smallest first, then those in native pixels."""

    @property
    def network_bins(self) -> tuple[BinFigures, ...]:
        """The bins in pixels of the network's input, smallest first."""
        return tuple(one for one in self.bins if not one.native)

    def columns(self) -> dict[str, Figure]:
        """Return the figures under their names in metrics.csv, results.csv and W&B, without the split."""
        columns: dict[str, Figure] = {
            name: getattr(self, name) for name in ("mAP50", "mAP50_95", "AP50_paper")
        }
        for one in self.classes:
            columns |= {f"AP50/{one.name}": one.AP50, f"AP50_paper/{one.name}": one.AP50_paper}
        for size in self.bins:
            columns |= {f"AP_{size.name}": size.AP, f"n_{size.name}": size.objects}
        return columns


@dataclass(frozen=True)
class Rates:
    """Precision, recall and F1 at one threshold."""

    precision: Figure
    """None without a detection."""
    recall: Figure
    """None without an object."""
    F1: Figure
    """None without both."""


@dataclass(frozen=True)
class OperatingPoint:
    """Rates at IoU 0.5 at the score threshold that has the best F1 over all classes on val."""

    threshold: float
    """A detection counts if its score is at least this."""
    val: Rates
    test: Rates
    test_by_class: dict[str, Rates]

    def columns(self) -> dict[str, Figure]:
        """Return the threshold and the rates on test under their names in results.csv and W&B."""
        columns: dict[str, Figure] = {"threshold": self.threshold}
        columns |= {"test/P": self.test.precision, "test/R": self.test.recall, "test/F1": self.test.F1}
        for name, rates in self.test_by_class.items():
            columns |= {f"test/P/{name}": rates.precision, f"test/R/{name}": rates.recall}
        return columns


@dataclass(frozen=True)
class Cost:
    """Cost of a detector at one image size; the parts sum to the whole."""

    image_size: tuple[int, int]
    params: int
    params_backbone: int
    params_neck: int
    params_head: int
    params_m: float
    gflops: float
    gflops_backbone: float
    gflops_neck: float
    gflops_head: float
    uncounted: tuple[str, ...]
    """Operators that computed something but have no formula; they count as 0."""
    rule: str
    """The counting rule in words."""


@dataclass(frozen=True)
class Speed:
    """Latency at batch 1 of the forward pass alone, and of the forward pass with decoding."""

    latency_forward_ms: float
    latency_forward_p95_ms: float
    latency_end_to_end_ms: float
    latency_end_to_end_p95_ms: float
    rounds: int
    images: int
    """Number of different images that were timed in turn."""
    device: str
    threads: int
    dtype: str
    tf32: bool
    """True if convolutions on the GPU round float32 to TF32, PyTorch's default."""
    channels_last: bool
    timed_run: str | None = None
    """Name of the run whose network was timed after its sweep, alone: this run, or another one of its arm.

    None: this run's, when its training ended.
    """
    others: float = 0.0
    """Share of the cores that other processes took meanwhile, while none was free."""

    @property
    def fps_forward(self) -> float:
        """Images per second of the forward pass alone, from the median."""
        return 1e3 / self.latency_forward_ms

    @property
    def fps_end_to_end(self) -> float:
        """Images per second with scores and suppression, from the median."""
        return 1e3 / self.latency_end_to_end_ms
