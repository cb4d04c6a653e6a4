"""The shortest answer of a study: which arm, from its verdicts alone, and which pairs nobody asked about."""

import json
import re
import shlex
from collections.abc import Sequence
from itertools import combinations

from gffpn.report.caption import NAMED, shortened
from gffpn.stats.arms import Arms
from gffpn.stats.runs import Arm
from gffpn.stats.study import Contrast, Study

MINUS = " \N{MINUS SIGN} "
_DECIDED = {
    "better": "better than {b} on {endpoint}",
    "worse": "worse than {b} on {endpoint}",
    "same": "the same as {b} within the margin on {endpoint}",
}


def difference_name(a: str, b: str) -> str:
    """Return the name of a contrast with a true minus sign."""
    return f"{a}{MINUS}{b}"


def which(study: Study) -> str:
    """Return one sentence that says which arm is better, if any is shown to be; empty without contrasts.

    It follows from the verdicts: a mean that looks better is no answer. Costs are exact, so where nobody is
    better, it names the arm with the fewest parameters.
    """
    judged = [one for one in study.contrasts if one.verdict]
    if not study.contrasts:
        return ""
    if not judged:
        return f"No verdict: {shortened(list(dict.fromkeys(one.reason for one in study.contrasts)))}."
    decided = [phrase for word in _DECIDED for phrase in _decided(word, judged)]
    unknown = [one for one in judged if _word(one) == "cannot tell"]
    parts = [*decided, *(_unknown(unknown, study, alone=not decided) if unknown else ())]
    if any(not one.verdict for one in study.contrasts):
        missing = [one for one in study.contrasts if not one.verdict]
        parts += [f"{who}: no verdict" for who in _sides(missing, study)]
    if not any(_word(one) in ("better", "worse") for one in judged):
        parts += _cheapest([one for one in study.arms if _is_in(one, judged)])
    return f"{'; '.join(parts)}."


def _word(one: Contrast) -> str:
    return one.verdict.word if one.verdict else ""


def _decided(word: str, judged: Sequence[Contrast]) -> list[str]:
    """Return the verdicts of one word, a phrase for each second arm."""
    found: dict[tuple[str, bool], list[str]] = {}
    for one in judged:
        if one.verdict and one.verdict.word == word:
            small = one.verdict.small and word != "same"
            found.setdefault((_called(one.b), small), []).append(_called(one.a))
    return [
        f"{shortened(names)} {_is(names)} {_DECIDED[word].format(b=b, endpoint=judged[0].endpoint)}"
        f"{', by less than the margin' if small else ''}"
        for (b, small), names in found.items()
    ]


def _unknown(unknown: Sequence[Contrast], study: Study, *, alone: bool) -> list[str]:
    """Return the contrasts that cannot tell; if they are all that there is, as what is not shown."""
    if not alone:
        return [f"{who}: cannot tell" for who in _sides(unknown, study)]
    by_second: dict[str, list[str]] = {}
    for one in unknown:
        by_second.setdefault(_called(one.b), []).append(_called(one.a))
    every = len(by_second) == 1 and 1 < len(unknown) == len(study.arms) - 1
    endpoint = unknown[0].endpoint
    if len(by_second) > NAMED:
        return [f"None of {len(unknown)} contrasts shows a difference on {endpoint}"]
    return [
        f"No arm is shown to differ from {b} on {endpoint}"
        if every
        else f"{shortened(names)} {_is(names)} not shown to differ from {b} on {endpoint}"
        for b, names in by_second.items()
    ]


def _sides(contrasts: Sequence[Contrast], study: Study) -> list[str]:
    """Return the first arms of contrasts that share the second with all others, else the pairs."""
    if len({one.b.name for one in study.contrasts}) == 1:
        return [shortened([_called(one.a) for one in contrasts])]
    return [shortened([f"{_called(one.a)} against {_called(one.b)}" for one in contrasts])]


def _called(arm: Arm) -> str:
    """Return the name of an arm for a sentence, in which `none` would deny it."""
    return "neck=none" if arm.name == "none" else arm.name


def _is(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _is_in(arm: Arm, contrasts: Sequence[Contrast]) -> bool:
    return any(arm.name in (one.a.name, one.b.name) for one in contrasts)


def _cheapest(arms: Sequence[Arm]) -> list[str]:
    """Return which arm has the fewest parameters, nothing if several have."""
    found = sorted((arm.records[0].cost.params, _called(arm)) for arm in arms if arm.records)
    if len(found) < 2 or found[0][0] == found[1][0]:
        return []
    return [f"{found[0][1]} has {'the fewest' if len(found) > 2 else 'fewer'} parameters"]


def not_compared(study: Study) -> str:
    """Return which pairs of arms the default contrasts leave out, and the setting that asks for them.

    Those that differ in the fewest settings come first, because their difference has the fewest causes. Empty
    if the experiment declared its contrasts, or if the default ones leave out nothing.
    """
    if study.question.contrasts or len(study.arms) < 3:
        return ""
    known = Arms([run.overrides for arm in study.arms for run in arm.runs], study.question.arms)
    done = {frozenset((one.a.name, one.b.name)) for one in study.contrasts}
    pairs = [(b.name, a.name) for a, b in combinations(study.arms, 2) if a.may_share_images(b)]
    left = [pair for pair in pairs if frozenset(pair) not in done and not known.fault(pair)]
    if not left:
        return ""
    at = {arm.name: position for position, arm in enumerate(study.arms)}
    left.sort(key=lambda pair: known.steps(at[pair[0]], at[pair[1]]))
    asked = ",".join(f"[{','.join(map(_yaml, pair))}]" for pair in left[:NAMED])
    setting = shlex.quote(f"experiment.contrasts=[{asked}]")
    some = "it" if len(left) == 1 else "them" if len(left) <= NAMED else f"the first {NAMED}"
    names = shortened([difference_name(*pair) for pair in left])
    return f"Not compared: {names}. {setting} asks for {some}."


def _yaml(name: str) -> str:
    """Return the name of an arm as it stands in a list of Hydra's."""
    return name if re.fullmatch(r"[A-Za-z_][\w.-]*", name) else json.dumps(name, ensure_ascii=False)
