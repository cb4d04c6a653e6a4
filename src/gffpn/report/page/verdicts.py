"""The verdicts of a study in sentences, each with the sizes of object for which it holds, and its price."""

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from gffpn.report.analyses import Analyses
from gffpn.report.answer import interval, points, sentence
from gffpn.report.figures.sizes import bins, size_word
from gffpn.report.timing import doubt_of_timing
from gffpn.runs.record import Record
from gffpn.stats.runs import Arm
from gffpn.stats.study import Contrast, Study

MANY = 8
"""With more contrasts than this, those without a winner are folded."""


@dataclass(frozen=True)
class Said:
    """The verdict on one contrast."""

    tone: str
    """Class of the style: the verdict's word."""
    sentence: str
    sizes: str = ""
    cost: str = ""


def split(verdicts: Sequence[Said]) -> tuple[list[Said], list[Said]]:
    """Return the verdicts to be shown at once, and those without a winner to be folded, if there are many."""
    won = [one for one in verdicts if one.tone in ("better", "worse")]
    if len(verdicts) <= MANY or not won:
        return list(verdicts), []
    return won, [one for one in verdicts if one not in won]


def said(study: Study, analyses: Analyses) -> Iterator[Said]:
    """Yield the verdict on each contrast, or one sentence where there is nothing to compare."""
    for at, contrast in enumerate(study.contrasts):
        word = contrast.verdict.word if contrast.verdict else "no verdict"
        text = sentence(contrast, study.question)
        # not to be torn apart at the end of a line
        text = text.replace("; p ", "; p\N{NO-BREAK SPACE}").replace(" %", "\N{NO-BREAK SPACE}%")
        yield Said(word.replace(" ", "-"), text, _sizes(study, analyses, at), _cost(contrast.a, contrast.b))
    if not study.contrasts:
        yield Said("no-verdict", "One arm: there is nothing to compare." if study.arms else "No runs.")


def _sizes(study: Study, analyses: Analyses, at: int) -> str:
    """Return where the arms differ for certain by the size of the objects; intervals hold for all bins."""
    known = bins(study)
    found: list[tuple[str, Contrast]] = []
    for one in known:
        contrast = analyses.explored(f"AP_{one.name}")[at]
        if contrast.estimate and not contrast.reason:  # of few objects, an interval is no evidence
            found.append((size_word(one), contrast))
    if not found:
        return ""
    parts = []
    for word, contrast in found:
        assert contrast.estimate
        low, high = contrast.estimate.interval(1 - 0.05 / len(known))
        if low > 0 or high < 0:
            delta = points(contrast.estimate.delta, sign=True)
            parts.append(f"{word} px {delta} ({interval(low, high)})")
    if not parts:
        return "AP by size: no bin differs for certain."
    return f"AP by size: {', '.join(parts)}{'' if len(parts) == len(found) else '; not certain elsewhere'}."


_PRICES: tuple[tuple[str, Callable[[Record], float | None]], ...] = (
    ("M parameters", lambda record: record.cost.params_m),
    ("GFLOPs", lambda record: record.cost.gflops),
)
_RATE: tuple[str, Callable[[Record], float | None]] = (
    "images per second",
    lambda record: record.speed.fps_forward if record.speed else None,
)


def _cost(a: Arm, b: Arm) -> str:
    """Return the costs of both arms, and by how much the first differs."""
    if not a.records or not b.records:
        return ""
    parts = []
    doubt = doubt_of_timing(a, b)
    for unit, value in _PRICES if doubt else (*_PRICES, _RATE):
        known = [[price for one in arm.records if (price := value(one)) is not None] for arm in (a, b)]
        one, other = map(statistics.median, known)
        change = round(100 * (one / other - 1)) if other else 0
        words = f" ({change:+d} %)".replace("-", "\N{MINUS SIGN}") if change else ""
        parts.append(f"{one:.3g} against {other:.3g} {unit}{words}")
    return f"Cost: {', '.join(parts)}{f'; speed is not compared: {doubt}' if doubt else ''}."
