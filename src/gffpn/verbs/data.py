"""`data check` and `data card`: the faults of a data set, and its contents."""

import argparse
import contextlib
import json
import logging
import os
from collections.abc import Iterator, Sequence

from gffpn.verbs.words import Verbs, add_json, add_overrides


def add(verbs: "Verbs[argparse.ArgumentParser]") -> None:
    """Add the verb and its arguments to the command line."""
    data = verbs.add_parser("data", help="check a data set, or show what it contains")
    data_verbs = data.add_subparsers(metavar="check|card", required=True)
    checking = data_verbs.add_parser(
        "check",
        help="list every fault of a data set",
        description="Reads a data set as a run would: every folder, list, annotation and box, and decodes "
        "each image once. Prints one line and exits with 0, or prints all faults by kind and exits with 1. "
        "Anything that data.on_error=skip would drop is a fault here.",
        epilog="examples: python -m gffpn data check /path/to/export recognises its form (data=auto); "
        "python -m gffpn data check data=voc data.root=/path/to/set data.annotations=xml",
    )
    add_overrides(checking)
    checking.set_defaults(act=check_set)
    telling = data_verbs.add_parser(
        "card",
        help="show what a data set contains",
        description="Shows counts by class, by size bin (of the metrics, in network and in native pixels) "
        "and by split; images without boxes; boxes too thin at image_size; near-duplicate images across and "
        "within splits; near-duplicates with different labels; boxes of two classes in the same place.",
        epilog="example: python -m gffpn data card data=neu_det data.root=/path/NEU-DET image_size=224",
    )
    add_json(telling, "print one JSON object that lists everything")
    add_overrides(telling)
    telling.set_defaults(act=tell_card)


def overrides_of(words: Sequence[str]) -> list[str]:
    """Return the overrides in `words`, of which the first may be the path of a data set."""
    from gffpn.data.readers.quoting import hydra_value

    first = words[0] if words else ""
    if first and (os.path.exists(first) or "=" not in first):
        return ["data=auto", f"data.root={hydra_value(first)}", *words[1:]]
    return list(words)


@contextlib.contextmanager
def _shown_log() -> Iterator[None]:
    """Print what the readers log, to stderr."""
    handler, logger = logging.StreamHandler(), logging.getLogger("gffpn.data.readers")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def check_set(arguments: argparse.Namespace) -> None:
    """Read and check the data set; if there are faults, print all of them and exit with code 1."""
    from gffpn.build.index import build_index
    from gffpn.config.check import check_data
    from gffpn.config.compose import compose_config
    from gffpn.data.readers.faults import FaultyData

    config = compose_config(overrides_of(arguments.overrides))
    check_data(config)
    if "on_error" in config.data:
        config.data.on_error = "raise"  # skipping a fault would hide it
    try:
        with _shown_log():
            index = build_index(config)
    except FaultyData as error:
        print(error.report())
        raise SystemExit(1) from None
    parts = [f"{split} {len(records)}" for split, records in index.splits.items()]
    records = [record for records in index.splits.values() for record in records]
    crowds = sum(int(record.crowd.sum()) for record in records if record.has_crowd)
    boxes = sum(len(record.labels) for record in records) - crowds
    more = f"{crowds} crowd regions, " if crowds else ""
    mended = "".join(f"; {what}: {number}" for what, number in index.mended.items())
    print(
        f"no faults: {len(records)} images ({', '.join(parts)}), {boxes} boxes, {more}"
        f"{len(index.classes)} classes{mended}"
    )


def tell_card(arguments: argparse.Namespace) -> None:
    """Print what a data set contains, and what is doubtful about it."""
    from rich.console import Console

    from gffpn.build.index import build_index
    from gffpn.config.check import check_data
    from gffpn.config.compose import compose_config, image_size
    from gffpn.data.card.card import card
    from gffpn.data.card.text import print_card
    from gffpn.metrics.matching import SIZE_EDGES, size_ranges

    config = compose_config(overrides_of(arguments.overrides))
    check_data(config)
    with _shown_log():
        index = build_index(config)
    contents = card(index, image_size(config), size_ranges(SIZE_EDGES))
    if arguments.json:
        print(json.dumps(contents))
    else:
        print_card(contents, Console())
