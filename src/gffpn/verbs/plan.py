"""`plan`: what a sweep will run, before it runs."""

import argparse
from typing import TYPE_CHECKING

from gffpn.verbs.words import Verbs, add_overrides

if TYPE_CHECKING:
    from gffpn.stats.question import Question


def add(verbs: "Verbs[argparse.ArgumentParser]") -> None:
    """Add the verb and its arguments to the command line."""
    verb = verbs.add_parser(
        "plan",
        help="list the runs of a sweep, what is finished, minutes left, and what it can detect",
        description="Lists what a sweep will run and what is finished. The minutes left and the smallest "
        "difference that it can detect follow from finished runs. Nothing is trained, but for a budget, the "
        "speed is measured for some seconds, once.",
        epilog="example: gffpn plan experiments=table6 seed=0,1,2",
    )
    verb.add_argument("-m", "--multirun", action="store_true", help="as for train.py; not needed here")
    add_overrides(verb)
    verb.set_defaults(act=act)


def act(arguments: argparse.Namespace) -> None:
    """Print the plan of a sweep."""
    from gffpn.report.table import print_cells
    from gffpn.suite.forecast import forecast

    found = forecast(arguments.overrides)
    body = [
        [arm.name, ", ".join(run.seed for run in arm.runs), *_counts([run.status for run in arm.runs])]
        for arm in found.study.arms
    ]
    print_cells(["arm", "seeds", "finished", "to run"], body, title="Runs", left=2)
    for one in found.study.contrasts:
        print(f"Contrast: {one.name} on {one.endpoint}")
    for note in found.study.notes:
        print(f"NOTE: {note}")
    left = sum(not plan.is_done for plan in found.plans)
    if not left:
        print("All runs are finished.")
    elif found.minutes is None:
        print(f"{left} of {len(found.plans)} runs are left; no finished run shows how long they take")
    else:
        order = f", {found.at_a_time} at a time" if found.at_a_time > 1 else ""
        print(f"{left} of {len(found.plans)} runs are left: about {found.minutes:.0f} minutes{order}.")
    print(seed_words(found.seeds, found.detectable, found.study.question))


def seed_words(seeds: int, detectable: float | None, asked: "Question") -> str:
    """Return what a sweep with a number of seeds per arm can find, if it ends with a verdict."""
    from gffpn.report.answer import margin_words, points

    looks = ", ".join(map(str, asked.looks))
    if seeds < 2:
        return "One seed: no verdict. With several, such as seed=0,1,2, the sweep ends with verdicts."
    if looks and seeds not in asked.looks:
        return f"No verdict with {seeds} seeds: experiment.looks declares verdicts with {looks} seeds."
    if detectable is None:
        first = min(asked.looks, default=0)
        known = f"{first} seeds of two arms, the first look," if first else "two seeds of two arms"
        return f"What it can detect is known when {known} are finished."
    return (
        f"With {seeds} seeds, a true difference of {points(detectable)} points is found with "
        f"80 % probability (margin: {margin_words(asked.margin)})."
    )


def _counts(states: list[str]) -> tuple[str, str]:
    done = states.count("finished")
    return str(done), str(len(states) - done)
