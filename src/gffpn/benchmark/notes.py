"""Notes on the tables of a benchmark: what a reader must know to interpret and trust them."""

from collections.abc import Mapping
from dataclasses import dataclass

from gffpn.benchmark.entry import TRAINED, Entry
from gffpn.benchmark.record import Record
from gffpn.benchmark.training_step import BOXES
from gffpn.cost import COUNTING_RULE
from gffpn.report.paper import paper_costs, paper_setting


@dataclass(frozen=True)
class Notes:
    """Paragraphs above the tables and below each of them."""

    heading: list[str]
    costs: list[str]
    times: list[str]
    paper: list[str]


def notes(record: Record) -> Notes:
    """Return the notes on the tables of a record."""
    return Notes(_heading(record), _costs(record), _times(record), _paper(record))


def _heading(record: Record) -> list[str]:
    s, shared = record.setting, record.shared()
    changes = " with uncommitted changes" if shared["dirty"] else ""
    parts = [f"# What each neck costs: {record.title}"]
    if record.partial:
        parts.append("**PARTIAL: the benchmark was interrupted; these are the figures measured until then.**")
    parts.append(
        f"torch {shared['torch']}, commit {shared['commit'] or 'unknown'}{changes}; backbone {s.backbone}, "
        f"{s.classes} classes, {'channels last' if s.channels_last else 'channels first'}. *As trained* is "
        "the network in the form in which it is trained, in eval mode; the *inference form* is the same "
        "function with norms folded into convolutions and each module in its cheapest form. The "
        "weights are the initial ones, not trained."
    )
    faults = [f"* `{entry.neck}`: {entry.status}: {entry.fault}" for entry in record.entries if entry.fault]
    return [*parts, *(["Not measured, or only in part:\n\n" + "\n".join(faults)] if faults else [])]


def _costs(record: Record) -> list[str]:
    cuda = record.setting.device.type == "cuda"
    allocator = [
        "*allocator*: the same pass on the device, at the precision above, as counted by its allocator: in "
        "blocks, with workspaces, without what was allocated before."
    ]
    counted = (
        "as counted by the allocator" if cuda else "tensors alive at once, without operators' workspaces"
    )
    lines = [
        f"GFLOPs: {COUNTING_RULE}, including those of attention. M: parameters, in millions.",
        "*activations*: the peak memory of tensors alive at once in a forward pass of one image, without "
        "weights and input; in float32 on the CPU, so that it depends on the network and not on the device.",
        *(allocator if cuda else []),
        f"*training*: the peak memory of a step at batch {record.setting.batch}, with weights, gradients, "
        f"momentum and images: {counted}.",
        *_uncounted({e.neck: e.costs[TRAINED].uncounted for e in record.entries if e.costs}),
    ]
    return ["  \n".join(lines)]


def _uncounted(by_neck: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Return the operators without a formula: those common to all necks, then the others of each neck."""
    if not by_neck:
        return []
    shared = set.intersection(*map(set, by_neck.values()))
    lines = [f"Operators that compute but have no formula count as 0: {_words(shared)}"]
    for neck, names in by_neck.items():
        if others := set(names) - shared:
            lines.append(f"with `{neck}` also: {_words(others)}")
    return ["; ".join(lines) + "."]


def _words(names: set[str]) -> str:
    return ", ".join(sorted(name.removeprefix("aten.") for name in names)) or "none in common"


def _times(record: Record) -> list[str]:
    counts = {len(times) for entry in record.entries for times in entry.times.values()} or {0}
    rounds = " to ".join(str(count) for count in sorted({min(counts), max(counts)}))
    lines = [
        f"Medians and 95th percentiles. Rounds: {rounds}. Every neck and form has one turn per round, and "
        "each round starts with another neck, so that noise affects all of them equally. Images are already "
        "on the device.",
        "*forward*, and *end to end* with decoding and NMS: batch 1. End to end depends on the weights, "
        "which determine how many boxes reach the NMS; these are untrained.",
        "*training step*: forward pass, the head's own loss, backward pass, SGD; random images with "
        f"{BOXES} random boxes each, batch {record.setting.batch}.",
    ]
    return ["  \n".join(lines)]


def _paper(record: Record) -> list[str]:
    same = ", ".join(f"{key} {value}" for key, value in paper_setting().items())
    source = "PAPER: the paper's own figures (`src/gffpn/report/paper.yaml`)"
    if not record.is_the_papers:
        return [
            f"{source}. **Not for this detector**: the paper's parameters agree with ours at {same} "
            "(`make table5`)."
        ]
    agreeing = [entry.neck for entry in record.entries if _parameters_agree(entry)]
    return [
        f"{source}, its FPS on its own machine. At {same}, the parameters of {', '.join(agreeing) or 'none'} "
        "agree within 1 %; those of the paper's other necks do not. Its GFLOPs do not agree: their ratio to "
        "those counted here is unexplained, and no single image size explains it."
    ]


def _parameters_agree(entry: Entry) -> bool:
    theirs = paper_costs().get(entry.neck, {}).get("params_m")
    return bool(entry.costs and theirs) and abs(entry.costs[TRAINED].params_m / float(theirs or 1) - 1) < 0.01
