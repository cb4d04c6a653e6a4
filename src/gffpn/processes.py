"""The processes of one run: how many there are, who starts them, and which one this is."""

import os
from typing import Any

import torch
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.pytorch.utilities import rank_zero_only


def is_lead() -> bool:
    """Whether this process is the only one of its run, or the first: it alone writes, prints and logs."""
    return int(getattr(rank_zero_only, "rank", 0)) == 0


def asked_for(devices: Any, num_nodes: int, accelerator: str) -> int:
    """The processes of a run with these settings: a number or a list of devices, or all GPUs (`auto`, -1)."""
    if isinstance(devices, list | tuple):
        count = len(devices)
    elif devices in ("auto", -1, "-1"):
        count = torch.cuda.device_count() if accelerator != "cpu" else 1
    else:
        count = int(devices)
    return max(1, count) * num_nodes


def started_outside() -> bool:
    """Whether SLURM or torchrun has started this process and its siblings."""
    return "LOCAL_RANK" in os.environ or SLURMEnvironment.detect()


def slurm() -> list[SLURMEnvironment]:
    """What tells Lightning of SLURM, inside one of its jobs.

    Lightning's own requeueing saves inside an epoch, and what resumes from there sees other batches.
    """
    return [SLURMEnvironment(auto_requeue=False)] if SLURMEnvironment.detect() else []
