"""A benchmark from overrides to files: count the cost of every neck, time all in turns, write the results."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from gffpn.benchmark.entry import Entry, InferenceTurns, TrainingTurns
from gffpn.benchmark.plan import Options, Setting, Subject, network_changes, parted, subject
from gffpn.benchmark.record import Record
from gffpn.benchmark.report import write
from gffpn.machine.timing import Turn, take_rounds


def benchmark(
    overrides: Sequence[str], options: Options, *, only: Collection[str] | None = None
) -> tuple[Record, Path]:
    """Measure the necks that the overrides choose; return the record and its Markdown file.

    With `only`, just the necks that it contains are measured. Ctrl-C ends the measuring, but the files are
    written and the record is marked as partial. Raises ValueError for an invalid override, and the first
    neck's error if no neck can be built.
    """
    necks, rest = parted(overrides, only=only)
    entries = [Entry(neck) for neck in necks]
    subjects = _subjects(entries, rest, options)
    record = Record(entries, options, setting=_shared(subjects), changes=network_changes(rest))
    try:
        _measure(entries, subjects, options)
    except KeyboardInterrupt:
        record.partial = True
    return record, write(record)


def _subjects(entries: Sequence[Entry], overrides: Sequence[str], options: Options) -> dict[str, Subject]:
    """Build as many of the necks as possible; raise the first error if none can be built."""
    subjects: dict[str, Subject] = {}
    faults: dict[str, Exception] = {}
    for entry in entries:
        try:
            subjects[entry.neck] = subject(entry.neck, overrides, options)
        except Exception as error:
            faults[entry.neck] = error
    if not subjects:
        raise next(iter(faults.values()))
    for entry in entries:
        if entry.neck in faults:
            entry.catch(faults[entry.neck])
    return subjects


def _shared(subjects: Mapping[str, Subject]) -> Setting:
    settings = [one.setting for one in subjects.values()]
    assert all(setting == settings[0] for setting in settings)
    return settings[0]


def _measure(entries: Sequence[Entry], subjects: Mapping[str, Subject], options: Options) -> None:
    left = [entry for entry in entries if entry.neck in subjects]
    for entry in left:
        print(f"Counting costs of {entry.neck}", flush=True)
        entry.attempt(entry.weigh, subjects[entry.neck])
    phases: list[type[InferenceTurns] | type[TrainingTurns]] = [InferenceTurns]
    phases += [TrainingTurns] if options.training else []
    for phase in phases:
        turns = _turns(phase, left, subjects)
        take_rounds(turns, rounds=options.rounds, seconds=options.seconds, title=phase.title)
        del turns  # the next phase needs the memory


def _turns(
    phase: type[InferenceTurns] | type[TrainingTurns],
    entries: Sequence[Entry],
    subjects: Mapping[str, Subject],
) -> list[Turn]:
    """Return the turns of the necks that have no fault so far."""
    turns: list[Turn] = []
    for entry in entries:
        if not entry.fault:
            entry.attempt(lambda one: turns.append(phase(one, subjects[one.neck])), entry)
    return turns
