"""The paper's claims, each held against the contrasts that test it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from gffpn.figures import Figure
from gffpn.report.answer import interval, margin_words, points, probability
from gffpn.report.facts import Claim, Outcome
from gffpn.report.paper import paper_figure
from gffpn.report.timing import doubt_of_timing
from gffpn.runs.record import size_word
from gffpn.stats.arms import settings
from gffpn.stats.question import OF_A_CLASS
from gffpn.stats.runs import Arm
from gffpn.stats.study import Contrast, Study

CLAIMS = Path(__file__).with_name("claims.yaml")
COSTS = ("params_m", "gflops", "fps_end_to_end")
"""Figures that are compared as they are, because they hardly vary between seeds."""
PUBLISHED = {
    "neck.fusion": "star",
    "neck.residual": "true",
    "neck.gate": "sigmoid",
    "neck.guide": "cascade",
    "neck.guided": "null",
    "neck.short": "lpam",
    "neck.lpam.context": "lsam",
    "neck.lpam.attention": "fccfm",
    "neck.lpam.downsample": "max",
    "neck.lpam.norm": "none",
    "neck.lpam.mix": "attend",
    "neck.lpam.projection": "shared",
    "neck.lpam.product": "printed",
    "neck.widen": "1.0",
    "neck.base.widen": "1.0",
    "neck.width": "pyramid",
    "neck.base.width": "pyramid",
}
"""The necks as published, GF-FPN as it is read here. Any other setting of a neck makes it an ablation."""
UNITS = {"params_m": " M parameters", "gflops": " GFLOPs", "fps_end_to_end": " images per second"}
_PAPER_COLUMNS = {"fps_end_to_end": "fps"}


@dataclass(frozen=True)
class Comparison:
    """One comparison that a claim of the paper is about."""

    claim: Claim
    a: Mapping[str, str]
    """Settings of the arm that the claim is about."""
    b: Mapping[str, str]
    lower: bool
    """True if the figure of `a` is claimed to be lower than that of `b`."""
    data: str | None
    """Name of the data set, None for any."""
    difference: Figure
    """The paper's own A - B, in shares for average precision; None if it gives no figure."""


def claims(studies: Sequence[Study]) -> list[Claim]:
    """Return every claim with its outcome, one for each study that tests it; `not run` without any.

    Reproduced is a claim whose contrast is certain (Holm's p under alpha) in the claimed direction; endpoints
    other than the primary one are families of their own. Contradicted is one whose contrast is certain in
    the other direction, or the same within the margin where the paper's difference is larger than that.
    Costs are compared run by run.
    """
    made = []
    for claim, tests in claimed():
        if not tests:
            made.append(claim)
        for test in tests:
            made += [_judged(test, *found) for found in _tested(test, studies)] or [test.claim]
    return made


def claimed() -> list[tuple[Claim, list[Comparison]]]:
    """Return the claims of claims.yaml, each with its comparisons; those that are not testable have none."""
    return [_read(entry) for entry in _entries()]


@cache
def _entries() -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = yaml.safe_load(CLAIMS.read_text(encoding="utf-8"))
    return entries


def _read(entry: Mapping[str, Any]) -> tuple[Claim, list[Comparison]]:
    why = entry.get("untestable")
    claim = Claim(
        name=entry["name"],
        sentence=entry["sentence"],
        where=entry["where"],
        paper="",
        outcome="not testable" if why else "not run",
        reason=why or "no study compares these arms",
        command=entry.get("run", ""),
    )
    tests = [_test(claim, entry, b, endpoint) for b in entry.get("b", []) for endpoint in entry["endpoints"]]
    return claim, tests


def _test(claim: Claim, entry: Mapping[str, Any], b: Mapping[str, str], endpoint: str) -> Comparison:
    a = entry["a"]
    column = _PAPER_COLUMNS.get(endpoint, endpoint.removeprefix("AP50/"))
    figures = [paper_figure(entry["paper"], side, column) for side in (a, b)] if "paper" in entry else []
    known = [figure for figure in figures if figure is not None]
    difference, words = None, ""
    if len(known) == 2:
        difference = known[0] - known[1]
        sign = f"{difference:+.1f}".replace("-", "\N{MINUS SIGN}")
        measure = "" if endpoint in COSTS else f"{_measure(endpoint)} "
        words = f"{measure}{known[0]:g} against {known[1]:g}{UNITS.get(endpoint, '')}: {sign}"
        difference = difference if endpoint in COSTS else difference / 100
    contrast = " - ".join(_short(side, other) for side, other in ((a, b), (b, a)))
    compared = replace(claim, paper=words, endpoint=endpoint, contrast=contrast)
    return Comparison(compared, a, b, entry.get("lower", False), entry.get("data"), difference)


def _measure(endpoint: str) -> str:
    """Return an average precision in words: `mAP50`, `AP50 of pock`."""
    return endpoint.replace(OF_A_CLASS, "AP50 of ")


def _short(side: Mapping[str, str], other: Mapping[str, str]) -> str:
    """Return the values of one side that the other does not share, the neck first."""
    values = [(key != "neck", value) for key, value in side.items() if other.get(key) != value]
    return " ".join(value for _, value in sorted(values, key=lambda pair: pair[0]))


