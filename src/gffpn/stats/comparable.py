"""May two arms be compared?"""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from dataclasses import replace

from gffpn.figures import BinFigures
from gffpn.runs.record import Record
from gffpn.stats.arms import OF_DATA, settings
from gffpn.stats.question import FEW_OBJECTS, Question
from gffpn.stats.runs import Arm

UNVARIED: tuple[tuple[tuple[str, ...], Callable[[Record], Hashable], str], ...] = (
    (("trainer.precision",), lambda record: record.settings.precision, "trained in different precisions"),
    (("trainer.accelerator",), lambda record: record.devices, "trained on different devices"),
    (
        ("trainer.devices", "trainer.num_nodes"),
        lambda record: record.training.processes,
        "trained by different numbers of processes",
    ),
)
"""What the machine decides unless arms differ in a setting: the settings, their outcome, and why arms are not
compared. The option of `trainer` may set each of them."""


def obstacle(a: Arm, b: Arm, endpoint: str, asked: Question) -> str:
    """Return why two arms cannot be compared, or an empty string."""
    counts = [len(arm.replicates) for arm in (a, b)]
    for arm, count in zip((a, b), counts, strict=True):
        if not arm.records:
            return f"{arm.name}: no finished run"
        if not count:
            return f"{arm.name}: no predictions"
    if a.folders & b.folders:
        return "the same runs"
    if not a.may_share_images(b):
        return "tested on different images"
    if (
        endpoint.startswith("AP_")
        and len({_bin(record, endpoint) for record in (*a.records, *b.records)}) > 1
    ):
        return "the bins of size hold different objects"
    if reason := unvaried_difference(a, b):
        return reason
    if min(counts) == 1:
        return "one seed" if max(counts) == 1 else f"one seed of {(a, b)[counts.index(1)].name}"
    # a run that diverged is a result too, and is not replaced
    ended = [count + arm.count_diverged for arm, count in zip((a, b), counts, strict=True)]
    if asked.looks and not all(count in asked.looks for count in ended):
        return f"not at a declared look ({', '.join(map(str, asked.looks))} seeds)"
    if a.replicates[0].groups < 2:
        return "the test images are one group"
    if any(arm.sample(endpoint) is None for arm in (a, b)):
        return f"no figure for {endpoint}"
    return ""


def unvaried_difference(a: Arm, b: Arm) -> str:
    """Return in what the trainings of two arms differ although no setting varies it, or an empty string."""
    for arm in (a, b):
        if len({record.data.fingerprint for record in arm.records}) > 1:
            return f"{arm.name}: trained on different data"
        if len({record.settings.epochs for record in arm.records}) > 1:  # of a budget, on different machines
            return f"{arm.name}: trained for different numbers of epochs"
    chosen = [[settings(run.overrides) for run in arm.runs] for arm in (a, b)]

    def differ(keys: Iterable[str]) -> bool:
        one, other = ({tuple(map(run.get, keys)) for run in runs} for runs in chosen)
        return one != other

    for keys, outcome, reason in UNVARIED:
        found = [Counter(outcome(record) for record in arm.records) for arm in (a, b)]
        shares = [{value: count / counts.total() for value, count in counts.items()} for counts in found]
        if shares[0] != shares[1] and not differ([*keys, "trainer"]):
            return reason
    given = dict.fromkeys(key for runs in chosen for run in runs for key in run)
    of_data = [key for key in given if key in OF_DATA or key.startswith("data.")]
    if a.records[0].data.fingerprint != b.records[0].data.fingerprint and not differ(of_data):
        return "trained on different data"
    return ""


def _bin(record: Record, endpoint: str) -> BinFigures | None:
    """Return the size bin of an endpoint without its figure, to be compared."""
    found = [one for one in record.test.network_bins if endpoint == f"AP_{one.name}"]
    return replace(found[0], AP=None) if found else None


def few_objects(arm: Arm, endpoint: str) -> str:
    """Return that a class or a size has too few test objects for a verdict, or an empty string."""
    if not arm.records:
        return ""
    test = arm.records[0].test
    counts = {f"AP50/{one.name}": one.objects for one in test.classes}
    counts |= {f"AP_{one.name}": one.objects for one in test.network_bins}
    objects = counts.get(endpoint, FEW_OBJECTS)
    return f"too few objects ({objects})" if objects < FEW_OBJECTS else ""
