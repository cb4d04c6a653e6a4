"""Does training choose the number of threads that is fastest beside other processes?"""

import csv
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import lightning as L
import pytest
import torch

from commands import Train
from gffpn.callbacks.cpu_threads import CPUThreads, cpu_threads
from gffpn.machine import others, thread_choice
from gffpn.machine.devices import device_name
from gffpn.machine.others import Neighbours, Reading
from gffpn.machine.thread_choice import PATIENCE_S, ThreadChoice, Usage, Verdict, read_usage

BATCH = 16


SECONDS = {
    (0, 2): 0.16,
    (0, 1): 0.23,
    (1, 2): 0.57,
    (1, 1): 0.24,
    (2, 2): 0.68,
    (2, 1): 0.37,
    (9, 2): 14.0,
    (9, 1): 1.2,
}
"""Measured duration of a step of GF-FPN n, by (busy neighbours, threads), on two cores."""


@dataclass
class Machine:
    """A machine of two cores, on which nothing runs but the training and some busy neighbours."""

    neighbours: int = 0
    reports: bool = True
    """Whether the system reports how long threads wait and cores are idle."""
    clock: dict[str, float] = field(
        default_factory=lambda: {"wall": 0.0, "cpu": 0.0, "waited": 0.0, "idle": 0.0}
    )
    steps: list[tuple[int, float]] = field(default_factory=list)
    """Number of threads and seconds of each step."""

    def read(self) -> Usage:
        c = self.clock
        return Usage(c["wall"], c["cpu"], *((c["waited"], c["idle"]) if self.reports else (None, None)))

    def train(self, choice: ThreadChoice, seconds: float) -> list[Verdict]:
        """Take steps for at least so many seconds."""
        verdicts, end = [], self.clock["wall"] + seconds
        while self.clock["wall"] < end:
            threads = choice.number
            taken = SECONDS[self.neighbours, threads]
            running = min(threads, 2 * threads / (threads + self.neighbours))
            self.steps.append((threads, taken))
            self.clock["wall"] += taken
            self.clock["cpu"] += taken * running
            self.clock["waited"] += taken * (threads - running)
            self.clock["idle"] += taken * max(0, 2 - threads - self.neighbours)
            verdict = choice.step(taken, BATCH)
            verdicts += [verdict] if verdict else []
        return verdicts

    def share_of_idle_speed(self) -> float:
        return SECONDS[0, 2] * len(self.steps) / sum(seconds for _, seconds in self.steps)


@pytest.mark.parametrize(("neighbours", "goal"), [(1, 0.6), (2, 0.4)])
def test_a_busy_machine_is_noticed_in_the_first_steps(neighbours: int, goal: float) -> None:
    machine = Machine(neighbours)
    choice = ThreadChoice(2, machine.read)
    (verdict,) = machine.train(choice, 120)
    assert (verdict.before, verdict.tried, verdict.accepted) == (2, 1, True)
    assert verdict.seconds_before == pytest.approx(SECONDS[neighbours, 2] / BATCH)
    assert [threads for threads, _ in machine.steps].index(1) <= 7
    assert machine.share_of_idle_speed() > goal


@pytest.mark.parametrize("reports", [True, False])
def test_an_idle_machine_sees_no_trial(reports: bool) -> None:
    machine = Machine(reports=reports)
    assert not machine.train(ThreadChoice(2, machine.read), 600)
    assert {threads for threads, _ in machine.steps} == {2}


@pytest.mark.parametrize("reports", [True, False])
def test_the_number_follows_the_load(reports: bool) -> None:
    machine = Machine(reports=reports)
    choice = ThreadChoice(2, machine.read)
    for neighbours, number in [(1, 1), (0, 2), (2, 1), (0, 2)]:
        machine.neighbours = neighbours
        verdicts = machine.train(choice, 2 * PATIENCE_S)
        assert [verdict.tried for verdict in verdicts if verdict.accepted] == [number]
        assert choice.number == number


