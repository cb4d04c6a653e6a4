"""Do the speeds of two arms compare?"""

from gffpn.report.caption import SHARING_LAUNCHERS
from gffpn.stats.study import Arm, Study


def doubt_of_timing(a: Arm, b: Arm) -> str:
    """Return why the speeds of two arms do not compare, or an empty string."""
    single = "one timing of an arm; timings vary" if min(len(a.records), len(b.records)) < 2 else ""
    return doubt_of_machine(a, b) or single


def speeds_compare(study: Study) -> bool:
    """Return whether the speeds of a study's arms were timed alike, on a machine that no other run used."""
    return not doubt_in_study(study)


def doubt_in_study(study: Study) -> str:
    """Return why what was timed in a study's runs does not compare, or an empty string."""
    doubts = (doubt_of_machine(arm, other) for arm in study.arms for other in study.arms)
    return next(filter(None, doubts), "")


def doubt_of_machine(a: Arm, b: Arm) -> str:
    """Return why the machine of two arms makes their speeds incomparable, or an empty string."""
    records = [*a.records, *b.records]
    if len({(one.speed.device, one.speed.threads) for one in records}) > 1:
        return "timed on different devices"
    if any(one.choice.launcher in SHARING_LAUNCHERS for one in records):
        return "timed while other runs may have used the same machine"
    return ""
