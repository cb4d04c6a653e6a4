"""`gffpn train`, `python train.py`: one run, or one sweep (-m)."""

import os
import sys

import hydra
from omegaconf import DictConfig

from gffpn.config.overrides import CONF, start
from gffpn.machine.imports import first_imports


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="train")
def main(config: DictConfig) -> str:
    """Hand the composed configuration to the suite."""
    with first_imports():  # here: torch takes seconds, and a wrong override is answered without it
        from gffpn.suite.run import run

    return run(config)


def train() -> None:
    """Run what the command line says; a neck of the user's own may lie in the working directory."""
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    start(main)


if __name__ == "__main__":
    train()
