"""How many runs of a sweep train at a time on a CPU, and with how many threads each.

The operators of a small network keep several cores busy only in part, and data, validation and the start of a
run use one. So runs side by side, with few threads each, finish earlier than one after another with all.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra_plugins.hydra_joblib_launcher.joblib_launcher import JoblibLauncher
from joblib.externals.loky.process_executor import TerminatedWorkerError
from omegaconf import DictConfig, OmegaConf, open_dict
from torch import Tensor, nn

from gffpn.build.detector import rehearse, train_size
from gffpn.config.resolve import starts_processes
from gffpn.machine.cores import usable_cores
from gffpn.machine.devices import device
from gffpn.machine.memory import available_memory
from gffpn.machine.thread_choice import AT_START
from gffpn.stats.arms import SEED, settings

LAUNCHER = "hydra/launcher"
PROCESS_BYTES = 700e6
"""Memory of a process with torch, Lightning and an image of the data set's index."""
STEP_FACTOR = 1.5
"""Memory of a training step, as a multiple of the activations that the backward pass needs."""
SHARE_OF_MEMORY = 0.8

_launch = JoblibLauncher.launch


def adapt_joblib() -> None:
    """Make a sweep outlast the kill of one of its processes, for which joblib ends all others."""
    JoblibLauncher.launch = _launch_again


def _launch_again(launcher: JoblibLauncher, jobs: Sequence[Sequence[str]], initial_job_idx: int) -> Any:
    """Start jobs, and those that are not finished again with fewer processes if one was killed.

    With a single process, that of the command executes the jobs.
    """
    while True:
        try:
            return _launch(launcher, jobs, initial_job_idx)
        except TerminatedWorkerError:
            asked = launcher.joblib["n_jobs"]
            left = max(1, (asked if asked > 0 else usable_cores() + 1 + asked) - 1)  # -1: all cores
            launcher.joblib["n_jobs"] = left
            words = f"{left} runs at a time" if left > 1 else "one run at a time"
            print(
                f"A process of this sweep was killed, perhaps for lack of memory. Continuing with {words}",
                file=sys.stderr,
                flush=True,
            )


def share_machine(config: DictConfig, planned: Sequence[Sequence[str]]) -> int:
    """Make a sweep's configuration start as many runs at a time as the machine carries; return their number.

    `planned` are the overrides of each job, empty for a sweeper that chooses its jobs as it goes. A launcher
    that the user chose is left as it is. The configuration changes before Hydra builds the launcher from it.
    """
    runs = runs_at_a_time(config, planned)
    if runs > 1:
        with open_dict(config):
            config.hydra.launcher = {
                "_target_": f"{JoblibLauncher.__module__}.{JoblibLauncher.__qualname__}",
                "n_jobs": runs,
                "batch_size": 1,  # joblib would send several short jobs, such as skipped runs, to one process
            }
            # every job is composed from these overrides, and records its launcher
            config.hydra.overrides.hydra += [f"{LAUNCHER}=joblib", f"hydra.launcher.n_jobs={runs}"]
        threads = config.trainer.threads or threads_each(runs)
        print(
            f"{runs} runs at a time, each with {threads} CPU thread{'s' if threads > 1 else ''} "
            "(runs_at_a_time=1: one after another)",
            flush=True,
        )
    return runs


def runs_at_a_time(config: DictConfig, planned: Sequence[Sequence[str]]) -> int:
    """Return how many runs of a sweep start at a time, unless the user chose a launcher.

    By default, this is 1 on a GPU and for runs of several processes, and otherwise as many as cores and
    memory carry; `trainer.threads` is the number of cores of a run.
    """
    asked: int | None = config.runs_at_a_time
    chosen = str(config.hydra.runtime.choices[LAUNCHER]) != "basic" or any(
        word.lstrip("+").startswith(f"{LAUNCHER}=") for word in config.hydra.overrides.hydra
    )
    # sweepers that choose jobs by results start this many at once
    jobs = len(planned) or int(config.hydra.sweeper.get("n_jobs") or 1)
    if chosen or min(jobs, asked or jobs) == 1:
        return 1
    arms = _arms(config, planned)
    if any(starts_processes({"trainer": OmegaConf.to_container(arm.trainer, resolve=True)}) for arm in arms):
        return 1
    if asked is not None:
        return min(jobs, asked)
    if any(arm.trainer.accelerator != "cpu" and device("auto").type != "cpu" for arm in arms):
        return 1
    threads = max(arm.trainer.threads or 1 for arm in arms)
    carried = min(jobs, usable_cores() // threads)
    return max(1, min(carried, _carried_by_memory(arms))) if carried > 1 else 1


def threads_each(runs: int) -> int:
    """Return the number of CPU threads of each of several runs at a time."""
    return max(1, min(AT_START, usable_cores() // runs))


@contextmanager
def threads_of_processes(number: int) -> Iterator[None]:
    """Make processes that are started inside the block use a number of CPU threads."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = str(number)
    try:
        yield
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before


def _arms(config: DictConfig, planned: Sequence[Sequence[str]]) -> list[DictConfig]:
    """Return one configuration of the jobs that differ only in their seed."""
    if not planned:
        return [config]
    loader = GlobalHydra.instance().config_loader()
    unlike = {str([one for one in settings(job).items() if one[0] != SEED]): job for job in planned}
    return [loader.load_sweep_config(config, list(job)) for job in unlike.values()]


def _carried_by_memory(arms: Sequence[DictConfig]) -> int:
    """Return how many of the largest runs fit into the memory that is available."""
    available = available_memory()
    if available is None:
        return len(arms) + usable_cores()
    return int(SHARE_OF_MEMORY * available // max(map(run_bytes, arms)))


def run_bytes(config: DictConfig) -> float:
    """Return an estimate of the memory of a run on a CPU in bytes, from a rehearsal without data."""
    HydraConfig.instance().set_config(config)  # for the names of what was chosen
    images = 2  # batch norm needs more than one value per channel
    try:
        detector = rehearse(config)
        activations = saved_bytes(detector, torch.zeros(images, 3, *train_size(config)))
    except Exception:  # the run itself will report it
        return PROCESS_BYTES
    weights = sum(parameter.nbytes for parameter in detector.parameters())
    # weights, gradients, two moments and the average
    return PROCESS_BYTES + 5 * weights + STEP_FACTOR * activations * config.batch_size / images


def saved_bytes(network: nn.Module, images: Tensor) -> int:
    """Return the bytes that the backward pass needs of a forward pass in training mode."""
    sizes: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        sizes[storage._cdata] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = network.train()(images)
    del output
    return sum(sizes.values())
