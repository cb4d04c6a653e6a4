"""Validity test 8: on other machines, too, a seed gives equal annotations, and pixels within one grey level.

There are two checks. Wherever the tests run, scenes are compared with those recorded in tests/golden (`make
golden` rewrites them). On this machine, another process draws the same scenes as an older processor would:
without numpy's vector instructions, with OpenBLAS's kernels for a processor of 2008, and with the C library's
plain mathematics. This second check does not show that another make of processor or another operating system
gives the same result.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tinyindus import VERSION
from tinyindus.classes import CLASS_NAMES, PRODUCTS
from tinyindus.dials import PRESETS, preset
from tinyindus.scene import Picture, render
from validity.crops import Pixels
from validity.finding import Finding
from validity.scenes import SEED

RECORD = Path(__file__).parents[1] / "golden" / "simulator.json"
REFERENCE = RECORD.with_suffix(".png")
RECORDED = 8
"""Number of recorded scenes per preset."""
RECORD_SIDE, REFERENCE_SIDE = 160, 64
"""Image sizes of the record and of the reference picture, pixels."""

Annotations = list[list[Any]]
"""Class name and box of the defects of one scene, one row per defect."""


def annotations(picture: Picture) -> Annotations:
    """Return the annotations of a scene."""
    return [[CLASS_NAMES[t.label], list(t.box)] for t in picture.truths]


def recorded_now() -> dict[str, list[Annotations]]:
    """Return the annotations of the recorded scenes, by preset, as the present code draws them."""
    size = (RECORD_SIDE, RECORD_SIDE)
    return {
        name: [annotations(render(i, "test", preset(name), size, SEED)) for i in range(RECORDED)]
        for name in PRESETS
    }


def reference_now() -> Pixels:
    """Return one scene per product, side by side, as the present code draws them."""
    size = (REFERENCE_SIDE, REFERENCE_SIDE)
    return np.concatenate(
        [render(0, "test", preset("paper"), size, SEED, product=name).pixels for name in PRODUCTS], axis=1
    )


def record() -> None:
    """Rewrite the record and the reference picture.

    Raises SystemExit if the scenes have changed, but the version has not.
    """
    scenes = recorded_now()
    if known() != scenes and recorded_version() == VERSION:
        raise SystemExit("the simulator's scenes have changed: raise tinyindus.VERSION, then record them")
    rows = {
        name: "[\n    " + ",\n    ".join(json.dumps(scene) for scene in scenes) + "\n  ]"
        for name, scenes in scenes.items()
    }
    lines = [f'"version": "{VERSION}"', *(f'"{name}": {row}' for name, row in rows.items())]
    RECORD.write_text("{\n  " + ",\n  ".join(lines) + "\n}\n")
    Image.fromarray(reference_now()).save(REFERENCE)


def known() -> dict[str, list[Annotations]]:
    """Return the recorded annotations, by preset."""
    return {name: scenes for name, scenes in json.loads(RECORD.read_text()).items() if name in PRESETS}


def recorded_version() -> str:
    """Return the version of the simulator that drew the recorded scenes."""
    return str(json.loads(RECORD.read_text())["version"])


def reference() -> Pixels:
    """Return the recorded pixels."""
    with Image.open(REFERENCE) as image:
        return np.asarray(image.convert("RGB"))


def worst(one: Pixels, other: Pixels) -> int:
    """Return the largest difference between two pictures, grey levels."""
    return int(np.abs(one.astype(np.int64) - other).max())


def _draw(folder: Path, scenes: int, side: int) -> None:
    pixels, facts = [], []
    for i in range(scenes):
        picture = render(i, "test", preset("paper"), (side, side), SEED)
        pixels.append(picture.pixels)
        facts.append(annotations(picture))
    np.save(folder / "pixels.npy", np.stack(pixels))
    (folder / "annotations.json").write_text(json.dumps(facts))


def plain_machine() -> dict[str, str]:
    """Return an environment that hides newer instructions from numpy, BLAS and the C library."""
    found = np.show_config(mode="dicts")["SIMD Extensions"]["found"]
    environment = {"NPY_DISABLE_CPU_FEATURES": " ".join(found), "OMP_NUM_THREADS": "1"}
    if platform.machine() in ("x86_64", "AMD64"):
        environment["OPENBLAS_CORETYPE"] = "Nehalem"
        environment["GLIBC_TUNABLES"] = "glibc.cpu.hwcaps=-AVX2,-FMA,-AVX512F,-AVX"
    return environment


def elsewhere(scenes: int, side: int, environment: dict[str, str]) -> tuple[Pixels, list[Annotations]]:
    """Draw the first test scenes in a separate process; return pixels (N, S, S, 3) and annotations."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.pathsep.join(p for p in [str(RECORD.parents[1]), *sys.path] if p)
        subprocess.run(
            [sys.executable, "-m", "validity.repeat", folder, str(scenes), str(side)],
            check=True,
            env={**os.environ, **environment, "PYTHONPATH": path},
        )
        facts = json.loads((Path(folder) / "annotations.json").read_text())
        return np.load(Path(folder) / "pixels.npy"), facts


def measure(*, scenes: int = 300, side: int = 320) -> list[Finding]:
    """Run test 8."""
    record = known()
    off = sum(a != b for name, now in recorded_now().items() for a, b in zip(now, record[name], strict=True))
    farthest = worst(reference(), reference_now())
    here, there = elsewhere(scenes, side, {}), elsewhere(scenes, side, plain_machine())
    unlike = sum(a != b for a, b in zip(here[1], there[1], strict=True))
    share = float((here[0] != there[0]).mean())
    n = f"{scenes} scenes at {side} px"
    return [
        Finding(
            "recorded scenes with other annotations", off, f"{RECORDED * len(PRESETS)} scenes", at_most=0
        ),
        Finding(
            "largest difference from the recorded pixels", farthest, f"{len(PRODUCTS)} scenes", at_most=1
        ),
        Finding("scenes with other annotations on plain instructions", unlike, n, at_most=0),
        Finding(
            "largest difference of a pixel on plain instructions", worst(here[0], there[0]), n, at_most=1
        ),
        Finding("share of pixels that differ at all", share, n),
    ]


if __name__ == "__main__":
    if sys.argv[1:] == ["record"]:
        record()
    else:
        _draw(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