def test_two_threads_are_not_tried_while_no_core_is_free() -> None:
    machine = Machine(neighbours=9)
    machine.train(ThreadChoice(2, machine.read), 1200)
    assert [threads for threads, _ in machine.steps].count(2) == 2  # one to warm up, one measured


def test_a_hopeless_trial_ends_after_one_measured_step_and_is_repeated_ever_later() -> None:
    machine = Machine(neighbours=9, reports=False)  # cores may be free, for all that is known
    verdicts = machine.train(ThreadChoice(2, machine.read), 1200)
    assert verdicts[0].accepted
    assert not any(verdict.accepted for verdict in verdicts[1:])
    assert len(verdicts) == 1 + 6  # after 30 s, 30 s, 60 s, 120 s, 240 s, 480 s
    tried = [threads for threads, _ in machine.steps].count(2) - 2
    assert tried == 2 * 6


def test_fewer_threads_are_tried_early_when_the_machine_gets_busier(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SECONDS, (1, 2), 0.25)  # not worth a change
    machine = Machine(neighbours=1)
    choice = ThreadChoice(2, machine.read)
    (verdict,) = machine.train(choice, 20)
    assert not verdict.accepted
    machine.neighbours = 2
    machine.train(choice, 8)
    assert choice.number == 1


@pytest.mark.parametrize(
    ("most", "waiting", "idle", "expected"),
    [
        (2, 0.1, 0.0, 2),
        (2, 0.5, 0.0, 1),  # a busy neighbour takes half of one core
        (16, 1.0, 0.0, 14),  # two neighbours
        (16, 8.0, 0.0, 8),  # not by more than half at once
        (3, 1.4, 0.0, 1),
    ],
)
def test_the_number_that_is_tried(most: int, waiting: float, idle: float, expected: int) -> None:
    now = [Usage(0.0, 0.0, 0.0, 0.0)]
    choice = ThreadChoice(most, lambda: now[0])
    for _ in range(thread_choice.WARM_UP):
        choice.step(1.5, BATCH)
    now[0] = Usage(10.0, 0.0, 10 * waiting, 10 * idle)
    for _ in range(thread_choice.LEAST_STEPS):
        choice.step(1.5, BATCH)
    assert choice.number == expected


def test_this_system_is_read() -> None:
    before = read_usage()
    torch.ones(100_000).sin()
    after = read_usage()
    assert after.wall > before.wall
    assert after.cpu > before.cpu
    for early, late in ((before.waited, after.waited), (before.idle, after.idle)):
        assert (early is None and late is None) or (early is not None and late is not None and late >= early)


