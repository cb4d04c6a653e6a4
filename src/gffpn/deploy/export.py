"""Export of a run to an ONNX file, and a record of how that file compares with the trained detector."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from gffpn.choice import choose
from gffpn.data.letterbox import GREY
from gffpn.deploy.finished import FinishedRun, finished_run
from gffpn.deploy.onnx_check import SPLITS, check
from gffpn.deploy.onnx_file import Deployed, require_all, session, write_onnx
from gffpn.deploy.page import markdown
from gffpn.files.writing import check_file, write_atomically
from gffpn.runs.provenance import provenance


def export(
    folder: Path,
    out: Path | None,
    overrides: Sequence[str],
    *,
    split: str,
    limit: int | None,
    allowed: Sequence[str] = (),
) -> tuple[Path, str]:
    """Write `out` (None: best.onnx in the run's folder), with best.onnx.json and best.onnx.md beside it.

    Returns the path of the ONNX file and the text of the .md file. The file is checked on `limit` images
    drawn from the split: None means all, and with 0 the data need not exist. Raises ValueError with a
    one-line message if the run is not finished, or if a library or the data is missing.
    """
    if limit is not None and limit < 0:
        raise ValueError(f"--limit: got {limit}, expected 0 or more")
    choose("--split", split, SPLITS)
    require_all()
    run = finished_run(folder, overrides, allowed=allowed)
    path = out or folder / "best.onnx"
    if path.suffix != ".onnx":
        raise ValueError(f"--out: got {path}, expected a file name that ends in .onnx")
    check_file(path, setting="--out")
    if run.config.trainer.threads is not None:
        torch.set_num_threads(run.config.trainer.threads)
    data = run.data() if limit != 0 else None  # first, so that missing data is reported at once
    trained = run.detector()
    deployed = Deployed(*trained, run.image_size).eval()
    about = facts(run, deployed)
    write_onnx(deployed, path, {key: _word(value) for key, value in about.items()})
    record = {"file": path.name, "bytes": path.stat().st_size, "about": about}
    if data is not None:
        runtime = session(path, threads=torch.get_num_threads())
        record["check"] = check(run, data, trained, deployed, runtime, split=split, limit=limit)
    page = markdown(record)
    # with the whole name, because metrics.json beside metrics.onnx would be the run's own
    write_atomically(path.with_name(f"{path.name}.json"), json.dumps(record, indent=1) + "\n")
    write_atomically(path.with_name(f"{path.name}.md"), page)
    return path, page


def facts(run: FinishedRun, deployed: Deployed) -> dict[str, Any]:
    """Return the file's metadata: what its users must know, and where it comes from."""
    decode, origin, record = deployed.decode, provenance(), run.record
    return {
        "run": run.folder.path.resolve().name,
        "classes": run.classes,
        "image_size": list(run.image_size),
        "input": "uint8 RGB, N x 3 x height x width, resized to whole pixels, aspect ratio kept, at the "
        f"top left, padded with {GREY} to the right and below",
        "boxes": "x1, y1, x2, y2 in pixels of the input; for pixels of the original image, multiply x by its "
        "width / the resized width and y by its height / the resized height",
        "score_threshold": decode.score_threshold,
        "operating_threshold": record.operating_point.threshold if record.operating_point else None,
        "iou_threshold": decode.iou_threshold,
        "max_candidates": decode.max_candidates,
        "max_detections": decode.max_detections,
        "multi_label": decode.multi_label,
        "backbone": record.choice.backbone,
        "neck": record.choice.neck,
        "head": record.choice.head,
        "size": record.size,
        "seed": record.seed,
        "data_fingerprint": record.data.fingerprint,
        "trained_by_commit": record.provenance.commit,
        "exported_by_commit": origin.commit,
        "torch": torch.__version__,
    }


def _word(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
