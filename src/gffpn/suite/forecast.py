"""What a sweep would run, before it runs: what is finished, the minutes left, and what it can detect."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from gffpn.build.index import index_key
from gffpn.config.overrides import CONF, WRONG_OVERRIDE, explain
from gffpn.data.index import DataIndex
from gffpn.runs.folder import RunFolder
from gffpn.runs.reading import finished_runs
from gffpn.runs.record import Record
from gffpn.stats.arms import settings
from gffpn.stats.planning import Parts
from gffpn.stats.question import check_contrasts, question
from gffpn.stats.runs import Run
from gffpn.stats.study import Study, family_size, study
from gffpn.suite.jobs import Job, check_jobs, declared_jobs
from gffpn.suite.plan import Plan
from gffpn.suite.sharing import runs_at_a_time


@dataclass(frozen=True)
class Forecast:
    """A sweep before it runs."""

    study: Study
    """With the runs that are finished already."""
    plans: tuple[Plan, ...]
    minutes: float | None
    """Minutes until the runs that are left will end; None if no finished run is like one of them."""
    at_a_time: int
    """How many of them this machine will train at once."""
    detectable: float | None
    """Smallest true difference that will be found with 80 % probability; None if it is not known yet."""
    seeds: int
    """Smallest number of seeds per arm."""
    contrasts: int


def forecast(overrides: Sequence[str]) -> Forecast:
    """Return what `python train.py -m OVERRIDES` would run.

    Reads the data set, and generates it if it is simulated. Raises ValueError for a wrong override and
    DataError for a data set with faults.
    """
    with _sweep(overrides) as (config, planned):
        asked = question(config.experiment)
        overrides_of_jobs = [job.overrides for job in planned]
        check_contrasts(asked, overrides_of_jobs, declared_jobs(config))
        unique, asked_for = dict[str, Plan](), dict[tuple[object, ...], tuple[Plan, Job]]()
        indices = dict[str, DataIndex]()
        for job in planned:
            HydraConfig.instance().set_config(job.config)
            key = index_key(job.config)
            plan = Plan.of(job.config, group=None, index=indices.get(key))
            indices[key] = plan.index
            unique[plan.name] = plan
            # seed=0,0 asks for one run twice, and so may two arms under different names
            asked_for[plan.name, *settings(job.overrides).items()] = plan, job
        plans = [*unique.values()]
        left = [plan for plan in plans if not plan.is_done]
        at_a_time = runs_at_a_time(config, overrides_of_jobs) if left else 1
    runs = [_run(plan, job.overrides) for plan, job in asked_for.values()]
    found = study("plan", runs, asked)
    folder = Path(config.paths.runs)
    known = [(row.record, _crop(RunFolder(folder / row.run).read_config())) for row in finished_runs(folder)]
    at_a_time = max(1, min(at_a_time, len(left)))
    guesses = [_minutes(plan, known, at_a_time=at_a_time) for plan in left]
    seeds = min((len(arm.runs) for arm in found.arms), default=0)
    return Forecast(
        found,
        tuple(plans),
        sum(guess for guess in guesses if guess) if all(guess is not None for guess in guesses) else None,
        at_a_time,
        _detectable(found, seeds),
        seeds,
        len(found.contrasts),
    )


@contextmanager
def _sweep(overrides: Sequence[str]) -> Iterator[tuple[DictConfig, list[Job]]]:
    """Compose a sweep as Hydra does, and yield its configuration and its jobs."""
    try:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            loader = GlobalHydra.instance().config_loader()
            config = loader.load_configuration("train", list(overrides), run_mode=RunMode.MULTIRUN)
            HydraConfig.instance().set_config(config)
            planned = check_jobs(config)
            if not planned:
                raise ValueError("this sweeper chooses its jobs by their results, so they are not known yet")
            yield config, planned
    except WRONG_OVERRIDE as error:
        raise ValueError(explain(error)) from error


def _run(plan: Plan, overrides: Sequence[str]) -> Run:
    """Return the run of a plan, with its record only if it will be skipped."""
    folder = plan.folder
    record = folder.read() if plan.is_done else None
    status = "finished" if record else ("missing" if folder.status == "finished" else folder.status)
    return Run(tuple(overrides), status, folder.path, record)


def _minutes(plan: Plan, known: Sequence[tuple[Record, object]], *, at_a_time: int = 1) -> float | None:
    """Return by how many minutes a run makes its sweep longer: by its budget, or as runs like it, if any.

    `known` are finished runs with the side of their crops. Alike are runs on as many images and crops of the
    same size, first those of the same neck, then those of any. Of `at_a_time` runs that share the machine,
    each makes the sweep longer by a part of its own minutes. A budget, and the minutes of a run that had the
    machine for itself, count in full, because runs that share it are slower.
    """
    config, images = plan.config, len(plan.index.splits["train"])
    if config["trainer"]["minutes"] is not None:
        return float(config["trainer"]["minutes"])
    epochs = config["trainer"]["max_epochs"]
    size = config["image_size"]
    alike = [
        record
        for record, crop in known
        if record.size == config["size"]["name"]
        and record.data.images["train"] == images
        and crop == _crop(config)
        and (record.image_size == (size, size) if isinstance(size, int) else record.image_size == tuple(size))
    ]
    same = [record for record in alike if record.choice.neck == config["choice"]["neck"]]
    rates = [
        record.training.minutes
        / record.training.trained_epochs
        / (at_a_time if record.choice.shares_machine else 1)
        for record in same or alike
    ]
    return statistics.median(rates) * epochs if rates else None


def _crop(config: Mapping[str, Any]) -> object:
    """Return the side of the crops of a resolved configuration; None for whole images."""
    return config.get("augment", {}).get("crop")


def _detectable(found: Study, seeds: int) -> float | None:
    """Return the median of what the contrasts can detect with all seeds, by the runs that are finished."""
    if seeds < 2:
        return None
    level = found.question.alpha / max(family_size(found.contrasts), 1)
    known = [
        Parts.of(one.estimate).detectable(seeds, alpha=level)
        for one in found.contrasts
        if one.estimate and one.verdict
    ]
    return statistics.median(known) if known else None
