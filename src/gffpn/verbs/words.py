"""Words of the command line that several verbs take. No verb's file imports torch before it acts."""

import argparse
from pathlib import Path

Verbs = argparse._SubParsersAction
"""Where a verb adds its parser."""


def add_overrides(verb: argparse.ArgumentParser) -> None:
    """KEY=VALUE, any number, as for train.py, and where else configuration files lie."""
    verb.add_argument(
        "overrides", nargs="*", metavar="KEY=VALUE", help="as for train.py: neck=panet data=voc ..."
    )
    verb.add_argument(
        "--config-dir",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="a folder of your own configuration files: DIR/neck/mine.yaml makes neck=mine known",
    )


def add_allow(verb: argparse.ArgumentParser) -> None:
    """--allow, for a run whose neck is a user's own."""
    verb.add_argument(
        "--allow",
        action="append",
        default=[],
        metavar="PACKAGE",
        help="a package of your own whose classes (its neck) the run's config.yaml may construct",
    )


def add_classes(verb: argparse.ArgumentParser) -> None:
    """--classes, where no data set tells their number."""
    verb.add_argument("--classes", type=int, default=9, help="number of classes (default: 9, TinyIndus)")


def add_timing(verb: argparse.ArgumentParser, timed: str) -> None:
    """--rounds, --seconds and --out of what times in rounds; `timed` took that long."""
    verb.add_argument("--rounds", type=int, default=10, help="rounds at least (default: 10)")
    verb.add_argument(
        "--seconds",
        type=float,
        default=20.0,
        help=f"go on with rounds until {timed} took that long (default: 20)",
    )
    verb.add_argument(
        "--out", type=Path, default=Path("runs/benchmark"), help="folder (default: runs/benchmark)"
    )


def add_json(verb: argparse.ArgumentParser, told: str) -> None:
    """--json."""
    verb.add_argument("--json", action="store_true", help=told)
