"""Speed of one detector in every form that the device supports: the fastest, and the time of decoding."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gffpn.benchmark.forms import ONNX, FormTurn, forms
from gffpn.benchmark.plan import Options, Subject, changes_word, network_changes, setting_of, subject
from gffpn.benchmark.report import Columns, number, table
from gffpn.build.detector import build_loss_and_decode
from gffpn.config.compose import compose_config
from gffpn.data.index import DataError
from gffpn.deploy.finished import FinishedRun, finished_run
from gffpn.deploy.onnx_file import ExtraMissingError, require_all
from gffpn.files.tables import write_csv
from gffpn.files.writing import write_atomically
from gffpn.machine.timing import take_rounds
from gffpn.runs.provenance import provenance

NOISE = "noise"
BATCH = 16
"""Default number of images in the larger batch."""
COLUMNS: Columns = {
    "form": lambda row: row["form"] + (f" (failed: {row['fault']})" if row["fault"] else ""),
    "forward ms": lambda row: number("forward_ms", 2, row),
    "end to end ms": lambda row: number("end_to_end_ms", 2, row),
    "times as fast": lambda row: number("times_as_fast", 2, row),
    "decoding ms": lambda row: number("decoding_ms", 2, row),
    "its share %": lambda row: number("decoding_share", 1, row, over=0.01),
    "batch images/s": lambda row: number("batch_images_s", 1, row),
    "end to end images/s": lambda row: number("batch_end_to_end_images_s", 1, row),
}


@dataclass(frozen=True)
class Contestant:
    """A detector, its setting and the origin of its weights, which determine how many boxes reach the NMS."""

    neck: str
    subject: Subject
    weights: str
    images: str
    """The images on which it is timed; they, too, determine how many boxes reach the NMS."""
    changes: tuple[str, ...] = ()
    """What the names of its parts do not say: overrides, or the folder's name of its run."""

    @property
    def words(self) -> str:
        """The detector in words."""
        s = self.subject.setting
        return f"{self.neck} {s.backbone}-{s.size} {s.head}"


def contestant(
    overrides: Sequence[str], options: Options, *, run: Path | None, allowed: Sequence[str] = ()
) -> Contestant:
    """Return the untrained detector that the overrides choose, as for train.py, or that of a finished run.

    Raises ValueError for an invalid override and for an unfinished run.
    """
    if run is None:
        neck = compose_config(overrides).choice.neck
        rest = [word for word in overrides if not word.startswith("neck=")]
        changes = tuple(network_changes(rest))
        return Contestant(neck, subject(neck, rest, options), "the initial ones, not trained", NOISE, changes)
    finished = finished_run(run, overrides, allowed=allowed)
    detector, decode = finished.detector()
    images = _test_images(finished)
    setting = replace(
        setting_of(finished.resolved, finished.image_size, options), classes=len(finished.classes)
    )
    return Contestant(
        finished.config.choice.neck,
        Subject(
            setting=setting,
            detector=detector,
            loss=build_loss_and_decode(finished.config, detector.head)[0],
            decode=decode,
            images=images,
        ),
        f"those of {finished.folder.path.resolve().name}",
        NOISE if images is None else f"{len(images)} of the run's test split",
        (finished.folder.path.resolve().name,),
    )


def _test_images(run: FinishedRun) -> Tensor | None:
    """Return a sample of the run's test images, or None, with a printed line, if they are not there."""
    try:
        data = run.data()
        data.setup("test")
        return data.sample("test")
    except (DataError, OSError) as error:
        print(f"Timed on noise, because the run's data cannot be read: {error}", flush=True)
        return None


def speed(asked: Contestant, options: Options, *, compiled: bool) -> tuple[str, Path]:
    """Time every form and write a Markdown and a CSV file; return the page and the Markdown file's path."""
    setting = asked.subject.setting
    kinds = forms(setting.device, compiled=compiled, onnx=_has_onnx())
    turns = [FormTurn(form, asked.subject) for form in kinds]
    take_rounds(turns, rounds=options.rounds, seconds=options.seconds, title="Speed")
    rows = rows_of(turns)
    page = markdown(rows, asked)
    return page, _write(rows, page, asked, options.out)


