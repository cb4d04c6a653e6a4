"""The answer of an experiment in words and tables: its arms, its contrasts, a verdict on each."""

import math
import statistics
from collections.abc import Sequence

from gffpn.figures import BinFigures, Figure
from gffpn.files.tables import markdown_table
from gffpn.report.paper import paper_mAP50
from gffpn.report.table import bin_title, percent, print_cells
from gffpn.report.timing import speeds_compare
from gffpn.report.which import not_compared, which
from gffpn.stats.planning import MANY_SEEDS, MOST_SEEDS, Need
from gffpn.stats.question import Question
from gffpn.stats.runs import Arm
from gffpn.stats.study import Contrast, Study, family_size

COSTS = ("params M", "GFLOPs", "FPS net")
CONTRASTS = (
    "contrast",
    "difference",
    "verdict",
    "needed",
    "95 % interval",
    "P(A > B)",
    "p (Holm)",
    "detectable",
)
"""What answers the question comes first, because a small screen cuts off the rest."""


ENOUGH = "enough seeds"


def points(value: float, *, sign: bool = False) -> str:
    """Return a share in percent points, with a minus sign of full width: `-0.012` -> `\u22121.2`."""
    text = f"{100 * value:{'+' if sign else ''}.1f}"
    return text.replace("-", "\N{MINUS SIGN}")


def interval(low: float, high: float) -> str:
    """Return the ends of an interval in percent points: `0.6 to 3.0`."""
    return f"{points(low)} to {points(high)}"


def probability(p: float, level: float) -> str:
    """Return a p value as text, `< 0.001` if it is smaller.

    It has as many decimals, but at least three, as show on which side of the `level` of its test it is.
    """
    if p < 0.001 <= level:
        return "< 0.001"
    texts = (f"{p:.{decimals}f}" for decimals in range(3, 20))
    return next((text for text in texts if (float(text) < level) == (p < level)), str(p))


def margin_words(share: float) -> str:
    """Return a share that somebody chose in percent points, with all of its decimals: `1.0`, `0.25`."""
    text = points(share)
    return text if math.isclose(float(text), 100 * share) else f"{100 * share:.6g}"


def likelihood(share: float) -> str:
    """Return a probability with two decimals, never rounded to certainty."""
    return "> 0.99" if share > 0.995 else "< 0.01" if share < 0.005 else f"{share:.2f}"


def spread_words(values: Sequence[Figure]) -> str:
    """Return `mean ± sd (n)` of shares in percent; n/a without any, no sd of a single one."""
    known = [value for value in values if value is not None]
    mean = _mean(known)
    if mean is None:
        return "n/a"
    deviation = f" ± {points(statistics.stdev(known))}" if len(known) > 1 else ""
    return f"{points(mean)}{deviation} ({len(known)})"


