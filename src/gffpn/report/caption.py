"""Captions of tables: what holds for all rows, which rows are exceptions, and unintended differences."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gffpn.machine.others import SHARE
from gffpn.runs.record import Record, size_word
from gffpn.stats.arms import OF_DATA, differing, settings

Row = Mapping[str, Any]
STILL_IMPROVING = "\N{UPWARDS ARROW}"
"""Mark of a run whose val mAP50 was still rising when its training ended."""
ALONE = " (neck M, neck G: the neck alone)"
PHASES = "; net = forward alone, all = with decoding and NMS"
NAMED = 3
"""Largest number of rows that a caption names in one place."""


def cites(rows: Sequence[Row]) -> bool:
    """Return whether a figure of the paper stands beside one of the rows."""
    return any(row.get("paper/mAP50") is not None for row in rows)


def varied(rows: Sequence[Row]) -> list[str]:
    """Return the override keys whose values differ between the rows, or `neck` if there are none."""
    return differing([settings(row["overrides"]) for row in rows]) or ["neck"]


def caption(rows: Sequence[Row], *, unit: str = "run") -> list[str]:
    """Return what a reader must know to trust the table; each line holds for all rows or names the others.

    `unit` is what a row of the table shows: a run, or an arm.
    """
    finished = [row for row in rows if row["status"] == "finished"]
    if not finished:
        return []
    said = _Facts(finished, varied(rows))
    size = said("", lambda record: size_word(record.image_size), column="image_size")
    lines = [
        f"{said.data()}, test split, percent, one row per {unit}; "
        f"AP by side in pixels of the network input ({size}).",
        f"GFLOPs: 2 x MAC{ALONE if unit == 'run' else ''}. {_speeds(finished, said, unit)}",
        f"Settings: {', '.join(_settings(said))}.",
    ]
    if any(row["record"].data.origin for row in finished):
        lines.append(f"Data: {said('', _origin, column='data')}.")
    return [*lines, *_marks(finished, said, unit), *_notes(finished, said)]


def _speeds(finished: Sequence[Row], said: "_Facts", unit: str) -> str:
    """Return the sentence about FPS, which concerns the rows that have been timed."""
    timed = _Facts([row for row in finished if row["record"].speed], said.varied)
    if not timed.rows:
        return "FPS: not measured yet."
    return (
        f"FPS: batch 1 on {timed('', _machine)}, "
        f"medians over {timed('', _timed_images)}"
        f"{PHASES if unit == 'run' else ', forward alone'}."
    )


class _Facts:
    """Sentences about the records of a table's finished rows."""

    def __init__(self, rows: Sequence[Row], varied: Sequence[str]) -> None:
        self.rows = rows
        self.varied = varied

    def __call__(self, name: str, fact: Callable[[Record], Any], *, column: str = "") -> str:
        """Return the fact that all rows share; else refer to its column, or name the rows of each value."""
        return self._said(name, self.groups(fact), column)

    def data(self) -> str:
        """Return the data set of all rows, or that of each."""
        return self._said("", self._grouped(lambda row: data_words(row["record"], _root(row))), "")

    def _said(self, name: str, groups: Mapping[str, Sequence[Row]], column: str) -> str:
        lead = f"{name} " if name else ""
        if len(groups) == 1:
            return f"{lead}{next(iter(groups))}"
        if column in self.varied:
            return f"{lead}as in the column {column}"
        return lead + "; ".join(f"{value} ({self.names(rows)})" for value, rows in groups.items())

    def groups(self, fact: Callable[[Record], Any]) -> dict[str, list[Row]]:
        """Return the rows by the value of a fact, the most frequent value first."""
        return self._grouped(lambda row: fact(row["record"]))

    def _grouped(self, fact: Callable[[Row], Any]) -> dict[str, list[Row]]:
        groups: dict[str, list[Row]] = {}
        for row in self.rows:
            groups.setdefault(str(fact(row)), []).append(row)
        return dict(sorted(groups.items(), key=lambda item: -len(item[1])))

    def differ(self, fact: Callable[[Record], Any], keys: Sequence[str]) -> bool:
        """Return whether rows differ in a fact, although they have equal values of the settings `keys`."""
        groups = {*keys, *(key.partition(".")[0] for key in keys)}
        varied = [key for key in self.varied if key in groups or ("data" in keys and key.startswith("data."))]
        found: dict[tuple[str | None, ...], set[str]] = {}
        for row in self.rows:
            chosen = settings(row["overrides"])
            found.setdefault(tuple(map(chosen.get, varied)), set()).add(str(fact(row["record"])))
        return any(len(values - {""}) > 1 for values in found.values())

    def names(self, rows: Sequence[Row]) -> str:
        """Return the varied settings of some rows, or those of the others if they are fewer."""
        if len(rows) == len(self.rows):
            return "all rows"
        others = [row for row in self.rows if not any(row is one for one in rows)]
        if len(others) < min(len(rows), NAMED + 1):
            return f"all rows but {self.names(others)}"
        chosen = [settings(row["overrides"]) for row in rows]
        # an arm of the experiment's file sets some of them only
        words = [" ".join(f"{key}={one[key]}" for key in self.varied if key in one) for one in chosen]
        return shortened(words)


