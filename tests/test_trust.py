"""Do two rows differ only in what was varied, and does each row belong to the data and code that it names?"""

import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from commands import Train
from gffpn.runs.folder import RunFolder


def reexported(root: Path, copy: Path) -> Path:
    """Copy a data set with slightly other pixels but the same names, sizes, boxes and times."""
    shutil.copytree(root, copy)
    for path in (copy / "images").iterdir():
        pixels = np.asarray(Image.open(path)).astype(np.int64)
        Image.fromarray((pixels * 9 // 10).astype(np.uint8)).save(path)
        shutil.copystat(root / "images" / path.name, path)
    return copy


def test_equal_names_and_other_pixels_are_another_run(
    train: Train, tiny: list[str], squares: Path, tmp_path: Path
) -> None:
    other, same = reexported(squares, tmp_path / "other"), tmp_path / "same"
    shutil.copytree(squares, same)
    kept = [word for word in tiny if not word.startswith(("data.root", "trainer.max_epochs"))]
    code, output = train("-m", *kept, f"data.root={squares},{other},{same}", "trainer.max_epochs=1")
    assert code == 0, output
    runs = sorted((tmp_path / "runs").glob("*/metrics.json"))
    assert len(runs) == 2
    assert output.count("Already finished, skipped") == 1
    first, second = (RunFolder(path.parent).read_metrics() or {} for path in runs)
    assert first["data_fingerprint"] != second["data_fingerprint"]