def _mean(values: Sequence[Figure]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.mean(known) if known else None


def verdict_words(contrast: Contrast) -> str:
    """Return the verdict of a contrast: `better`, `same within 1 point`, `no verdict: one seed`."""
    verdict = contrast.verdict
    if verdict is None:
        return f"no verdict: {contrast.reason}"
    if verdict.word == "same":
        return "same within the margin"
    return f"{verdict.word}, by less than the margin" if verdict.small else verdict.word


def need_words(contrast: Contrast, question: Question) -> str:
    """Return what would show a difference as large as the margin, or an empty string if nothing is needed."""
    found, need = contrast.estimate, contrast.need
    if found is None or need is None or contrast.verdict is None or contrast.verdict.word != "cannot tell":
        return ""
    if need.seeds is not None:
        more = need.seeds - min(found.seeds)
        if more <= 0:
            return f"{ENOUGH} for {margin_words(question.margin)} points: the difference may be smaller"
        if len(set(found.seeds)) > 1:
            return f"{need.seeds} seeds per arm"
        return f"{more} more seed{'s' if more > 1 else ''} per arm"
    if need.many_seeds:
        return f"more than {MOST_SEEDS} seeds per arm"
    images = needed_images(contrast, need)
    more_images = "" if images is None else f"; about {images:,} test images with {MANY_SEEDS} seeds per arm"
    return f"no number of seeds{more_images}"


def needed_images(contrast: Contrast, need: Need) -> int | None:
    """Return the number of test images that a contrast needs, to two digits, or None if it is unknown."""
    if need.images is None:
        return None
    count = need.images * contrast.a.records[0].test.images
    step = 10 ** max(math.floor(math.log10(count)) - 1, 0)
    return math.ceil(count / step) * step


def sentence(contrast: Contrast, question: Question) -> str:
    """Return the verdict of a contrast as a sentence."""
    lost = "".join(f" {arm.name}: {arm.diverged}." for arm in (contrast.a, contrast.b) if arm.diverged)
    return _verdict_sentence(contrast, question) + lost


def _verdict_sentence(contrast: Contrast, question: Question) -> str:
    a, b, found, verdict = contrast.a.name, contrast.b.name, contrast.estimate, contrast.verdict
    if found is None:
        return f"{a} against {b}: no verdict ({contrast.reason})."
    low, high = found.interval()
    if verdict is None:
        facts = f"{points(found.delta, sign=True)} points, 95 % interval {interval(low, high)}"
        return f"{a} against {b}: no verdict ({contrast.reason}; {facts})."
    if verdict.word in ("better", "worse"):
        ends = interval(low, high) if found.delta > 0 else interval(-high, -low)
        less = f", less than {margin_words(question.margin)} points" if verdict.small else ""
        return (
            f"{a} is {verdict.word} than {b} by {points(abs(found.delta))} points of {contrast.endpoint}"
            f"{less} (95 % interval {ends}; p {probability(verdict.p, question.alpha)})."
        )
    facts = (
        f"{points(found.delta, sign=True)} points of {contrast.endpoint}, 95 % interval {interval(low, high)}"
    )
    if verdict.word == "same":
        return f"{a} and {b} are the same within {margin_words(question.margin)} points ({facts})."
    if low > 0 or high < 0:  # without this, the interval seems to contradict the verdict
        facts += f", but p {probability(verdict.p, question.alpha)}{_strictness(contrast, question)}"
    need = need_words(contrast, question)
    margin = margin_words(question.margin)
    aim = f"; to find a difference of {margin} points with 80 % probability: {need}" if need else ""
    if need.startswith(ENOUGH):
        aim = f"; a difference of {margin} points would be found with 80 % probability, so it may be smaller"
    return f"{a} against {b}: cannot tell ({facts}){aim}."


def _strictness(contrast: Contrast, question: Question) -> str:
    """Return why a contrast whose interval excludes zero has no verdict: several contrasts, several looks."""
    found, verdict, looks = contrast.estimate, contrast.verdict, len(question.looks)
    several = " as one of several contrasts" if found and verdict and verdict.p > found.p else ""
    return several + (f" at one of {looks} looks, each at {100 * question.alpha:.1f} %" if looks > 1 else "")


def arm_cells(study: Study) -> tuple[list[str], list[list[str]]]:
    """Return headers and cells of the table of arms: means over seeds, in percent, and costs."""
    bins: dict[str, list[BinFigures]] = {}
    for size in (size for arm in study.arms for one in arm.records for size in one.test.network_bins):
        bins.setdefault(size.name, []).append(size)
    averages = {"mAP50": "mAP50", "mAP50_95": "mAP50_95"}
    for name, sizes in sorted(bins.items(), key=lambda item: item[1][0].low):
        if any(size.objects for size in sizes):
            averages[f"AP_{name}"] = f"AP {bin_title(sizes)}"
    headers = ["arm", "seeds", *averages.values(), *(("PAPER mAP50",) if _papers(study) else ()), *COSTS]
    lines = [_arm_line(study, arm, list(averages)) for arm in study.arms]
    return headers, [line + [""] * (len(headers) - len(line)) for line in lines]


def _papers(study: Study) -> dict[str, float]:
    """Return the paper's mAP50 of each arm that has one, by name."""
    table = study.question.paper_table
    found = {
        arm.name: paper_mAP50(table, arm.records[0].columns()) for arm in study.arms if table and arm.records
    }
    return {name: value for name, value in found.items() if value is not None}


def _arm_line(study: Study, arm: Arm, endpoints: Sequence[str]) -> list[str]:
    done, asked = len(arm.finished), len(arm.runs)
    seeds = str(done) if done == asked else f"{done} of {asked}"
    seeds += f", {arm.diverged.partition(' ')[0]} diverged" if arm.diverged else ""
    if not arm.records:
        return [arm.name, seeds, arm.runs[0].status]
    line = [arm.name, seeds, *(spread_words(arm.figures(endpoint)) for endpoint in endpoints)]
    if papers := _papers(study):
        line.append(percent(papers.get(arm.name)))
    cost = arm.records[0].cost
    # a speed that other runs slowed down would be taken for the arm's
    rates = [one.speed.fps_forward for one in arm.records if one.speed and speeds_compare(study)]
    shown = f"{statistics.median(rates):.1f}" if rates else "n/a"
    return [*line, f"{cost.params_m:.2f}", f"{cost.gflops:.2f}", shown]


def contrast_cells(study: Study) -> tuple[list[str], list[list[str]]]:
    """Return headers and cells of the table of contrasts, in percent points of the primary endpoint."""
    return list(CONTRASTS), [_contrast_line(one, study.question) for one in study.contrasts]


def _contrast_line(one: Contrast, question: Question) -> list[str]:
    found, verdict = one.estimate, one.verdict
    if found is None:
        a, b = (_mean(arm.figures(one.endpoint)) for arm in (one.a, one.b))
        delta = "n/a" if a is None or b is None else points(a - b, sign=True)
        return [one.name, delta, verdict_words(one), "", "", "", "", ""]
    return [
        one.name,
        points(found.delta, sign=True),
        verdict_words(one),
        need_words(one, question),
        interval(*found.interval()),
        likelihood(found.superiority),
        probability(verdict.p, question.alpha) if verdict else "",
        points(verdict.detectable) if verdict else "",
    ]


def legend(study: Study) -> list[str]:
    """Return how the tables of arms and contrasts are to be read."""
    asked = study.question
    lines = ["Arms: mean ± standard deviation over seeds (number of seeds), percent."]
    if judged := [one.estimate for one in study.contrasts if one.estimate and one.verdict]:
        images = " or ".join(map(str, sorted({one.groups for one in judged})))
        family = family_size(study.contrasts)
        looks = f", {len(asked.looks)} looks" if len(asked.looks) > 1 else ""
        lines.append(
            f"Contrasts: percent points of {asked.primary_endpoint}; intervals hold for other seeds and "
            f"other test images ({images} independent ones); p by Holm's rule for "
            f"{family} contrast{'s' if family > 1 else ''}{looks}."
        )
        lines.append(
            f"Margin: {margin_words(asked.margin)} points. needed: what finds a difference as large as the "
            "margin with 80 % probability. detectable: the smallest true difference found with 80 % "
            "probability. P(A > B): share of pairs of runs, over seeds and test images, in which A is higher."
        )
    return [*lines, *(f"NOTE: {note}." for note in study.notes)]


def answer_lines(study: Study) -> list[str]:
    """Return the answer in sentences: which arm, each contrast, and which pairs are not compared."""
    sentences = [sentence(one, study.question) for one in study.contrasts]
    return [line for line in (which(study), *sentences, not_compared(study)) if line]


def print_answer(study: Study, *, notes: Sequence[str] = ()) -> None:
    """Print the tables of arms, under which `notes` stand, and of contrasts, and the answer in sentences."""
    print_cells(*arm_cells(study), title=f"{study.name}: arms", left=1, caption=notes)
    if study.contrasts:
        print_cells(*contrast_cells(study), title=f"{study.name}: contrasts", left=1, caption=legend(study))
    for line in answer_lines(study):
        print(line)


def answer_markdown(study: Study) -> str:
    """Return the answer as Markdown: which arm, a sentence per contrast, then the tables and their legend."""
    lines = "\n".join(f"- {sentence(one, study.question)}" for one in study.contrasts)
    tables = [markdown_table(*arm_cells(study))]
    if study.contrasts:
        tables += [markdown_table(*contrast_cells(study)), not_compared(study)]
    below = "\n".join(f"{line}  " for line in legend(study))
    return "\n\n".join(part for part in (which(study), lines, *tables, below) if part) + "\n"
