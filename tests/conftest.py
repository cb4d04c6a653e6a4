"""Settings and fixtures of all tests: few threads, no network, a detection data set of a few kilobytes."""

import copy
import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# one thread, because tensors are small and other tests run at the same time; set before torch is imported
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["WANDB_MODE"] = "offline"

import numpy as np
import pytest
from omegaconf import OmegaConf
from PIL import Image

from commands import SIDE, Train, own_logging, tiny_overrides


def pytest_configure() -> None:
    """Import the test files with the garbage collector off; importing creates no garbage."""
    gc.disable()
    for name in ("WANDB_PROJECT", "WANDB_ENTITY", "WANDB_RUN_ID", "WANDB_SWEEP_ID"):
        os.environ.pop(name, None)


def pytest_collection_finish() -> None:
    """Exclude what the imports created from garbage collection, because each run ends with a full one."""
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)  # exporting and composing create many objects, and little garbage
    gc.enable()


def pytest_unconfigure() -> None:
    """Let extension modules clean up at exit; some report leaks otherwise."""
    gc.unfreeze()


@pytest.fixture(scope="session", autouse=True)
def parse_yaml_once() -> Iterator[None]:
    """Parse equal texts of configuration files only once; composing then takes a quarter less time."""
    parse, parsed = OmegaConf.load, dict[str, Any]()

    def load(file: Any) -> Any:
        if not hasattr(file, "read"):
            return parse(file)
        text = file.read()
        if text not in parsed:
            file.seek(0)
            parsed[text] = parse(file)
        return copy.deepcopy(parsed[text])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OmegaConf, "load", load)
        yield


COUNTS = {"train": 8, "val": 4, "test": 4}


@pytest.fixture(scope="session")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a YOLO data set of 64 x 64 pixel images, dark and bright squares on grey, with split lists."""
    root = tmp_path_factory.mktemp("squares")
    for folder in ("images", "labels", "splits"):
        (root / folder).mkdir()
    generator = np.random.default_rng(0)
    number = 0
    for split, count in COUNTS.items():
        stems = [f"{split}{k}" for k in range(count)]
        (root / "splits" / f"{split}.txt").write_text("\n".join(stems) + "\n")
        for stem in stems:
            pixels = generator.normal(128, 4, (SIDE, SIDE, 3))
            side, label = 12 + 4 * (number % 3), number % 2
            left, top = generator.integers(0, SIDE - side, 2)
            pixels[top : top + side, left : left + side] = (20, 230)[label]
            Image.fromarray(pixels.astype(np.uint8)).save(root / "images" / f"{stem}.png")
            middle = ((left + side / 2) / SIDE, (top + side / 2) / SIDE)
            line = f"{label} {middle[0]} {middle[1]} {side / SIDE} {side / SIDE}"
            (root / "labels" / f"{stem}.txt").write_text(line + "\n")
            number += 1
    return root


@pytest.fixture
def tiny(squares: Path, tmp_path: Path) -> list[str]:
    """Return overrides for a run that takes seconds and writes below the test's `tmp_path`."""
    return tiny_overrides(squares, tmp_path)


@pytest.fixture
def uneven(tiny: list[str], squares: Path, tmp_path: Path) -> list[str]:
    """Return overrides for a sweep whose val and test images two processes cannot divide evenly."""
    (tmp_path / "splits").mkdir()
    for split, count in {"train": 8, "val": 3, "test": 3}.items():
        stems = "".join(f"{split}{k}\n" for k in range(count))
        (tmp_path / "splits" / f"{split}.txt").write_text(stems)
    kept = [o for o in tiny if not o.startswith(("paths.runs", "data.splits"))]
    engine = ["trainer.accelerator=cpu", "trainer.precision=32-true", "trainer.threads=1"]
    return [*kept, *engine, f"data.splits={tmp_path}/splits"]


@pytest.fixture
def train(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Train:
    """Return a function that runs `python train.py WORDS...` in this process.

    That function returns the exit code and the printed output.
    """
    return trainer(monkeypatch, capsys)


@pytest.fixture
def train_with_others(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture) -> Train:
    """Return a function like that of `train`, whose output includes that of the processes it starts."""
    return trainer(monkeypatch, capfd)


def trainer(monkeypatch: pytest.MonkeyPatch, capture: pytest.CaptureFixture) -> Train:
    # imported here, because torch takes seconds and some tests do not need it
    from gffpn.config.overrides import start
    from gffpn.suite.train import main

    def answer(*words: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["train.py", *words])
        code = 0
        try:
            with own_logging():
                start(main)
        except SystemExit as leaving:
            code = int(leaving.code or 0)
        printed = capture.readouterr()
        return code, printed.out + printed.err

    return answer
