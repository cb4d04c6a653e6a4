"""Text of `python train.py --help` and `gffpn train --help`."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from gffpn.config.overrides import refuse, search_path
from gffpn.guide.catalogue import Catalogue
from gffpn.guide.explanation import key_rows, option_rows
from gffpn.guide.layout import columns, paragraph

EXAMPLES = """\
Train one detector, or several in a sweep, and test each.

One run:
  {train} neck=panet seed=1
A sweep (-m): every combination; with several seeds, it ends with verdicts
  {train} -m neck=fpn,panet,gffpn seed=0,1,2
  {train} -m neck=fpn,gffpn runs_at_a_time=1            one after another, each with all cores
  {train} experiments=demo                              a prepared sweep
Before and after:
  gffpn plan neck=fpn,panet,gffpn seed=0,1,2        what a sweep will run, and what it can detect
  gffpn report                                      what all finished runs show
Your own data:
  gffpn data check data=coco data.root=/path/to/set
  {train} data=coco data.root=/path/to/set
A neck of your own: mine/neck/star.yaml has the line `_target_: star.Star`, for the class Star in star.py
  {train} --config-dir mine neck=star"""
MOST_USED = (
    "seed",
    "image_size",
    "batch_size",
    "trainer.max_epochs",
    "trainer.patience",
    "optim.lr",
    "trainer.devices",
    "loader.workers",
    "data.root",
    "init",
    "freeze",
    "rerun",
    "name",
    "paths.runs",
    "logger.wandb",
)
OPTIONS = (
    ("-m, --multirun", "run every combination of the values given as a,b,c"),
    ("--config-dir DIR", "folder of your own configuration files: DIR/neck/mine.yaml provides neck=mine"),
    ("--cfg job", "print the composed configuration, and run nothing"),
    ("--hydra-help", "all options of Hydra, which reads the command line"),
)


def asks_for_help(words: Sequence[str]) -> bool:
    """Return whether a command line of training asks for help; Hydra accepts abbreviations of options."""
    return not {"-h", "--he", "--hel", "--help"}.isdisjoint(words)


def print_help(words: Sequence[str], *, program: str) -> None:
    """Print the help for a command line, with the options in its folders of configuration files.

    A folder that does not exist is refused with exit code 2.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config-dir", "-cd", type=Path, action="append", default=[])
    folders = parser.parse_known_args(list(words))[0].config_dir
    try:
        search_path(folders)
    except ValueError as error:
        refuse(error)
    print("\n".join(_lines(Catalogue(folders), program)))


def overview(catalogue: Catalogue) -> Iterator[str]:
    """Yield a section per group: its meaning and a line per choice."""
    for group in catalogue.groups.values():
        yield ""
        yield from paragraph(f"{group.name}: {group.meaning}", indent=0)
        yield from columns(option_rows(catalogue, group))


def _lines(catalogue: Catalogue, program: str) -> Iterator[str]:
    yield EXAMPLES.format(train=program)
    yield ""
    yield "Choices, as GROUP=NAME (* the default):"
    yield from overview(catalogue)
    yield ""
    yield "Most used keys, as KEY=VALUE, with their defaults:"
    defaults = [setting for key in MOST_USED if (setting := catalogue.default(key))]
    yield from columns(key_rows(catalogue, defaults))
    yield ""
    yield "More about any of them, and all other keys: gffpn explain optim.lr (or: neck, neck=gffpn, a word)"
    yield ""
    yield "Options:"
    yield from columns(OPTIONS)
