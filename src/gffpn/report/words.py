"""Numbers and verdicts in the words of the report."""

import math
from dataclasses import dataclass
from typing import Literal

from gffpn.stats.study import Contrast, Question

MINUS = "\N{MINUS SIGN}"
Tone = Literal["better", "worse", "same", "cannot tell", "no verdict"]


def number(value: float | None, count: int = 1) -> str:
    """Return a number with `count` decimals and a real minus sign; None and NaN as n/a."""
    if value is None or math.isnan(value):
        return "n/a"
    text = f"{value:.{count}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", MINUS)


def points(value: float | None) -> str:
    """Return a share in percent: 0.4213 -> 42.1."""
    return number(None if value is None else 100 * value)


def difference(value: float) -> str:
    """Return a difference of shares in percent points, with its sign: 0.018 -> +1.8."""
    return ("+" if round(100 * value, 1) > 0 else "") + points(value)


def interval(ends: tuple[float, float]) -> str:
    """Return an interval of shares in percent points: 0.6 to 3.0."""
    return f"{points(ends[0])} to {points(ends[1])}"


def share(value: float) -> str:
    """Return a probability with two decimals, never rounded to certainty."""
    if math.isnan(value):
        return "n/a"
    return "> 0.99" if value > 0.995 else "< 0.01" if value < 0.005 else f"{value:.2f}"


def p_value(p: float) -> str:
    """Return a p value: `p 0.004`."""
    return "p < 0.001" if p < 0.001 else f"p {p:.3f}" if p < 0.1 else f"p {p:.2f}"


def counted(count: int, noun: str) -> str:
    """Return a number with its noun: `1 seed`, `2,900 objects`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


@dataclass(frozen=True)
class Sentence:
    """The verdict on one contrast: who, and the rest of the sentence."""

    tone: Tone
    lead: str
    """Before the first arm's name."""
    first: str
    between: str
    second: str
    rest: str

    def __str__(self) -> str:
        return f"{self.lead}{self.first}{self.between}{self.second}{self.rest}"


def sentence(contrast: Contrast, question: Question) -> Sentence:
    """Return the verdict on a contrast in one sentence."""
    a, b = contrast.a.name, contrast.b.name
    if contrast.estimate is None or contrast.verdict is None:
        return Sentence("no verdict", "No verdict on ", a, " against ", b, f": {contrast.reason}{_means(contrast)}.")
    one, verdict = contrast.estimate, contrast.verdict
    margin = f"{100 * question.margin:g} point{'' if question.margin == 0.01 else 's'}"
    certain = f"{p_value(verdict.p)}"
    if verdict.word in ("better", "worse"):
        low, high = one.interval()
        ends = (low, high) if one.delta > 0 else (-high, -low)
        size = f" by {points(abs(one.delta))} points ({interval(ends)}), {certain}"
        little = f"; the difference is below {margin}" if verdict.small else ""
        return Sentence(verdict.word, "", a, f" is {verdict.word} than ", b, f"{size}{little}.")
    ends = f"{difference(one.delta)} ({interval(one.interval())}), {certain}"
    if verdict.word == "same":
        return Sentence("same", "", a, " and ", b, f" are the same within {margin}: {ends}.")
    return Sentence("cannot tell", "Cannot tell ", a, " from ", b, f": {ends}; {takes(contrast, question)}.")


def _means(contrast: Contrast) -> str:
    """Return the observed difference of an endpoint in words, if both arms have one."""
    values = [[one for one in arm.figures(contrast.endpoint) if one is not None] for arm in (contrast.a, contrast.b)]
    if not all(values):
        return ""
    a, b = (sum(one) / len(one) for one in values)
    return f" (observed {difference(a - b)})"


def takes(contrast: Contrast, question: Question) -> str:
    """Return what a comparison needs to find a difference as large as the margin."""
    need, one = contrast.need, contrast.estimate
    if need is None or one is None:
        return ""
    if need.seeds is not None:
        more = need.seeds - min(one.seeds)
        if more > 0:
            return f"would need {counted(more, 'more seed')}"
        return f"a true difference of {100 * question.margin:g} would probably have been found"
    if need.images is not None:
        images = _two_digits(need.images * contrast.a.records[0].test.images)
        return f"no number of seeds will do, but about {images:,} test images"
    return "out of reach, even with 100 times the test images"


def _two_digits(value: float) -> int:
    scale = 10 ** max(0, math.floor(math.log10(value)) - 1)
    return math.ceil(value / scale) * scale