def _tested(test: Comparison, studies: Sequence[Study]) -> Iterator[tuple[Study, Contrast, bool]]:
    """Yield each contrast that compares the two sides, and whether it is declared the other way round."""
    for study in studies:
        endpoint = test.claim.endpoint
        if endpoint in COSTS:  # needs no declared contrast, because nothing is estimated
            pairs = product(study.arms, repeat=2)
            found = [Contrast(a, b, endpoint) for a, b in pairs if _matches(a, b, test)]
            yield from ((study, contrast, False) for contrast in found)
            continue
        for position, one in enumerate(study.contrasts):
            turned = _matches(one.b, one.a, test)
            if turned or _matches(one.a, one.b, test):
                primary = endpoint == study.question.primary_endpoint
                yield study, one if primary else study.explore(endpoint)[position], turned


def _matches(a: Arm, b: Arm, test: Comparison) -> bool:
    """Return whether two arms are the sides of a comparison and differ in nothing else."""
    return _is(a, test.a, test.data) and _is(b, test.b, test.data) and _alike(a, b, test)


def _alike(a: Arm, b: Arm, test: Comparison) -> bool:
    """Return whether two arms, whose necks have the settings of the claim, share all others."""
    sizes = [{(one.size, one.image_size) for one in arm.records} for arm in (a, b)]
    named = {*test.a, *test.b, "seed"}
    others = [
        {key: value for key, value in settings(arm.runs[0].overrides).items() if key not in named}
        for arm in (a, b)
    ]
    shared = [{key: value for key, value in one.items() if not _of_neck(key)} for one in others]
    return sizes[0] == sizes[1] and shared[0] == shared[1]


def _of_neck(key: str) -> bool:
    return key.startswith(("neck.", "neck@"))


def _is(arm: Arm, side: Mapping[str, str], data: str | None) -> bool:
    """Return whether an arm has the settings of a side; an ablation counts only where the claim names one."""
    if not arm.records:
        return False
    choice = arm.records[0].choice
    chosen = settings(arm.runs[0].overrides)
    known: dict[str, str | None] = {
        **chosen,
        "neck": choice.neck,
        "backbone": choice.backbone,
        "ablation": choice.ablation,
    }
    plain = "ablation" in side or choice.ablation is None
    # the overrides of runs that no sweep started have null where a neck has no such setting
    unnamed = {key: value for key, value in chosen.items() if _of_neck(key) and key not in side}
    plain = plain and all(value in (PUBLISHED.get(key), "null") for key, value in unnamed.items())
    return plain and data in (None, choice.data) and all(known.get(key) == side[key] for key in side)


def _judged(test: Comparison, study: Study, contrast: Contrast, turned: bool) -> Claim:
    a, b = (contrast.b, contrast.a) if turned else (contrast.a, contrast.b)
    outcome, reason = (
        _of_costs(test, a, b) if test.claim.endpoint in COSTS else _of_verdict(test, study, contrast, turned)
    )
    return replace(
        test.claim,
        outcome=outcome,
        reason=reason,
        study=study.name,
        contrast=f"{a.name} - {b.name}",
        simulated=any(record.data.simulated for record in a.records),
        command="",
    )


def _of_verdict(test: Comparison, study: Study, contrast: Contrast, turned: bool) -> tuple[Outcome, str]:
    found, verdict = contrast.estimate, contrast.verdict
    if found is None or verdict is None:
        return "cannot tell", f"no verdict: {contrast.reason}"
    low, high = found.interval()
    delta = -found.delta if turned else found.delta
    low, high = (-high, -low) if turned else (low, high)
    seeds = " and ".join(dict.fromkeys(map(str, found.seeds)))
    reason = (
        f"{points(delta, sign=True)} points of {_measure(contrast.endpoint)} ({interval(low, high)}), "
        f"p {probability(verdict.p, study.question.alpha)}, {seeds} seeds"
    )
    if test.difference is not None and not low <= test.difference <= high:
        reason += f"; the paper's {points(test.difference, sign=True)} lies outside"
    if verdict.word in ("better", "worse"):
        return ("reproduced" if (delta < 0) == test.lower else "contradicted"), reason
    margin = study.question.margin
    if verdict.word == "same" and test.difference is not None and abs(test.difference) > margin:
        return "contradicted", f"{reason}; the same within {margin_words(margin)} points"
    return "cannot tell", reason


def _of_costs(test: Comparison, a: Arm, b: Arm) -> tuple[Outcome, str]:
    endpoint = test.claim.endpoint
    if endpoint.startswith("fps") and (doubt := doubt_of_timing(a, b)):
        return "cannot tell", doubt
    ours = [[float(record.model_columns()[endpoint]) for record in arm.records] for arm in (a, b)]
    one, other = ([-value for value in values] if test.lower else values for values in ours)
    means = [sum(values) / len(values) for values in ours]
    size = a.records[0]
    figures = f"{means[0]:.4g} against {means[1]:.4g}{UNITS[endpoint]}"
    reason = f"{figures}, at size {size.size} and {size_word(size.image_size)} px"
    if min(one) > max(other):
        return "reproduced", reason
    return ("contradicted" if max(one) <= min(other) else "cannot tell"), reason
