"""Normalisers of a loss: sums over the whole batch, however many processes share its images."""

from typing import NamedTuple

import torch
from torch import Tensor

from gffpn.machine.processes import running, sum_over_processes


class Normalisers(NamedTuple):
    """Sums over the images of all processes, and what makes a process's part of a loss comparable."""

    totals: Tensor
    """The sums, in the shape of the values given to `over_the_batch`."""
    processes: int
    """The factor of a process's part. The gradient is averaged over the processes, so that
    processes x part / total, where the parts sum to the whole, trains as one process would."""


def over_the_batch(values: Tensor) -> Normalisers:
    """Sum `values` (...), float sums over the images of this process, over those of all processes.

    Where no gradient is computed, as in validation, processes may have different numbers of batches and
    cannot wait for each other. The total is then estimated as if every process had this one's images.
    """
    processes = running()
    if torch.is_grad_enabled():
        return Normalisers(sum_over_processes(values), processes)
    return Normalisers(values * processes, processes)
