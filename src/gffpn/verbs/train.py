"""`train`: one run or one sweep, as with `python train.py`."""

import argparse
import os
import sys
from collections.abc import Sequence

from gffpn.verbs.words import Verbs


def add(verbs: "Verbs[argparse.ArgumentParser]") -> None:
    """Add the verb to the command line; Hydra parses its arguments (see `replace_process`)."""
    verbs.add_parser("train", help="start one run, or a sweep with -m, like train.py", add_help=False)


def replace_process(words: Sequence[str]) -> None:
    """Replace this process by `python -m gffpn.suite.train WORDS`.

    The further processes of a run repeat its command line as it is.
    """
    command = [sys.executable, "-m", "gffpn.suite.train", *words]
    sys.stdout.flush()
    os.execv(sys.executable, command)
