"""Command-line arguments shared by several verbs. A verb's file imports torch only when the verb runs."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gffpn.deploy.slices import Slicing

Verbs = argparse._SubParsersAction
"""The object to which each verb adds its parser."""


def add_overrides(verb: argparse.ArgumentParser) -> None:
    """Add any number of KEY=VALUE overrides, as for train.py, and --config-dir."""
    verb.add_argument(
        "overrides", nargs="*", metavar="KEY=VALUE", help="as for train.py: neck=panet data=voc ..."
    )
    add_config_dir(verb)


def add_config_dir(verb: argparse.ArgumentParser) -> None:
    """Add --config-dir, which may be given several times."""
    verb.add_argument(
        "--config-dir",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="folder of your own configuration files: DIR/neck/mine.yaml provides neck=mine",
    )


def add_allow(verb: argparse.ArgumentParser) -> None:
    """Add --allow, for a run with a user's own neck."""
    verb.add_argument(
        "--allow",
        action="append",
        default=[],
        metavar="PACKAGE",
        help="package of your own whose classes (such as a neck) the run's config.yaml may construct",
    )


CLASSES = 9


def add_classes(verb: argparse.ArgumentParser) -> None:
    """Add --classes, for verbs that do not read this number from a data set."""
    verb.add_argument(
        "--classes", type=int, default=CLASSES, help=f"number of classes (default: {CLASSES}, TinyIndus)"
    )


def add_timing(verb: argparse.ArgumentParser, timed: str) -> None:
    """Add --rounds, --seconds and --out, for verbs that time in rounds; `timed` names what took the time."""
    verb.add_argument("--rounds", type=int, default=10, help="minimum number of rounds (default: 10)")
    verb.add_argument(
        "--seconds",
        type=float,
        default=20.0,
        help=f"add rounds until {timed} took this many seconds (default: 20)",
    )
    verb.add_argument(
        "--out", type=Path, default=Path("runs/benchmark"), help="output folder (default: runs/benchmark)"
    )


def add_json(verb: argparse.ArgumentParser, help_text: str) -> None:
    """Add --json with the given help text."""
    verb.add_argument("--json", action="store_true", help=help_text)


def add_slices(verb: argparse.ArgumentParser) -> None:
    """Add --slice, --overlap and --merge, for verbs that detect in images."""
    verb.add_argument(
        "--slice",
        metavar="auto|N",
        help="also detect in slices of N x N pixels, or as large as the network's input (auto), so that "
        "small objects in large images keep their pixels",
    )
    verb.add_argument(
        "--overlap",
        type=float,
        help="overlap of neighbouring slices as a share of their side (default: 0.2)",
    )
    verb.add_argument(
        "--merge",
        help="nms (default) or nmm: also join the pieces of an object that is whole in no slice",
    )


def slicing(arguments: argparse.Namespace) -> "Slicing | None":
    """Return the slices that the arguments of `add_slices` ask for. Raises ValueError for a wrong value."""
    from gffpn.deploy.slices import Slicing

    given = {name: getattr(arguments, name) for name in ("overlap", "merge")}
    given = {name: value for name, value in given.items() if value is not None}
    if arguments.slice is None:
        if given:
            raise ValueError(f"--{next(iter(given))}: has no effect without slices; add --slice auto")
        return None
    side = None if arguments.slice == "auto" else arguments.slice
    if side is not None and not side.isdecimal():
        raise ValueError(f"--slice: got {side!r}, expected auto or a side in pixels")
    return Slicing(None if side is None else int(side), **given)