@pytest.mark.parametrize(
    ("wall", "own", "idle", "share"),
    [
        (10.0, 12.0, 0.0, 0.4),  # 8 of 20 seconds
        (10.0, 12.0, 8.0, 0.0),  # idle
        (10.0, 8.0, 6.0, 0.0),  # a core was free
        (10.0, 19.0, 0.0, 0.0),  # as good as nothing
        (0.1, 0.1, 0.0, 0.0),  # too short
    ],
)
def test_others_that_keep_the_cores_busy_are_noticed(
    wall: float, own: float, idle: float, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    readings = iter([Reading(5.0, 1.0, 3.0), Reading(5.0 + wall, 1.0 + own, 3.0 + idle)])
    assert Neighbours(lambda: next(readings)).share() == pytest.approx(share)
    assert Neighbours(lambda: None).share() == 0.0


def test_a_process_whose_name_is_cut_inside_a_letter_is_counted(tmp_path: Path) -> None:
    if others.read_cores() is None:
        pytest.skip("this system shows no processes")
    named = tmp_path / ("ä" * 10)  # 20 bytes, of which Linux shows 15
    shutil.copy("/bin/sleep", named)
    with subprocess.Popen([named, "60"]) as process:
        try:
            assert others.read_cores() is not None
        finally:
            process.kill()


def test_processes_that_this_one_started_are_no_others() -> None:
    before = others.read_cores()
    subprocess.run([sys.executable, "-c", "sum(range(10**7))"], check=True)
    ended = others.read_cores()
    if before is not None and ended is not None:
        assert ended.own - before.own > 0.05
        assert ended.idle >= before.idle
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as child:
        time.sleep(1.0)
        running = others.read_cores()
        child.kill()
    if ended is not None and running is not None:
        assert running.own - ended.own > 0.05


def test_the_number_takes_effect_in_forward_and_backward_passes() -> None:
    before = torch.get_num_threads()
    seen = []

    class Spy(torch.autograd.Function):
        @staticmethod
        def forward(ctx: object, x: torch.Tensor) -> torch.Tensor:
            seen.append(torch.get_num_threads())
            return x.clone()

        @staticmethod
        def backward(ctx: object, grad: torch.Tensor) -> torch.Tensor:
            seen.append(torch.get_num_threads())
            return grad

    try:
        for number in (2, 1):
            torch.set_num_threads(number)
            Spy.apply(torch.ones(1, requires_grad=True)).sum().backward()
    finally:
        torch.set_num_threads(before)
    assert seen == [2, 2, 1, 1]


class FewerAfterAStep:
    """Choice that accepts one thread after the first step."""

    def __init__(self, most: int) -> None:
        self.number = most

    def step(self, seconds: float, images: int) -> Verdict | None:
        before, self.number = self.number, 1
        return Verdict(before, 1, 0.5, 0.25) if before == 2 else None


def test_a_run_reports_its_numbers_and_measures_its_speed_with_the_first(
    tiny: list[str], train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = torch.get_num_threads()
    monkeypatch.setattr("gffpn.suite.fit.AT_START", 2)
    monkeypatch.setattr("gffpn.callbacks.cpu_threads.ThreadChoice", FewerAfterAStep)
    monkeypatch.setattr(Neighbours, "share", lambda self: 0.25)
    kept: list[str] = []
    monkeypatch.setattr("gffpn.suite.fit.keep_freed_memory", lambda: kept.append("memory"))
    words = [*tiny, "trainer.max_epochs=1", "trainer.accelerator=cpu"]
    try:
        code, printed = train("-m", *words, "neck=fpn", "seed=0,1")
    finally:
        torch.set_num_threads(before)
    assert code == 0, printed
    line = "2 threads (2.0 images/s) wait for other processes; continuing with 1 thread (4.0 images/s)"
    assert printed.count(line) == 2  # the second run starts with two threads again
    for folder in (tmp_path / "runs").glob("fpn_*"):
        metrics = json.loads((folder / "metrics.json").read_text())
        assert metrics["speed"]["threads"] == 2
        assert metrics["training"]["threads"] == [2, 1]
        assert metrics["training"]["minutes_others"] == pytest.approx(0.25)
        (curves,) = folder.glob("logs/*/metrics.csv")
        rows = list(csv.DictReader(curves.read_text().splitlines()))
        assert [float(row["train/threads"]) for row in rows if row["train/threads"]] == [1.0]
        checkpoint = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
        assert checkpoint["callbacks"]["CPUThreads"]["used"] == [2, 1]
    # as in training, also where another process measures the speed: without, FPS are 8 % lower
    assert kept == ["memory", "memory"]


def test_a_fixed_number_stays() -> None:
    before = torch.get_num_threads()
    callback = CPUThreads(fixed=2)
    trainer = L.Trainer(accelerator="cpu", logger=False, callbacks=[callback], enable_checkpointing=False)
    assert cpu_threads(trainer) is callback
    callback.load_state_dict({"used": [1], "devices": ["another"]})
    try:
        callback.setup(trainer, L.LightningModule(), "fit")
        callback.on_train_start(trainer, L.LightningModule())
        for _ in range(20):
            callback.on_train_batch_start(trainer, L.LightningModule(), {}, 0)
            callback.on_train_batch_end(trainer, L.LightningModule(), {}, {}, 0)
        assert torch.get_num_threads() == callback.at_start == 2
    finally:
        torch.set_num_threads(before)
    # an earlier attempt had another number and another device
    here = device_name(torch.device("cpu"))
    assert callback.state_dict() == {"used": [1, 2], "devices": ["another", here]}
