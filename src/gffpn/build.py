"""The composition root: configuration to objects. The only place that instantiates."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from lightning.pytorch.callbacks import Callback, RichProgressBar
from lightning.pytorch.loggers import CSVLogger, Logger
from lightning.pytorch.profilers import Profiler
from omegaconf import DictConfig, OmegaConf

from gffpn import processes
from gffpn.callbacks.checkpoints import MovableCheckpoint, WholeCheckpoints
from gffpn.callbacks.console import EpochLines
from gffpn.callbacks.ema import RampedEMA
from gffpn.callbacks.finite import FiniteLoss
from gffpn.callbacks.pictures import Pictures
from gffpn.callbacks.streams import StepStream
from gffpn.callbacks.telemetry import AttentionTelemetry
from gffpn.data.datamodule import DetectionData
from gffpn.data.index import DataIndex
from gffpn.detector import Detector
from gffpn.host_memory import keep_freed_memory
from gffpn.optim import Recipe
from gffpn.pyramid import Head, Levels, Neck, check_image_size
from gffpn.streams import torch_stream
from gffpn.suite.folder import RunFolder
from gffpn.suite.overrides import CONF, WRONG_OVERRIDE, told
from gffpn.suite.tracking import wandb_logger
from gffpn.task import DetectionTask


def compose_config(overrides: Sequence[str]) -> DictConfig:
    """The configuration that `python train.py OVERRIDES...` would run; ValueError for a wrong override."""
    try:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            config = compose("train", list(overrides), return_hydra_config=True)
    except WRONG_OVERRIDE as error:
        raise ValueError(told(error)) from error
    HydraConfig.instance().set_config(config)
    return config


def resolved(config: DictConfig) -> dict[str, Any]:
    """A configuration as plain values, without Hydra's own part; `auto` is what it means on this machine."""
    plain = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    plain._set_parent(config._get_parent())
    values: dict[str, Any] = OmegaConf.to_container(plain, resolve=True, throw_on_missing=True)  # type: ignore[assignment]
    values["trainer"]["precision"] = precision(config.trainer.precision, config.trainer.accelerator)
    return values


def image_size(config: DictConfig) -> tuple[int, int]:
    """`image_size: N` or `[H, W]` as (H, W)."""
    value = (
        OmegaConf.to_container(config.image_size)
        if OmegaConf.is_list(config.image_size)
        else config.image_size
    )
    sides = tuple(value) if isinstance(value, list) else (value, value)
    if len(sides) != 2 or not all(isinstance(side, int) and side > 0 for side in sides):
        raise ValueError(f"image_size: got {value!r}, expected a number of pixels or [height, width]")
    return sides


def build_index(config: DictConfig) -> DataIndex:
    """Read (or, for simulated data, make) the data set."""
    source = instantiate(config.data, Path(config.paths.cache), image_size(config), _convert_="all")
    index: DataIndex = source.index()
    return index


def build_data(config: DictConfig, index: DataIndex) -> DetectionData:
    """The data module over an index."""
    return DetectionData(
        index,
        image_size=image_size(config),
        batch_size=config.batch_size,
        workers=loader_workers(config),
        seed=config.seed,
        augment=instantiate(config.augment, _convert_="all"),
        max_epochs=config.trainer.max_epochs,
        cache=config.loader.cache,
        cache_dir=Path(config.paths.cache),
    )