def data_words(record: Record, root: str = "") -> str:
    """Return the name of a run's data set: `nuclei, read as data=coco` if its `root` is `/sets/nuclei`.

    A format is no data set: `coco` alone would be taken for the benchmark of that name.
    """
    choice, folder = record.choice.data, Path(root).name
    name = f"{folder}, read as data={choice}" if folder and folder != choice else choice
    return f"{name}{' (SIMULATED data)' if record.data.simulated else ''}"


def _root(row: Row) -> str:
    """Return the root of a row's data set as far as it is known: of its configuration, or as an override."""
    return str(row.get("root") or settings(row["overrides"]).get("data.root", ""))


def _machine(record: Record) -> str:
    if record.speed is None:
        return ""
    threads = record.speed.threads
    return f"{record.speed.device}, {threads} thread{'s' if threads > 1 else ''}"


def _timed_images(record: Record) -> str:
    return f"{record.speed.images} test images" if record.speed else ""


def timed_beside_others(record: Record) -> bool:
    """Return whether other processes may have used the machine while a run's speed was measured."""
    if record.speed is None:
        return False
    return record.speed.others > 0 or (record.choice.shares_machine and record.speed.timed_run is None)


def trained_beside_others(record: Record) -> bool:
    """Return whether processes other than runs of its sweep took cores from a run while it trained."""
    return not record.choice.shares_machine and record.training.minutes_others > SHARE


def _origin(record: Record) -> str:
    images = ", ".join(f"{count} {split}" for split, count in record.data.images.items())
    return f"{record.data.origin or record.choice.data}; images: {images}"


def _settings(said: _Facts) -> list[str]:
    return [
        said("epochs", lambda record: record.settings.epochs, column="trainer.max_epochs"),
        said("batch", lambda record: record.settings.batch, column="batch_size"),
        said("optimizer", lambda record: record.settings.optimizer, column="optim"),
        said("lr", lambda record: f"{record.settings.lr:g}", column="optim.lr"),
        said("head", lambda record: record.choice.head, column="head"),
    ]


def _marks(finished: Sequence[Row], said: _Facts, unit: str) -> list[str]:
    lines = []
    if still := [row for row in finished if row["record"].training.still_improving]:
        rise = "val mAP50 rose by over 1 point in the last fifth of epochs"
        # only a row of one run has the mark
        of_run = f"{STILL_IMPROVING} still improving: {rise}."
        lines.append(of_run if unit == "run" else f"Still improving: {rise}: {said.names(still)}.")
    if cites(finished):
        lines.append(
            "PAPER mAP50 is the paper's own figure, from its data, its training and one seed. Its evaluator "
            "gives a perfect detector 99.5; AP50 (their rule) is our figure by that rule."
        )
    return lines


