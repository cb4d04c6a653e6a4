"""Validity test 8: the same seed gives the same annotations, and pixels within one grey level, elsewhere too.

Two witnesses. Recorded scenes in tests/golden (`make golden` rewrites them) are compared wherever the tests
run. On this machine, another process draws the same scenes as an older processor would: without numpy's
vector units, with the kernels that OpenBLAS has for a processor of 2008, and with the C library's plain
mathematics. That another make of processor or operating system gives the same is not shown by it.
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
"""Scenes of each preset."""
RECORD_SIDE, REFERENCE_SIDE = 160, 64
"""Pixels."""

Annotations = list[list[Any]]
"""Of one scene: class name and box, a defect a row."""


def annotations(picture: Picture) -> Annotations:
    """What is true of a scene."""
    return [[CLASS_NAMES[t.label], list(t.box)] for t in picture.truths]


def recorded_now() -> dict[str, list[Annotations]]:
    """The scenes of the record, as the code draws them now."""
    size = (RECORD_SIDE, RECORD_SIDE)
    return {
        name: [annotations(render(i, "test", preset(name), size, SEED)) for i in range(RECORDED)]
        for name in PRESETS
    }


def reference_now() -> Pixels:
    """One scene a product, side by side, as the code draws them now."""
    size = (REFERENCE_SIDE, REFERENCE_SIDE)
    return np.concatenate(
        [render(0, "test", preset("default"), size, SEED, product=name).pixels for name in PRODUCTS], axis=1
    )


def record() -> None:
    """Rewrite the record and the reference picture; other scenes under the same version are refused."""
    scenes = recorded_now()
    if known() != scenes and recorded_version() == VERSION:
        raise SystemExit("the simulator draws other scenes: raise tinyindus.VERSION, then record them")
    rows = {
        name: "[\n    " + ",\n    ".join(json.dumps(scene) for scene in scenes) + "\n  ]"
        for name, scenes in scenes.items()
    }
    lines = [f'"version": "{VERSION}"', *(f'"{name}": {row}' for name, row in rows.items())]
    RECORD.write_text("{\n  " + ",\n  ".join(lines) + "\n}\n")
    Image.fromarray(reference_now()).save(REFERENCE)


def known() -> dict[str, list[Annotations]]:
    """The recorded annotations, by preset."""
    return {name: scenes for name, scenes in json.loads(RECORD.read_text()).items() if name in PRESETS}


def recorded_version() -> str:
    """The version of the simulator that drew the record."""
    return str(json.loads(RECORD.read_text())["version"])


def reference() -> Pixels:
    """The recorded pixels."""
    with Image.open(REFERENCE) as image:
        return np.asarray(image.convert("RGB"))


def worst(one: Pixels, other: Pixels) -> int:
    """Largest difference of two pictures, grey levels."""
    return int(np.abs(one.astype(np.int64) - other).max())


def _draw(folder: Path, scenes: int, side: int) -> None:
    pixels, facts = [], []
    for i in range(scenes):
        picture = render(i, "test", preset("default"), (side, side), SEED)
        pixels.append(picture.pixels)
        facts.append(annotations(picture))
    np.save(folder / "pixels.npy", np.stack(pixels))
    (folder / "annotations.json").write_text(json.dumps(facts))


def plain_machine() -> dict[str, str]:
    """Environment that takes this machine's newer instructions away from numpy, BLAS and the C library."""
    found = np.show_config(mode="dicts")["SIMD Extensions"]["found"]
    environment = {"NPY_DISABLE_CPU_FEATURES": " ".join(found), "OMP_NUM_THREADS": "1"}
    if platform.machine() in ("x86_64", "AMD64"):
        environment["OPENBLAS_CORETYPE"] = "Nehalem"
        environment["GLIBC_TUNABLES"] = "glibc.cpu.hwcaps=-AVX2,-FMA,-AVX512F,-AVX"
    return environment


def elsewhere(scenes: int, side: int, environment: dict[str, str]) -> tuple[Pixels, list[Annotations]]:
    """Pixels (N, S, S, 3) and annotations of the first test scenes, drawn by a process of its own."""
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
    """All of test 8."""
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
