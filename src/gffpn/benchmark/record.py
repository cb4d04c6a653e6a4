"""Results of a benchmark as flat rows, one per neck and form."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from gffpn.benchmark.entry import FORMS, TRAINED, Entry
from gffpn.benchmark.peak_memory import MIB
from gffpn.benchmark.plan import Options, Setting, changes_word
from gffpn.config.overrides import choices
from gffpn.machine.timing import Latency
from gffpn.report.paper import paper_costs, paper_setting
from gffpn.runs.provenance import Provenance, provenance

TIMED = ("forward", "end_to_end", "batch", "batch_end_to_end", "training")
AT_ONE = ("forward", "end_to_end")
STAGES = ("_backbone", "_neck", "_head")


@dataclass
class Record:
    """All results and settings that the output files show."""

    entries: Sequence[Entry]
    options: Options
    setting: Setting
    changes: Sequence[str] = ()
    """The overrides that change the networks, beside the parts that are chosen by name."""
    partial: bool = False
    """True if the benchmark was interrupted."""
    origin: Provenance = field(default_factory=provenance)

    @property
    def name(self) -> str:
        """File name without suffix; that of a partial record differs, so it never replaces a complete one."""
        s = self.setting
        device = re.sub(r"[^A-Za-z0-9]+", "-", s.device_name).strip("-")
        words = ["benchmark", device, f"{s.threads}t", f"{s.backbone}-{s.size}", s.head, s.image_size_word]
        necks = [entry.neck for entry in self.entries]
        some = [] if set(necks) == set(choices("neck", ())) else ["-".join(necks)]
        some += [changes_word(self.changes)] if self.changes else []
        some += [] if s.classes == paper_setting()["classes"] else [f"{s.classes}-classes"]
        return "_".join([*words, s.precision, *some, *(["partial"] if self.partial else [])])

    @property
    def title(self) -> str:
        """The device and the detector, in words."""
        s = self.setting
        threads = f"{s.threads} CPU thread{'s' if s.threads > 1 else ''}"
        changes = "".join(f", {word}" for word in self.changes)
        return (
            f"{s.device_name}, {threads}, size {s.size}, {s.head} head, {s.image_size_word} px, {s.precision}"
            f"{changes}"
        )

    @property
    def failed(self) -> list[Entry]:
        """The necks that failed; one that does not accept the image size is not among them."""
        return [entry for entry in self.entries if entry.status == "failed"]

    @property
    def is_the_papers(self) -> bool:
        """True if the detector is the one whose parameters agree with the paper's."""
        same = all(self.shared()[key] == value for key, value in paper_setting().items())
        return same and not self.changes

    def shared(self) -> dict[str, Any]:
        """Return the columns whose values are the same in all rows."""
        s = self.setting
        side = int(s.image_size_word) if s.image_size_word.isdigit() else s.image_size_word
        return {
            "backbone": s.backbone,
            "size": s.size,
            "head": s.head,
            "image_size": side,
            "classes": s.classes,
            "batch_size": s.batch,
            "precision": s.precision,
            "channels_last": s.channels_last,
            "device": s.device_name,
            "threads": s.threads,
            "torch": torch.__version__,
            "commit": self.origin.commit,
            "dirty": self.origin.dirty,
            "overrides": " ".join(self.changes),
            "partial": self.partial,
        }

    def rows(self) -> list[dict[str, Any]]:
        """Return one row per neck and form, or one for a neck without costs, all with the same keys."""
        shared = self.shared()
        return [
            {**row(entry, form, self.setting.batch), **shared}
            for entry in self.entries
            for form in (FORMS if entry.costs else [""])
        ]


def row(entry: Entry, form: str, batch: int) -> dict[str, Any]:
    """Return a neck's figures in one form, None for those that were not measured."""
    cost = entry.costs.get(form)
    counted = [what + stage for what in ("params", "gflops") for stage in ("", *STAGES)]
    figures: dict[str, Any] = {
        "neck": entry.neck,
        "form": form,
        "status": entry.status,
        "fault": entry.fault,
        "reads": " ".join(map(str, entry.reads)),
        "gives": " ".join(f"{stride}:{channels}" for stride, channels in entry.gives.items()),
        **{key: cost and getattr(cost, key) for key in counted},
        "uncounted": " ".join(cost.uncounted) if cost else "",
        "activation_mib": _mib(entry.activation_bytes.get(form)),
        "allocator_mib": _mib(entry.allocator_bytes.get(form)),
        "training_mib": _mib(entry.training_bytes if form == TRAINED else None),
    }
    for what in TIMED:
        figures |= _times(what, entry.times.get((form, what)), 1 if what in AT_ONE else batch)
    paper = paper_costs().get(entry.neck, {})
    return figures | {f"paper_{key}": paper.get(key) for key in ("params_m", "gflops", "fps")}


def _times(what: str, times_ms: Sequence[float] | None, images: int) -> dict[str, Any]:
    keys = (f"{what}_ms", f"{what}_p95_ms", f"{what}_images_s", f"{what}_rounds")
    if not times_ms:
        return dict.fromkeys(keys)
    taken = Latency.of(times_ms)
    values = (taken.median_ms, taken.p95_ms, 1e3 * images / taken.median_ms, taken.n)
    return dict(zip(keys, values, strict=True))


def _mib(count: int | None) -> float | None:
    return None if count is None else count / MIB
