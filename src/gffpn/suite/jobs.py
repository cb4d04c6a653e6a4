"""The jobs of a sweep, checked before the first of them starts."""

import logging

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import InstantiationException
from omegaconf import DictConfig, OmegaConf

from gffpn.build.index import build_index
from gffpn.config.check import check
from gffpn.config.overrides import WRONG_OVERRIDE, explain


def check_jobs(config: DictConfig) -> list[list[str]]:
    """`check` every job of a sweep and read each data set once: no job begins if one of them is refused.

    Gives the jobs' overrides, as far as they can be foreseen. Raises ValueError, and DataError for a set with
    faults. What a constructor alone finds fails its own job.
    """
    if not config.hydra.sweeper._target_.endswith("BasicSweeper"):
        return []  # another sweeper chooses its jobs as it goes
    loader = GlobalHydra.instance().config_loader()
    params = [f"{key}={value}" for key, value in (config.hydra.sweeper.params or {}).items()]
    try:
        parser = OverridesParser.create(config_loader=loader)
        overrides = parser.parse_overrides([*params, *map(str, config.hydra.overrides.task)])
        planned = _jobs(overrides)
        jobs = [loader.load_sweep_config(config, job) for job in planned]
    except WRONG_OVERRIDE as error:
        raise ValueError(explain(error)) from error
    for job in jobs:
        check(job)
    # a set that is read from files; a simulated one is drawn by the first job that needs it
    sets = {OmegaConf.to_yaml(job.data, resolve=True): job for job in jobs if "root" in job.data}
    for job in sets.values():
        _read(job)
    return planned


def _read(job: DictConfig) -> None:
    logging.disable(logging.WARNING)  # each job logs what it reads
    try:
        build_index(job)
    except InstantiationException:
        pass  # a constructor's fault
    finally:
        logging.disable(logging.NOTSET)


def _jobs(overrides: list[Override]) -> list[list[str]]:
    """Each job's overrides, as Hydra's basic sweeper makes them."""
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

    (jobs,) = BasicSweeper.split_arguments(overrides, None)
    return [list(job) for job in jobs]
