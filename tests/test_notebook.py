"""Do the notebooks run from top to bottom, with and without runs, and are they committed without outputs?"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from commands import run_tiny
from fake_runs import finished_run, predicted_run

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Install a kernel of this interpreter, whatever other kernels exist, that writes only to `tmp_path`."""
    spec = tmp_path / "jupyter" / "kernels" / "python3" / "kernel.json"
    spec.parent.mkdir(parents=True)
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec.write_text(json.dumps({"argv": argv, "display_name": "tests", "language": "python"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.delenv("MPLBACKEND", raising=False)
    return spec.parent.name


def outputs(kernel: str, folder: Path, name: str, *runs: Path) -> Iterator[list[nbformat.NotebookNode]]:
    """Run a notebook in `folder` for each folder of runs and yield the outputs of its cells.

    One kernel runs it each time, because starting one and importing torch takes longer than the cells. An
    error in a cell is raised here.
    """
    notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    resources = {"metadata": {"path": str(folder)}}
    client = NotebookClient(notebook, kernel_name=kernel, timeout=120, resources=resources)
    code = [(k, cell) for k, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    _, first = code[0]
    source = first.source
    with client.setup_kernel():
        for path in runs:
            first.source = f"import os\nos.environ['GFFPN_RUNS'] = {str(path)!r}\n{source}"
            for k, cell in code:
                client.execute_cell(cell, k)
            yield [output for _, cell in code for output in cell.outputs]


def printed(found: list[nbformat.NotebookNode]) -> str:
    assert not [output.text for output in found if output.get("name") == "stderr"]
    return "\n".join(output.get("text", "") or output.data.get("text/markdown", "") for output in found)


@pytest.mark.slow
def test_the_results_show_finished_runs_or_say_what_to_run(tmp_path: Path, kernel: str) -> None:
    runs = tmp_path / "runs"
    for seed in (0, 1):
        predicted_run(runs, "fpn", skill=0.3, seed=seed)
        predicted_run(runs, "gffpn", skill=0.9, seed=seed)
    finished_run(runs, "fpn", mAP50=0.7, data="neu_det", epochs=1)
    without, found = outputs(kernel, tmp_path, "results", tmp_path / "none", runs)
    text = printed(without)
    assert "none" in text
    assert "make demo" in text
    assert len(without) == 1
    text = printed([output for output in found if "image/png" not in output.get("data", {})])
    assert "fpn (2), gffpn (2)" in text
    assert "(SIMULATED data)" in text
    assert "gffpn is better than fpn by" in text
    assert text.count("mAP50 70.0 on 4 images") == 1
    assert len([output for output in found if "image/png" in output.get("data", {})]) > len(
        ("forest", "sizes")
    )


@pytest.mark.slow
def test_the_microscope_opens_a_run_or_an_untrained_network(
    tiny: list[str], tmp_path: Path, kernel: str
) -> None:
    words = [*tiny, "neck=gffpn", "trainer.max_epochs=1", "logger.pictures=0"]
    trained, runs = run_tiny(words).path.name, tmp_path / "runs"
    both = outputs(kernel, tmp_path, "neck_microscope", tmp_path / "none", runs)
    for said, found in zip(("UNTRAINED: neck=gffpn", trained), both, strict=True):
        text = printed([output for output in found if "image/png" not in output.get("data", {})])
        assert said in text
        assert "3 guided stages" in text
        assert all(f"| guided.{stride} " in text for stride in (8, 16, 32))
        # the image, its levels and its gradients; two figures for each stage
        assert len([output for output in found if "image/png" in output.get("data", {})]) == 3 + 2 * 3


@pytest.mark.parametrize("name", sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb")))
def test_they_are_committed_without_outputs(name: str) -> None:
    notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    nbformat.validate(notebook)
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not [cell.id for cell in code if cell.outputs or cell.execution_count is not None]
