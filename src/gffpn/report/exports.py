"""A report as data: arms, contrasts and runs as rows for CSV files, shares from 0 to 1."""

import statistics
from collections.abc import Iterator, Sequence
from typing import Any

from gffpn.files.tables import plain
from gffpn.report.answer import needed_images
from gffpn.report.facts import StudyFacts
from gffpn.stats.runs import Arm
from gffpn.stats.study import Contrast, Study

Rows = list[dict[str, Any]]


def arm_rows(studies: Sequence[Study]) -> Rows:
    """Return a row per arm: mean, standard deviation and number of each figure on test, and its costs."""
    return [{"study": study.name, **_arm_row(arm)} for study in studies for arm in study.arms]


def _arm_row(arm: Arm) -> dict[str, Any]:
    row: dict[str, Any] = {
        "arm": arm.name,
        "seeds": " ".join(run.seed for run in arm.finished),
        "finished": len(arm.finished),
        "planned": len(arm.runs),
        "diverged": arm.diverged,
    }
    if not arm.records:
        return row
    for endpoint in arm.records[0].test.columns():
        known = [figure for figure in arm.figures(endpoint) if figure is not None]
        if endpoint.startswith("n_"):
            row[endpoint] = known[0] if known else None
            continue
        row[endpoint] = statistics.mean(known) if known else None
        row[f"{endpoint} sd"] = statistics.stdev(known) if len(known) > 1 else None
        row[f"{endpoint} n"] = len(known)
    costs = [record.model_columns() for record in arm.records]
    for name in ("params", "params_neck", "gflops", "gflops_neck"):
        row[name] = costs[0][name]
    for name in ("fps_forward", "fps_end_to_end"):
        rates = [one[name] for one in costs if name in one]
        row[name] = statistics.median(rates) if rates else None
    return {**row, "device": costs[0].get("device")}


def contrast_rows(studies: Sequence[Study]) -> Rows:
    """Return a row per contrast: those on the primary endpoint first, then those on every other one.

    Each endpoint is a family of its own, and only the primary one was declared in advance.
    """
    rows = []
    for study in studies:
        primary = study.question.primary_endpoint
        found = [("primary", one) for one in study.contrasts]
        for endpoint in _endpoints(study):
            if endpoint != primary:
                found += [("exploratory", one) for one in study.explore(endpoint)]
        rows += [{"study": study.name, "family": family, **_contrast_row(one)} for family, one in found]
    return rows


def _endpoints(study: Study) -> list[str]:
    return list(dict.fromkeys(name for arm in study.arms for one in arm.replicates for name in one.endpoints))


def _contrast_row(one: Contrast) -> dict[str, Any]:
    row: dict[str, Any] = {"a": one.a.name, "b": one.b.name, "endpoint": one.endpoint}
    found, verdict, need = one.estimate, one.verdict, one.need
    if found is None:
        return {**row, "verdict": "no verdict", "reason": one.reason}
    low, high = found.interval()
    judged: dict[str, Any] = {"verdict": "no verdict", "reason": one.reason}
    if verdict is not None:
        judged = {
            "p": found.p,
            "p_holm": verdict.p,
            "verdict": verdict.word,
            "less_than_margin": verdict.small,
            "equivalence_low": verdict.equivalence[0],
            "equivalence_high": verdict.equivalence[1],
            "detectable": verdict.detectable,
            "needed_seeds": need and need.seeds,
            "needed_images": need and needed_images(one, need),
        }
    return {
        **row,
        "delta": found.delta,
        "low": low,
        "high": high,
        "superiority": found.superiority,
        **judged,
        "seeds_a": found.seeds[0],
        "seeds_b": found.seeds[1],
        "groups": found.groups,
        "variance_images": found.image_variance,
        "variance_seeds": found.seed_variance,
        "df": found.df,
    }


def run_rows(studies: Sequence[Study], facts: Sequence[StudyFacts]) -> Rows:
    """Return a row per run, finished or not, with all values of its record."""
    return [row for study, known in zip(studies, facts, strict=True) for row in _run_rows(study, known)]


def _run_rows(study: Study, facts: StudyFacts) -> Iterator[dict[str, Any]]:
    runs = [run for arm in study.arms for run in arm.runs]
    for run, known in zip(runs, facts.runs, strict=True):
        record = {} if run.record is None else run.record.columns()
        yield {
            "study": study.name,
            "arm": known.arm,
            "run": known.name,
            "seed": known.seed,
            "status": known.status,
            "fault": run.fault,
            "command": known.command,
            **{name: plain(value) for name, value in record.items() if name != "seed"},
        }
