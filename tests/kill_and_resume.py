"""Kill a sweep in its second run, restart it, and compare figures and weights with an uninterrupted sweep's.

Run: python tests/kill_and_resume.py FOLDER [MOMENT ...] [KEY=VALUE ...]

The runs are written below FOLDER; without a MOMENT, all of `MOMENTS` are tried. SIGKILL cannot be caught, so
the process ends between two instructions. Figures are bit-equal on a CPU, in fp32, with the same number of
threads.
"""

import hashlib
import os
import re
import runpy
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from commands import ROOT, Train, command, record_of, train_py, without_times
from gffpn.runs.folder import RunFolder

DEFAULTS = [
    "neck=fpn,panet,gffpn",
    "augment=mosaic",
    "image_size=160",
    "batch_size=8",
    "trainer.max_epochs=4",
    "trainer.accelerator=cpu",
    "trainer.precision=32-true",
    "loader.workers=2",
    "runs_at_a_time=1",  # "in its second run" is then a moment
    "logger.wandb=off",
]
SIMULATED = ["data.preset=demo", "data.train_images=48", "data.val_images=16", "data.test_images=16"]
CHECKPOINTS = ("best.ckpt", "last.ckpt")


def die(*_: object, **__: object) -> None:
    """End the process between two instructions; the system still writes the contents of its buffers."""
    os.kill(os.getpid(), signal.SIGKILL)


