"""The W&B run that shows the answer of a sweep: its tables, the forest plot, and the page of the report."""

import io
import math
from pathlib import Path
from typing import Any

import wandb
from omegaconf import DictConfig
from PIL import Image

from gffpn.report.answer import arm_cells, contrast_cells, verdict_words
from gffpn.report.claims import claims
from gffpn.report.collect import Source
from gffpn.report.facts import Facts
from gffpn.report.figures.canvas import Drawing
from gffpn.report.figures.forest import forest
from gffpn.report.gaps import study_facts
from gffpn.report.page.document import page
from gffpn.stats.study import Study
from gffpn.suite import tracking
from gffpn.suite.tracker import warn


def log_summary(settings: DictConfig, folder: Path, source: Source, answer: Study) -> None:
    """Log the answer of a sweep as one W&B run of job type `report` in the sweep's group.

    A repeated sweep logs to the same W&B run. If W&B fails, nothing is lost: `gffpn report` shows the same.
    """
    run = tracking.report_run(settings, folder)
    if run is None:
        return
    try:
        run.log(_contents(source, answer))
        run.summary.update(_verdicts(answer))
    except Exception as error:
        warn(f"W&B has no report of this sweep ({error})")
    finally:
        tracking.finish()


def _contents(source: Source, answer: Study) -> dict[str, Any]:
    facts = Facts((study_facts(answer, source),), tuple(claims([answer])))
    drawn = forest(answer)
    return {
        "arms": _table(*arm_cells(answer)),
        "contrasts": _table(*contrast_cells(answer)),
        "report": wandb.Html(page([answer], facts=facts, pictures=False), inject=False),
        **({"forest": _image(drawn)} if drawn else {}),
    }


def _table(headers: list[str], body: list[list[str]]) -> wandb.Table:
    return wandb.Table(columns=[*headers], data=body)


def _image(drawing: Drawing) -> wandb.Image:
    buffer = io.BytesIO()
    drawing.figure.savefig(buffer, format="png", dpi=150, facecolor="white")
    buffer.seek(0)
    return wandb.Image(Image.open(buffer), caption=drawing.title)


def _verdicts(answer: Study) -> dict[str, Any]:
    """Return verdict, difference and adjusted p value of each contrast, for the table of W&B's runs."""
    found: dict[str, Any] = {"finished": sum(len(arm.finished) for arm in answer.arms)}
    for one in answer.contrasts:
        found[f"verdict/{one.name}"] = verdict_words(one)
        if one.estimate and one.verdict and math.isfinite(one.verdict.p):
            found[f"difference/{one.name}"] = one.estimate.delta
            found[f"p/{one.name}"] = one.verdict.p
    return found
