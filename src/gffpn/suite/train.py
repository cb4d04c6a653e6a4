"""`gffpn train` and `python train.py`: one run, or one sweep with -m."""

import os
import sys
from collections.abc import Sequence

import hydra
from omegaconf import DictConfig

from gffpn.config.overrides import CONF, check_words, start
from gffpn.guide.train_help import asks_for_help, print_help
from gffpn.machine.imports import first_imports
from gffpn.machine.terminal import print_what_fits


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="train")
def main(config: DictConfig) -> str | float:
    """Execute the run of the composed configuration and return what `run` does."""
    with first_imports():  # here, because torch takes seconds and wrong overrides are refused without it
        from gffpn.suite.run import run

    return run(config)


def train() -> None:
    """Train as the command line says, or print its help.

    Users can keep their own necks in the working directory.
    """
    print_what_fits()
    check_words(sys.argv[1:])
    if asks_for_help(sys.argv[1:]):
        print_help(sys.argv[1:], program="python train.py")
        return
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    sys.argv[1:] = multirun_first(sys.argv[1:])
    start(main)


def multirun_first(words: Sequence[str]) -> list[str]:
    """Return the words of a command with -m in front, because Hydra's parser knows it only there."""
    flags = [word for word in words if word in ("-m", "--multirun")]
    return [*flags, *(word for word in words if word not in flags)]


if __name__ == "__main__":
    train()
