"""Folders of sweeps with invented runs, some of which are not finished."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from fake_runs import predicted_run
from gffpn.runs.folder import RunFolder
from gffpn.runs.sweeps import SweepPlan, record_job, write_plan

SKILLS = {"fpn": 0.4, "panet": 0.45, "gffpn": 0.9}
TRACEBACK = """Traceback (most recent call last):
  File "fit.py", line 1, in fit
    forward(images)
  File "neck.py", line 2, in forward
    raise RuntimeError("the shapes differ")
RuntimeError: the shapes | differ
Images of the steps since the last check:
  step 3, loss 1.5: a.png
"""
EXPERIMENT: dict[str, Any] = {
    "claim": "GF-FPN finds more.",
    "paper_table": None,
    "primary_endpoint": "test/mAP50",
    "contrasts": [["gffpn", "fpn"]],
    "margin": 0.01,
    "looks": [],
    "command": None,
}


def fake_sweep(
    runs: Path,
    name: str = "necks",
    *,
    skills: Mapping[str, float] = SKILLS,
    seeds: Sequence[int] = (0, 1, 2),
    experiment: Mapping[str, Any] = EXPERIMENT,
    **facts: Any,
) -> Path:
    """Write a sweep of finished runs, one per neck and seed, and return its folder."""
    folder = runs / "sweeps" / name
    jobs = [(f"neck={neck}", f"seed={seed}") for neck in skills for seed in seeds]
    command = ("python", "train.py", "-m", f"neck={','.join(skills)}", f"seed={','.join(map(str, seeds))}")
    write_plan(folder, SweepPlan(command, experiment, tuple(jobs)))
    for number, job in enumerate(jobs):
        neck, seed = (word.partition("=")[2] for word in job)
        run = predicted_run(runs, neck, skill=skills[neck], seed=int(seed), **facts)
        add_to_config(run, experiment=dict(experiment), trainer={"max_epochs": 5})
        record_job(folder, number, overrides=job, run=run)
    return folder


def add_to_config(run: Path, **values: Any) -> None:
    """Add values to a run's config.yaml."""
    config = RunFolder(run).config
    config.write_text(yaml.safe_dump({**yaml.safe_load(config.read_text()), **values}))


def crash(run: Path, traceback: str = TRACEBACK) -> None:
    """Turn a finished run into a failed one."""
    kill(run)
    RunFolder(run).traceback.write_text(traceback)


def kill(run: Path) -> None:
    """Turn a finished run into one that was killed after its last epoch."""
    RunFolder(run).metrics.unlink()
    RunFolder(run).predictions.unlink()
