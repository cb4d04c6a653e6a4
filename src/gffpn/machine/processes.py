"""The processes of one run: how many there are, who starts them, and which one this is."""

import os
from typing import Any

import torch
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.pytorch.utilities import rank_zero_only


def is_lead() -> bool:
    """Whether this process is the only one of its run, or the first: it alone writes, prints and logs."""
    # Lightning's own rank is that on the machine until it has started the others
    return int(getattr(rank_zero_only, "rank", 0)) == 0 and os.environ.get("NODE_RANK", "0") == "0"


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


def siblings() -> int:
    """How many processes with this very command line srun or torchrun has started."""
    counts = [os.environ.get("WORLD_SIZE"), os.environ.get("SLURM_NTASKS") if _in_srun() else None]
    return max(int(count or 1) for count in counts)


def _in_srun() -> bool:
    return "SLURM_STEP_ID" in os.environ


def slurm() -> list[SLURMEnvironment]:
    """What tells Lightning of SLURM, inside one of its jobs.

    Lightning's own requeueing saves inside an epoch, and what resumes from there sees other batches.
    """
    return [SLURMEnvironment(auto_requeue=False)] if SLURMEnvironment.detect() else []