def loader_workers(config: DictConfig) -> int:
    """`loader.workers`; null: none where a CPU trains, which takes all its cores, else up to 8 a GPU."""
    asked: int | None = config.loader.workers
    if asked is not None:
        return asked
    if device(config.trainer.accelerator).type == "cpu":
        return 0
    return min(8, processes.usable_cores() // max(1, torch.cuda.device_count()))


def build_detector(config: DictConfig, num_classes: int) -> Detector:
    """Backbone, neck and head, each from its own random stream: equal seeds give equal backbones."""
    with torch_stream(config.seed, "backbone"):
        backbone = instantiate(config.backbone, _convert_="all")
    neck = build_neck(config, backbone.out_levels)
    with torch_stream(config.seed, "head"):
        head = instantiate(config.head.network, neck.out_levels, num_classes, _convert_="all")
    return Detector(backbone, neck, head)


def build_neck(config: DictConfig, in_levels: Levels) -> Neck:
    """The neck alone."""
    with torch_stream(config.seed, "neck"):
        neck: Neck = instantiate(config.neck, in_levels, _convert_="all")
    return neck


def rehearse(config: DictConfig) -> None:
    """Build what needs no data, so that a wrong value is refused before data is read or drawn.

    Raises ValueError, too, for an image size that is no multiple of the neck's `size_multiple`.
    """
    detector = build_detector(config, num_classes=1)
    check_image_size(image_size(config), getattr(detector.neck, "size_multiple", 1), neck=config.choice.neck)
    build_loss_and_decode(config, detector.head)
    instantiate(config.augment, _convert_="all")
    build_recipe(config)


def build_recipe(config: DictConfig) -> Recipe:
    """The optimiser's recipe."""
    recipe: Recipe = instantiate(config.optim, _convert_="all")
    return recipe


def build_loss_and_decode(config: DictConfig, head: Head) -> tuple[Any, Any]:
    """What turns a head's raw predictions into losses, and into detections."""
    parts = (config.head.loss, config.head.decode)
    loss, decode = (instantiate(part, head, _convert_="all") for part in parts)
    return loss, decode


def build_task(config: DictConfig, data: DetectionData) -> DetectionTask:
    """The detector with its loss and decoding; the head has seen the training boxes if it asks for them."""
    detector = build_detector(config, len(data.index.classes))
    fit_to = getattr(detector.head, "fit_to", None)
    if fit_to is not None:
        fit_to(data.boxes_wh())
    return DetectionTask(
        detector,
        *build_loss_and_decode(config, detector.head),
        build_recipe(config),
        classes=data.index.classes,
        channels_last=config.trainer.channels_last,
    )


def build_trainer(
    config: DictConfig, folder: RunFolder, loggers: Sequence[Logger], *, profiler: Profiler | None = None
) -> L.Trainer:
    """The trainer that fits."""
    recipe = build_recipe(config)
    if device(config.trainer.accelerator).type == "cpu":
        keep_freed_memory()
    # at the end of validation, so that a run resumes after it; last second, so that it carries best's state
    saving: dict[str, Any] = {"enable_version_counter": False, "save_on_train_epoch_end": False}
    best = MovableCheckpoint(folder.checkpoints, "best", monitor="val/mAP50", mode="max", **saving)
    last = MovableCheckpoint(folder.checkpoints, "last", **saving)
    average = [RampedEMA(recipe.ema_decay)] if recipe.ema_decay is not None else []
    telling = [EpochLines(), AttentionTelemetry(), *_tellers(config, folder)]
    chance = StepStream(config.seed)
    return L.Trainer(
        **_engine(config),
        max_epochs=config.trainer.max_epochs,
        gradient_clip_val=recipe.gradient_clip,
        logger=list(loggers),
        profiler=profiler,
        callbacks=[chance, FiniteLoss(), *average, *telling, best, last],
        limit_train_batches=config.trainer.limit_train_batches,
        limit_val_batches=config.trainer.limit_eval_batches,
        num_sanity_val_steps=0,
        log_every_n_steps=10,
        enable_model_summary=False,
    )


def build_tester(config: DictConfig, folder: RunFolder, loggers: Sequence[Logger]) -> L.Trainer:
    """A fresh trainer for the test: the one that fitted would test the raw weights (no EMA callback here)."""
    return L.Trainer(
        **_engine(config),
        logger=list(loggers),
        callbacks=_tellers(config, folder),
        limit_test_batches=config.trainer.limit_eval_batches,
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
        "use_distributed_sampler": False,  # the data module shards by itself, without counting an image twice
        "enable_progress_bar": _watched(),
    }


def starts_processes(config: DictConfig) -> bool:
    """Whether a run with this configuration would start further processes by itself."""
    trainer = resolved(config)["trainer"]
    count = processes.asked_for(trainer["devices"], trainer["num_nodes"], trainer["accelerator"])
    return count > 1 and not processes.started_outside()


def device(accelerator: str) -> torch.device:
    """Where a trainer with this accelerator puts a single process.

    Raises ValueError if the machine has no such device.
    """
    if accelerator == "cpu":
        return torch.device("cpu")
    found = torch.accelerator.current_accelerator(check_available=True)
    if accelerator == "auto":
        return found or torch.device("cpu")
    if found is None or accelerator not in ("gpu", found.type):
        kinds = ["auto", "cpu", *(["gpu", found.type] if found else [])]
        raise ValueError(f"trainer.accelerator: got {accelerator!r}, this machine has {kinds}")
    return found


def precision(asked: str, accelerator: str) -> str:
    """`auto` is bf16 where the machine multiplies it in hardware, else fp32."""
    if asked != "auto":
        return asked
    if accelerator != "cpu" and torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
    # emulated bf16 is 300 times slower than fp32 on a CPU without these instructions
    capable = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bf16-mixed" if capable else "32-true"


def _watched() -> bool:
    return os.isatty(1)


def _tellers(config: DictConfig, folder: RunFolder) -> list[Callback]:
    bar: list[Callback] = [RichProgressBar(leave=False)] if _watched() else []
    return [*bar, Pictures(folder.path / "pictures", count=config.logger.pictures)]


def build_loggers(config: DictConfig, folder: RunFolder, *, group: str) -> list[Logger]:
    """CSV always, one folder an attempt (the logger deletes the file that it resumes); W&B as configured."""
    attempts = len(list((folder.path / "logs").glob("attempt_*")))
    loggers: list[Logger] = [CSVLogger(folder.path, name="logs", version=f"attempt_{attempts}")]
    if config.logger.wandb != "off" and processes.is_lead():
        wandb = wandb_logger(config.logger, folder, config=resolved(config), group=group)
        loggers += [wandb] if wandb else []
    return loggers
