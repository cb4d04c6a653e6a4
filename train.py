"""One run (`python train.py neck=panet`) or one sweep (`python train.py -m neck=fpn,panet,gffpn`)."""

import hydra
from omegaconf import DictConfig

from gffpn.suite.imports import first_imports
from gffpn.suite.overrides import start


@hydra.main(version_base="1.3", config_path="conf", config_name="train")
def main(config: DictConfig) -> str:
    """Hand the composed configuration to the suite."""
    with first_imports():  # here: torch takes seconds, and a wrong override is answered without it
        from gffpn.suite.run import run

    return run(config)


if __name__ == "__main__":
    start(main)
