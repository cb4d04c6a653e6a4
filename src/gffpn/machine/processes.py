"""The processes of one run: their number, who starts them, and which of them this is."""

import hashlib
import os
import socket
import warnings
from typing import Any

import torch
import torch.distributed as dist
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor

OF_A_COMMAND = (
    "SLURM_JOB_ID",
    "SLURM_STEP_ID",
    "SLURM_RESTART_COUNT",
    "TORCHELASTIC_RUN_ID",
    "TORCHELASTIC_RESTART_COUNT",
    "MASTER_ADDR",
    "MASTER_PORT",
)
"""Environment variables that srun, torchrun or a person sets alike for all processes of a command."""


def is_lead() -> bool:
    """Return whether this is the first or only process of its run, which alone writes, prints and logs."""
    # until Lightning has started the other processes, its rank is only the rank on this machine
    return int(getattr(rank_zero_only, "rank", 0)) == 0 and os.environ.get("NODE_RANK", "0") == "0"


def running() -> int:
    """Return the number of processes that train together; 1 unless they have been connected."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def sum_over_processes(values: Tensor) -> Tensor:
    """Return the sum of `values` (...) over the processes of a run. All of them must call this together."""
    if running() == 1:
        return values
    total = values.detach().clone()
    dist.all_reduce(total)
    return total


def asked_for(devices: Any, num_nodes: int, accelerator: str) -> int:
    """Return the number of processes of a run with these settings.

    `devices` is a number or a list of devices, or `auto` or -1 for all GPUs.
    """
    if isinstance(devices, list | tuple):
        count = len(devices)
    elif devices in ("auto", -1, "-1"):
        count = torch.cuda.device_count() if accelerator != "cpu" else 1
    else:
        count = int(devices)
    return max(1, count) * num_nodes


def started_outside() -> bool:
    """Return whether SLURM or torchrun has started this process and its siblings."""
    return "LOCAL_RANK" in os.environ or _in_slurm()


def siblings() -> int:
    """Return the number of processes that srun or torchrun has started with this same command line."""
    counts = [os.environ.get("WORLD_SIZE"), os.environ.get("SLURM_NTASKS") if _in_srun() else None]
    return max(int(count or 1) for count in counts)


def started_together(num_nodes: int) -> int:
    """Return the number of processes of a run that exist before Lightning starts further ones.

    srun and torchrun start all of them. Otherwise, a person starts one on each of `num_nodes` machines.
    """
    return siblings() if started_outside() else num_nodes


def command_digest() -> str:
    """Return 10 hex digits that the processes of a command share, and no other running command has."""
    words = [os.environ.get(name, "") for name in OF_A_COMMAND]
    if os.environ.get("MASTER_ADDR") in ("localhost", "127.0.0.1", "::1"):
        words.append(socket.gethostname())
    return hashlib.sha256("\n".join(words).encode()).hexdigest()[:10]


def _in_slurm() -> bool:
    with (
        warnings.catch_warnings()
    ):  # where SLURM is installed, Lightning advises to start every process with srun
        warnings.filterwarnings("ignore", "The `srun` command is available")
        return SLURMEnvironment.detect()


def _in_srun() -> bool:
    return "SLURM_STEP_ID" in os.environ


def slurm() -> list[SLURMEnvironment]:
    """Return Lightning's SLURM plugin inside a SLURM job, and an empty list elsewhere.

    Requeueing by Lightning is off: it saves in the middle of an epoch, and a run that resumes from there sees
    other batches.
    """
    return [SLURMEnvironment(auto_requeue=False)] if _in_slurm() else []