def in_the_first_epoch(second: Callable[[], bool]) -> None:
    """Die after two steps, before anything is saved."""
    from gffpn.callbacks.finite import FiniteLoss

    whole = FiniteLoss.on_train_batch_end

    def end(self: FiniteLoss, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if second() and batch_idx == 1:
            die()
        whole(self, trainer, pl_module, outputs, batch, batch_idx)

    FiniteLoss.on_train_batch_end = end


def while_a_checkpoint_is_written(second: Callable[[], bool]) -> None:
    """Die with half of the third epoch's last.ckpt on disk."""
    from gffpn.callbacks.checkpoints import WholeCheckpoints

    whole, write = WholeCheckpoints.save_checkpoint, Path.write_bytes

    def save(self: Any, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        def half(draft: Path, content: Any) -> int:
            write(draft, bytes(content)[: len(content) // 2])
            die()
            return 0

        if second() and Path(path).name == "last.ckpt" and checkpoint["epoch"] == 2:
            Path.write_bytes = half
        whole(self, checkpoint, path, storage_options)

    WholeCheckpoints.save_checkpoint = save


def between_the_checkpoints(second: Callable[[], bool]) -> None:
    """Die when the third epoch's best.ckpt, if it is one, is written, and its last.ckpt is not."""
    from gffpn.callbacks.checkpoints import WholeCheckpoints

    whole = WholeCheckpoints.save_checkpoint

    def save(self: Any, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        if second() and Path(path).name == "last.ckpt" and checkpoint["epoch"] == 2:
            die()
        whole(self, checkpoint, path, storage_options)

    WholeCheckpoints.save_checkpoint = save


def during_validation(second: Callable[[], bool]) -> None:
    """Die in the second epoch, after one validation batch."""
    from gffpn.callbacks.pictures import Pictures

    whole = Pictures.on_validation_batch_end

    def end(self: Pictures, trainer: Any, *rest: Any, **named: Any) -> None:
        if second() and trainer.current_epoch == 1:
            die()
        whole(self, trainer, *rest, **named)

    Pictures.on_validation_batch_end = end


def during_the_test(second: Callable[[], bool]) -> None:
    """Die after the last epoch and one test batch."""
    from gffpn.callbacks.pictures import Pictures

    whole = Pictures.on_test_batch_end

    def end(self: Pictures, *rest: Any, **named: Any) -> None:
        if second():
            die()
        whole(self, *rest, **named)

    Pictures.on_test_batch_end = end


def while_predictions_are_written(second: Callable[[], bool]) -> None:
    """Die when the predictions are written but not yet in place."""
    _before_renaming("predictions.npz", second)


def while_metrics_are_written(second: Callable[[], bool]) -> None:
    """Die when only the last rename, of metrics.json, is missing."""
    _before_renaming("metrics.json", second)


def _before_renaming(name: str, second: Callable[[], bool]) -> None:
    whole = Path.replace

    def replace(self: Path, target: Any) -> Path:
        if second() and Path(target).name == name:
            die()
        return whole(self, target)

    Path.replace = replace


MOMENTS = (
    in_the_first_epoch,
    while_a_checkpoint_is_written,
    between_the_checkpoints,
    during_validation,
    during_the_test,
    while_predictions_are_written,
    while_metrics_are_written,
)


def train_and_die(moment: str) -> None:
    """Run train.py in this process, which dies at the given moment of its second run."""
    from gffpn.suite import execution

    whole, begun = execution.fit_and_test, []

    def counted(*values: Any, **named: Any) -> dict[str, Any]:
        begun.append(1)
        return whole(*values, **named)

    execution.fit_and_test = counted
    arrange = {function.__name__: function for function in MOMENTS}[moment]
    arrange(lambda: len(begun) == 2)
    sys.argv[0] = str(ROOT / "train.py")
    runpy.run_path(sys.argv[0], run_name="__main__")


def sweep(runs: Path, overrides: list[str], moment: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run a sweep that writes to `runs`; with a `moment`, the sweep is killed at that moment."""
    program = ["train.py"] if moment is None else [__file__, "--die", moment]
    return command(*program, "-m", *overrides, f"paths.runs={runs}", "name=killed")


def figures(runs: Path) -> dict[str, dict[str, Any]]:
    """Return each finished run's columns without times, and digests of its predictions and weights."""
    found = {}
    for path in sorted(runs.glob("*/metrics.json")):
        folder = RunFolder(path.parent)
        metrics = without_times(record_of(folder))
        metrics["predictions"] = predictions_digest(folder.predictions)
        weights = {name: weights_digest(path.parent / "checkpoints" / name) for name in CHECKPOINTS}
        found[path.parent.name] = {**metrics, **weights}
    return found


def predictions_digest(path: Path) -> str:
    """Return a digest of every array of predictions.npz."""
    digest = hashlib.sha256()
    with np.load(path) as arrays:
        for name in sorted(arrays):
            digest.update(name.encode() + arrays[name].tobytes())
    return digest.hexdigest()


def weights_digest(checkpoint: Path) -> str:
    """Return a digest of every bit of the averaged and the raw weights."""
    import torch

    content = torch.load(checkpoint, weights_only=True)
    digest = hashlib.sha256()
    for part in ("state_dict", "current_model_state"):
        for name, value in content[part].items():
            digest.update(name.encode() + value.numpy().tobytes())
    return digest.hexdigest()


def try_moment(
    folder: Path, moment: str, overrides: list[str], expected: dict[str, Any], train: Train = train_py
) -> str:
    """Kill a sweep, restart it with `train` and return a report of one line.

    Raises AssertionError if anything is lost.
    """
    runs = folder / moment
    killed = sweep(runs, overrides, moment)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    finished = figures(runs)
    assert len(finished) == 1, "expected the first run to be finished and the second not"
    code, again = train("-m", *overrides, f"paths.runs={runs}", "name=killed")
    assert code == 0, again
    skipped = again.count("Already finished, skipped")
    resumed = again.count("Resuming: ")
    second = re.split(r"^(?:Already finished, skipped|Running|Resuming): ", again, flags=re.MULTILINE)[2]
    trained = re.search(r"^epoch (\d+)/", second, re.MULTILINE)
    begins = f"continues with epoch {trained[1]}" if trained else "has no epoch left to train"
    assert skipped == 1
    assert resumed == (moment != "in_the_first_epoch"), "a run resumes only after a finished epoch"
    assert figures(runs) == expected
    return f"{moment}: SIGKILL; restart: first run skipped, second {begins}; all bit-equal"


def main(arguments: list[str]) -> None:
    """Print the outcome for each moment; raise AssertionError at the first one that loses something."""
    folder, *rest = arguments
    moments = [word for word in rest if "=" not in word] or [moment.__name__ for moment in MOMENTS]
    changed = {word.split("=")[0] for word in rest if "=" in word}
    preset = DEFAULTS if "data" in changed else [*DEFAULTS, *SIMULATED]
    overrides = [word for word in preset if word.split("=")[0] not in changed]
    overrides += [word for word in rest if "=" in word] + [f"paths.cache={folder}/cache"]
    whole = sweep(Path(folder) / "uninterrupted", overrides)
    assert whole.returncode == 0, whole.stderr
    expected = figures(Path(folder) / "uninterrupted")
    for run in expected.values():
        print(f"uninterrupted {run['neck']}: test mAP50 {run['test/mAP50']!r}", flush=True)
    for moment in moments:
        print(try_moment(Path(folder), moment, overrides, expected), flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--die"]:
        moment = sys.argv[2]
        del sys.argv[1:3]
        train_and_die(moment)
    else:
        main(sys.argv[1:])