def rows_of(turns: Sequence[FormTurn]) -> list[dict[str, Any]]:
    """Return medians per form; None if a form failed, and for the separate stages of ONNX Runtime."""
    base = _median(turns[0].times["end_to_end"])
    rows = []
    for turn in turns:
        ms = {what: _median(turn.times[what]) for what in ("forward", "end_to_end")}
        batch = {what: _median(turn.times[f"batch_{what}"]) for what in ("forward", "end_to_end")}
        whole = ms["end_to_end"]
        if turn.form.engine == ONNX:
            ms["forward"] = batch["forward"] = None
        decoding = None if whole is None or ms["forward"] is None else whole - ms["forward"]
        images = turn.subject.setting.batch
        rows.append(
            {
                "form": turn.form.name,
                "fault": turn.fault,
                "forward_ms": ms["forward"],
                "end_to_end_ms": whole,
                "times_as_fast": None if base is None or whole is None else base / whole,
                "decoding_ms": decoding,
                "decoding_share": None if decoding is None or whole is None else decoding / whole,
                "batch": images,
                "batch_images_s": _per_second(images, batch["forward"]),
                "batch_end_to_end_images_s": _per_second(images, batch["end_to_end"]),
                "rounds": len(turn.times["end_to_end"]),
            }
        )
    return rows


def markdown(rows: Sequence[dict[str, Any]], asked: Contestant) -> str:
    """Return the page: heading, table, verdict and explanation."""
    s, origin = asked.subject.setting, provenance()
    whole = [row for row in rows if row["end_to_end_ms"] is not None]
    best = min(whole, key=lambda row: row["end_to_end_ms"], default=None)
    most = max(whole, key=lambda row: row["batch_end_to_end_images_s"], default=None)
    verdict = (
        f"Fastest at batch 1: **{best['form']}**, {best['end_to_end_ms']:.2f} ms. Most images per second at "
        f"batch {s.batch}: **{most['form']}**, {most['batch_end_to_end_images_s']:.1f}."
        if best and most
        else "No form could be timed."
    )
    return "\n\n".join(
        [
            f"# Speed of {', '.join([asked.words, *asked.changes])}: {s.device_name}, "
            f"{s.threads} CPU threads, {s.image_size_word} px",
            table(rows, COLUMNS),
            verdict,
            f"Medians of {min((row['rounds'] for row in whole), default=0)} rounds, with one turn per form "
            "in each. Times are from uint8 images on the device to raw predictions (forward) or detections "
            f"(end to end), at batch 1 except for the last two columns, which are at batch {s.batch}. "
            f"Weights: {asked.weights}. Images: {asked.images}. "
            f"torch {torch.__version__}, commit {origin.commit or 'unknown'}"
            f"{' with uncommitted changes' if origin.dirty else ''}.",
        ]
    )


def _write(rows: Sequence[dict[str, Any]], page: str, asked: Contestant, out: Path) -> Path:
    s = asked.subject.setting
    device = re.sub(r"[^A-Za-z0-9]+", "-", s.device_name).strip("-")
    words = [*asked.words.split(), s.image_size_word]
    words += [changes_word(asked.changes)] if asked.changes else []
    stem = f"speed_{device}_{s.threads}t_{'_'.join(words)}"
    write_csv(out / f"{stem}.csv", rows)
    write_atomically(out / f"{stem}.md", page + "\n")
    return out / f"{stem}.md"


def _has_onnx() -> bool:
    try:
        require_all()
    except ExtraMissingError as error:
        print(f"ONNX Runtime is not timed: {error}", flush=True)
        return False
    return True


def _median(times: Sequence[float]) -> float | None:
    return float(np.median(times)) if times else None


def _per_second(images: int, milliseconds: float | None) -> float | None:
    return None if milliseconds is None else 1e3 * images / milliseconds
