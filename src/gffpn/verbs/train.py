"""`train`: one run or one sweep, as with `python train.py`."""

import argparse
import os
import sys
from collections.abc import Sequence

from gffpn.guide.train_help import asks_for_help, print_help
from gffpn.verbs.words import Verbs


def add(verbs: "Verbs[argparse.ArgumentParser]") -> None:
    """Add the verb to the command line; Hydra parses its arguments (see `start`)."""
    verbs.add_parser("train", help="start one run, or a sweep with -m, like train.py", add_help=False)


def start(words: Sequence[str]) -> None:
    """Replace this process by `python -m gffpn.suite.train WORDS`, or print the help if the words ask for it.

    The further processes of a run repeat its command line as it is.
    """
    if asks_for_help(words):
        print_help(words, program="gffpn train")
        return
    command = [sys.executable, "-m", "gffpn.suite.train", *words]
    sys.stdout.flush()
    os.execv(sys.executable, command)
