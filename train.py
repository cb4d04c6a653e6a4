"""One run (`python train.py neck=panet`) or one sweep (`python train.py -m neck=fpn,panet,gffpn`)."""

import hydra
from omegaconf import DictConfig

from gffpn.suite.overrides import start
from gffpn.suite.run import run


@hydra.main(version_base="1.3", config_path="conf", config_name="train")
def main(config: DictConfig) -> str:
    """Hand the composed configuration to the suite."""
    return run(config)


if __name__ == "__main__":
    start(main)