DIFFERENCES: tuple[tuple[str, Callable[[Record], Any], tuple[str, ...]], ...] = (
    ("devices or numbers of threads", _machine, ("trainer.threads", "trainer.accelerator")),
    ("devices of training", lambda record: ", ".join(record.training.devices), ("trainer.accelerator",)),
    (
        "numbers of processes",
        lambda record: record.training.processes,
        ("trainer.devices", "trainer.num_nodes"),
    ),
    ("precisions of training", lambda record: record.settings.precision, ("trainer.precision",)),
    ("data sets", lambda record: record.data.fingerprint, OF_DATA),
    ("commits of the code", lambda record: record.provenance.commit, ()),
    ("versions of Python", lambda record: record.provenance.python, ()),
)
"""Unintended differences: their name, the fact, and the settings that would make them intended; the option of
`trainer` may set each of its own, and `data` stands for all of its settings."""


def _notes(finished: Sequence[Row], said: _Facts) -> list[str]:
    """Return a note for each difference that nobody varied, and for each doubt about a row."""
    found = [
        f"the rows come from different {name}: {said('', fact)}."
        for name, fact, keys in DIFFERENCES
        if said.differ(fact, keys)
    ]
    records: list[Record] = [row["record"] for row in finished]
    for library in dict.fromkeys(name for record in records for name in record.provenance.libraries):
        if len(said.groups(lambda record: record.provenance.libraries.get(library))) > 1:  # noqa: B023
            versions = said("", lambda record: record.provenance.libraries.get(library))  # noqa: B023
            found.append(f"the rows come from different versions of {library}: {versions}.")
    digests: dict[str, set[str]] = {}
    for record in records:
        for module, digest in record.provenance.code.items():
            digests.setdefault(module, set()).add(digest)
    if differing := [module for module, known in digests.items() if len(known) > 1]:
        found.append(f"the rows come from different code: {shortened(differing)}; rerun=changed cures it.")
    outdated: dict[str, list[Row]] = {}
    for row in finished:
        if row.get("other_code"):
            outdated.setdefault(shortened(row["other_code"]), []).append(row)
    for modules, rows in outdated.items():
        found.append(f"{said.names(rows)}: trained by other code than the present ({modules}).")
    for doubt, holds in DOUBTS:
        if doubtful := [row for row in finished if holds(row["record"])]:
            found.append(f"{doubt}: {said.names(doubtful)}.")
    return [f"NOTE: {note}" for note in found]


DOUBTS: tuple[tuple[str, Callable[[Record], Any]], ...] = (
    ("only a part of the test split was tested", lambda record: record.partial),
    ("training stopped early", lambda record: record.training.trained_epochs < record.settings.epochs),
    ("FPS were measured while other processes may have used the same machine", timed_beside_others),
    (
        "minutes were measured while other runs used the same machine",
        lambda record: record.choice.shares_machine,
    ),
    ("minutes were measured while other processes took a part of the cores", trained_beside_others),
    (
        "FPS are not measured yet, because other runs used the machine; repeating the command does it",
        lambda record: record.speed is None,
    ),
    ("the code had uncommitted changes", lambda record: record.provenance.dirty),
)
"""Doubts about single rows."""


def numbered(names: Sequence[str], *, before: str = " ") -> list[str]:
    """Return names of which no two are equal: a repeated one gets a number, `necks`, `necks 2`."""
    found = list[str]()
    for name in names:
        own, number = name, 1
        while own in found:
            number += 1
            own = f"{name}{before}{number}"
        found.append(own)
    return found


def shortened(names: Sequence[str]) -> str:
    """Return the first names of a list and the number of the others: `a, b, c and 4 more`."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
