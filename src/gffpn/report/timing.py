"""Do the speeds of two arms compare?"""

from gffpn.report.caption import timed_beside_others, trained_beside_others
from gffpn.runs.record import Record
from gffpn.stats.runs import Arm
from gffpn.stats.study import Study


def doubt_of_timing(a: Arm, b: Arm) -> str:
    """Return why the speeds of two arms do not compare, or an empty string."""
    if doubt := doubt_of_machine(a, b):
        return doubt
    # after a sweep whose runs shared the machine, one timing is that of all seeds
    timings = [len({_timing(at, one) for at, one in enumerate(arm.records)}) for arm in (a, b)]
    return "one timing of an arm; timings vary" if min(timings) < 2 else ""


def _timing(position: int, record: Record) -> str | int:
    """Return what is equal for records with one and the same timing."""
    return (record.speed and record.speed.timed_run) or position


def speeds_compare(study: Study) -> bool:
    """Return whether the speeds of a study's arms were timed alike, on a machine that no other run used."""
    return not doubt_in_study(study)


def doubt_in_study(study: Study) -> str:
    """Return why what was timed in a study's runs does not compare, or an empty string."""
    doubts = (doubt_of_machine(arm, other) for arm in study.arms for other in study.arms)
    return next(filter(None, doubts), "")


def minutes_compare(study: Study) -> bool:
    """Return whether a study's runs trained alike: devices, threads, and other runs beside all or none."""
    records = [one for arm in study.arms for one in arm.records]
    alike = len({(one.choice.shares_machine, one.devices, one.training.threads) for one in records}) == 1
    return alike and not any(map(trained_beside_others, records))


def doubt_of_machine(a: Arm, b: Arm) -> str:
    """Return why the machine of two arms makes their speeds incomparable, or an empty string."""
    records = [*a.records, *b.records]
    speeds = [one.speed for one in records if one.speed]
    if len(speeds) < len(records):
        return "not timed yet; repeating the sweep's command does it"
    if len({(one.device, one.threads) for one in speeds}) > 1:
        return "timed on different devices"
    if len({one.provenance.libraries.get("torch") for one in records}) > 1:
        return "timed with different versions of torch"
    if any(timed_beside_others(one) for one in records):
        return "timed while other processes may have used the same machine"
    return ""
