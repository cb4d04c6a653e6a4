"""`train`: one run or one sweep, as `python train.py` does it."""

import argparse
import os
import sys
from collections.abc import Sequence

from gffpn.verbs.words import Verbs


def add(verbs: "Verbs[argparse.ArgumentParser]") -> None:
    """Add the verb to the command line. Its words are Hydra's, so `replace_process` takes them unparsed."""
    verbs.add_parser("train", help="one run, or a sweep with -m; as train.py", add_help=False)


def replace_process(words: Sequence[str]) -> None:
    """Become `python -m gffpn.suite.train WORDS`: its further processes repeat the command line as it is."""
    command = [sys.executable, "-m", "gffpn.suite.train", *words]
    sys.stdout.flush()
    os.execv(sys.executable, command)
