"""`gffpn data` runs without torch, whose import takes longer than reading a small data set."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

PROGRAM = """
import sys
from gffpn.__main__ import main
main(sys.argv[1:])
assert "torch" not in sys.modules, "torch was imported"
"""


@pytest.fixture
def yolo_set(tmp_path: Path) -> Path:
    """Return the folder of a data set of twenty images with one box each."""
    root = tmp_path / "set"
    for folder in ("images", "labels"):
        (root / folder).mkdir(parents=True)
    for i in range(20):
        Image.new("RGB", (40, 30), (12 * i, 99, 0)).save(root / f"images/{i}.png")
        (root / f"labels/{i}.txt").write_text("0 0.5 0.5 0.4 0.4\n")
    return root


@pytest.mark.parametrize("verb", ["check", "card"])
def test_the_data_verbs_do_not_import_torch(yolo_set: Path, tmp_path: Path, verb: str) -> None:
    words = ["data", verb, "data=yolo", f"data.root={yolo_set}", "data.classes=[a]"]
    cache = f"paths.cache={tmp_path / 'cache'}"
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words, cache], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert "20" in ended.stdout
