"""One run: skip it if it is finished, resume it if it was interrupted, keep its traceback if it fails."""

import dataclasses
import logging
import sys
import traceback
import warnings
from pathlib import Path
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from gffpn import build
from gffpn.callbacks.console import trained_minutes
from gffpn.cost import cost, fps
from gffpn.data.index import DataIndex
from gffpn.suite import identity
from gffpn.suite.folder import RunFolder, write_atomically
from gffpn.suite.provenance import provenance
from gffpn.suite.sweep import record_job
from gffpn.suite.table import print_table
from gffpn.task import DetectionTask

# Lightning greets each trainer with lines about hardware, tips and advertisements
logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
# what it says of itself, or of a test that rightly runs without the training callbacks
EXPECTED_WARNINGS = (
    r".*LeafSpec.*is deprecated",
    r"Be aware that when using `ckpt_path`, callbacks used to create the checkpoint",
    r".*does not have many workers which may be a bottleneck",
    r"Checkpoint directory .* exists and is not empty",
    r"The number of training batches .* is smaller than the logging interval",
)


def run(config: DictConfig) -> str:
    """Run what a configuration says, in its own folder; the run's status.

    In a sweep a failure is recorded and returned, so that the other runs go on; alone it is raised.
    """
    hydra = HydraConfig.get()
    in_sweep = hydra.mode == RunMode.MULTIRUN
    overrides = list(hydra.overrides.task)
    folder = None
    try:
        index = build.build_index(config)
        plain = build.resolved(config)
        folder = RunFolder(Path(config.paths.runs) / identity.run_name(plain, index.fingerprint))
        if in_sweep:
            record_job(Path(hydra.sweep.dir), hydra.job.num, overrides=overrides, run=folder.path)
        group = Path(hydra.sweep.dir).name if in_sweep else folder.path.name
        execute(config, index, folder, group=group)
    except Exception as caught:
        # Hydra wraps what a constructor raises; the cause is what a user can act on
        error = (
            caught.__cause__ if isinstance(caught, InstantiationException) and caught.__cause__ else caught
        )
        _keep_failure(error, folder)
        if in_sweep:
            if folder is None:
                fault = f"{type(error).__name__}: {error}"
                record_job(Path(hydra.sweep.dir), hydra.job.num, overrides=overrides, run=None, fault=fault)
            return "failed"
        if isinstance(error, ValueError):
            raise SystemExit(1) from None
        raise
    if not in_sweep:
        print_table(
            [{"overrides": overrides, **folder.read_metrics(), "status": "finished"}], title=folder.path.name
        )
        print(f"Run: {folder.path}")
    return folder.status


def _keep_failure(error: BaseException, folder: RunFolder | None) -> None:
    """The traceback goes to the run's folder as text: the exception itself holds tensors."""
    if folder is not None:
        write_atomically(folder.traceback, "".join(traceback.format_exception(error)))
    where = f" (traceback: {folder.traceback})" if folder is not None else ""
    print(f"ERROR: {error or type(error).__name__}{where}", file=sys.stderr, flush=True)


def execute(config: DictConfig, index: DataIndex, folder: RunFolder, *, group: str) -> None:
    """Fit, test and write metrics.json, or say that it is done already."""
    if folder.status == "finished":
        print(f"Already finished, skipped: {folder.path}", flush=True)
        return
    resumed = folder.last_checkpoint is not None
    print(f"{'Resuming' if resumed else 'Running'}: {folder.path}", flush=True)
    plain = build.resolved(config)
    write_atomically(folder.config, OmegaConf.to_yaml(OmegaConf.create(plain)))
    folder.finish({**about(plain, index), **fit_and_test(config, index, folder, group=group)})


def about(plain: dict[str, Any], index: DataIndex) -> dict[str, Any]:
    """What a row of a table tells of a run besides its figures."""
    return {
        **plain["choice"],
        "size": plain["size"]["name"],
        "seed": plain["seed"],
        "image_size": identity.image_size_word(plain["image_size"]),
        "simulated": "simulator" in plain["data"]["_target_"],
        "settings": f"{plain['trainer']['max_epochs']} epochs, batch {plain['batch_size']}, "
        f"{plain['optim']['optimizer']} lr {plain['optim']['lr']}",
        "images": {split: len(records) for split, records in index.splits.items()},
        "data_fingerprint": index.fingerprint,
        **provenance(),
    }


def fit_and_test(config: DictConfig, index: DataIndex, folder: RunFolder, *, group: str) -> dict[str, Any]:
    """Train, choose the best epoch on val, touch test once with it, and measure the cost."""
    data = build.build_data(config, index)
    task = build.build_task(config, data)
    loggers = build.build_loggers(config, folder, group=group)
    for message in EXPECTED_WARNINGS:
        warnings.filterwarnings("ignore", message)
    try:
        trainer = build.build_trainer(config, folder, loggers)
        trainer.fit(task, data, ckpt_path=folder.last_checkpoint, weights_only=True)
        tester = build.build_tester(config, folder, loggers)
        best = folder.checkpoints / "best.ckpt"
        (figures,) = tester.test(task, data, ckpt_path=best, weights_only=True, verbose=False)
        price = measure(config, task, tester.strategy.root_device)
        for logger in loggers:
            logger.log_metrics({f"model/{key}": value for key, value in price.items() if _is_number(value)})
    finally:
        for logger in loggers:
            logger.finalize("success")
        if config.logger.wandb != "off":
            from gffpn.suite import tracking

            tracking.finish()
    return {
        **{key: _as_json(key, value) for key, value in figures.items()},
        **price,
        "minutes": trained_minutes(trainer),
    }


def measure(config: DictConfig, task: DetectionTask, device: torch.device) -> dict[str, Any]:
    """Parameters, GFLOPs and speed."""
    size = build.image_size(config)
    price = dataclasses.asdict(cost(task.detector, size))
    del price["image_size"]  # stands in the row already, as it was written
    speed = fps(
        task.detector,
        lambda raw: task.decode(raw, size),
        size,
        device=device,
        channels_last=config.trainer.channels_last,
    )
    return {**price, **speed}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _as_json(key: str, value: float) -> float | int | None:
    """Loggers take floats: counts (`n_8_16`) become whole again, and what has no object becomes null."""
    if value != value:
        return None
    return int(value) if key.rpartition("/")[2].startswith("n_") else value
