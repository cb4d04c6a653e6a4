"""Start one run (`python train.py neck=panet`) or one sweep (`python train.py -m neck=fpn,panet,gffpn`)."""

from gffpn.suite.train import train

if __name__ == "__main__":
    train()
