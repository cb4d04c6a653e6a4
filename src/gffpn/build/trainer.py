"""Lightning trainers, built from a configuration."""

import sys
from collections.abc import Sequence
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback, RichProgressBar
from lightning.pytorch.loggers import Logger
from lightning.pytorch.profilers import Profiler
from omegaconf import DictConfig

from gffpn.build.detector import build_recipe
from gffpn.callbacks.checkpoints import BestCheckpoint, EpochWeights, MovableCheckpoint, WholeCheckpoints
from gffpn.callbacks.console import EpochLines
from gffpn.callbacks.cpu_threads import CPUThreads
from gffpn.callbacks.ema import RampedEMA
from gffpn.callbacks.finite import FiniteLoss
from gffpn.callbacks.interruption import Interruptible
from gffpn.callbacks.patience import Patience
from gffpn.callbacks.pictures import Pictures
from gffpn.callbacks.size_counts import SizeCounts
from gffpn.callbacks.streams import StepStream
from gffpn.callbacks.telemetry import AttentionTelemetry
from gffpn.machine import processes
from gffpn.machine.devices import device, precision
from gffpn.machine.memory import keep_freed_memory
from gffpn.runs.folder import RunFolder
from gffpn.runs.record import TEST_PRECISION


def build_trainer(
    config: DictConfig, folder: RunFolder, loggers: Sequence[Logger], *, profiler: Profiler | None = None
) -> L.Trainer:
    """Return the trainer for fitting."""
    recipe = build_recipe(config)
    if device(config.trainer.accelerator).type == "cpu":
        keep_freed_memory()
    # saved after validation, so that a run resumes after it; `last` comes second in the list of callbacks, so
    # that it contains the state of `best`
    saving: dict[str, Any] = {"enable_version_counter": False, "save_on_train_epoch_end": False}
    best = BestCheckpoint(folder.checkpoints, "best", monitor="val/mAP50", **saving)
    last = MovableCheckpoint(folder.checkpoints, "last", **saving)
    average = [RampedEMA(recipe.ema_decay)] if recipe.ema_decay is not None else []
    stopping = [] if config.trainer.patience is None else [Patience(config.trainer.patience)]
    kept = [EpochWeights(folder.checkpoints, every)] if (every := config.trainer.save_every_n_epochs) else []
    reporting = [EpochLines(), AttentionTelemetry(), SizeCounts(), *_reporters(config, folder)]
    chance = StepStream(config.seed)
    return L.Trainer(
        **_engine(config),
        max_epochs=config.trainer.max_epochs,
        gradient_clip_val=recipe.gradient_clip,
        logger=list(loggers),
        profiler=profiler,
        callbacks=[
            CPUThreads(config.trainer.threads),
            chance,
            FiniteLoss(),
            *kept,
            *average,
            *reporting,
            *stopping,
            best,
            last,
        ],
        accumulate_grad_batches=config.trainer.accumulate_grad_batches,
        check_val_every_n_epoch=config.trainer.check_val_every_n_epoch,
        limit_train_batches=config.trainer.limit_train_batches,
        num_sanity_val_steps=0,
        log_every_n_steps=10,
        enable_model_summary=False,
    )


def build_tester(config: DictConfig, folder: RunFolder | None, loggers: Sequence[Logger]) -> L.Trainer:
    """Return a new trainer for testing in fp32, without the EMA callback; without a folder, it draws nothing.

    The trainer that fitted would test the raw weights.
    """
    return L.Trainer(
        **{**_engine(config), "precision": TEST_PRECISION},
        logger=list(loggers),
        callbacks=_reporters(config, folder) if folder else [],
        enable_model_summary=False,
        enable_checkpointing=False,
    )


def _engine(config: DictConfig) -> dict[str, Any]:
    trainer = config.trainer
    return {
        "accelerator": trainer.accelerator,
        "devices": trainer.devices,
        "num_nodes": trainer.num_nodes,
        "strategy": trainer.strategy,
        "sync_batchnorm": trainer.sync_batchnorm,
        "plugins": [WholeCheckpoints(), *processes.slurm()],
        "precision": precision(trainer.precision, trainer.accelerator),
        "deterministic": trainer.deterministic,
        "use_distributed_sampler": False,  # the data module shards the data itself and counts no image twice
        "enable_progress_bar": _watched(),
        **trainer.extra,
    }


def _watched() -> bool:
    return sys.stdout.isatty()  # false where runs share a terminal


def _reporters(config: DictConfig, folder: RunFolder) -> list[Callback]:
    bar: list[Callback] = [RichProgressBar(leave=False)] if _watched() else []
    return [Interruptible(), *bar, Pictures(folder.path / "pictures", count=config.logger.pictures)]
