"""One run: skip it if it is finished, resume it if it was interrupted, keep its traceback if it fails."""

import gc
import sys
import traceback
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from gffpn import build
from gffpn.data.index import DataError, DataIndex
from gffpn.suite import identity, settings
from gffpn.suite.fit import about, fit_and_test
from gffpn.suite.folder import RunFolder, write_atomically
from gffpn.suite.sweep import record_job
from gffpn.suite.table import print_table


def run(config: DictConfig) -> str:
    """Run what a configuration says, in its own folder; the run's status.

    In a sweep a failure is recorded and returned, so that the other runs go on; alone it is raised.
    """
    hydra = HydraConfig.get()
    in_sweep = hydra.mode == RunMode.MULTIRUN
    sweep, overrides = Path(hydra.sweep.dir), list(hydra.overrides.task)
    folder = None
    try:
        settings.check(config)
        if not in_sweep:
            build.rehearse(config)
        index = build.build_index(config)
        folder = run_folder(config, index)
        if in_sweep:
            record_job(sweep, hydra.job.num, overrides=overrides, run=folder.path)
            build.rehearse(config)  # here, so that its failure is kept in the run's folder
        execute(config, index, folder, group=sweep.name if in_sweep else folder.path.name)
    except Exception as caught:
        # Hydra wraps what a constructor raises; the cause is what a user can act on
        wrapped = isinstance(caught, InstantiationException) and caught.__cause__ is not None
        error = caught.__cause__ if wrapped else caught
        assert error is not None
        _tell_failure(error, folder)
        if not in_sweep:
            if isinstance(error, ValueError):
                raise SystemExit(1 if isinstance(error, DataError) else 2) from None
            raise
        if folder is None:
            fault = f"{type(error).__name__}: {error}"
            record_job(sweep, hydra.job.num, overrides=overrides, run=None, fault=fault)
        # its frames hold the network and its gradients, and the next run needs the memory
        traceback.clear_frames(error.__traceback__)
        del error
    gc.collect()
    if folder is None:
        return "failed"
    if not in_sweep:
        row = {"overrides": overrides, **folder.read_metrics(), "status": "finished"}
        print_table([row], title=folder.path.name)
        print(f"Run: {folder.path}")
    return folder.status


def run_folder(config: DictConfig, index: DataIndex) -> RunFolder:
    """The run's folder: the one that has its hash already, under whatever words, or a new one."""
    runs = Path(config.paths.runs)
    name = identity.run_name(build.resolved(config), index.fingerprint)
    known = sorted(path.parent for path in runs.glob(f"*_{identity.digest_of(name)}/config.yaml"))
    return RunFolder(known[0] if known else runs / name)


def execute(config: DictConfig, index: DataIndex, folder: RunFolder, *, group: str) -> None:
    """Fit, test and write metrics.json, or say that it is done already."""
    if folder.status == "finished":
        print(f"Already finished, skipped: {folder.path}", flush=True)
        return
    resumed = folder.last_checkpoint is not None
    print(f"{'Resuming' if resumed else 'Running'}: {folder.path}", flush=True)
    plain = build.resolved(config)
    write_atomically(folder.config, OmegaConf.to_yaml(OmegaConf.create(plain)))
    try:
        folder.finish({**about(plain, index), **fit_and_test(config, index, folder, group=group)})
    except (KeyboardInterrupt, SystemExit):  # Lightning answers Ctrl-C by leaving
        print("Interrupted. The same command goes on from the last finished epoch.", flush=True)
        raise


def _tell_failure(error: BaseException, folder: RunFolder | None) -> None:
    if folder is not None:
        write_atomically(folder.traceback, "".join(traceback.format_exception(error)))
    where = f" (traceback: {folder.traceback})" if folder is not None else ""
    print(f"ERROR: {error or type(error).__name__}{where}", file=sys.stderr, flush=True)
