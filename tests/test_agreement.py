"""Do the processes of a run do the same, whoever has started them, and is a process that differs refused?"""

import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fake_runs import record
from gffpn.config.compose import compose_config
from gffpn.data.index import DataError
from gffpn.files.writing import alone, write_atomically
from gffpn.machine import processes
from gffpn.runs.folder import RunFolder
from gffpn.runs.identity import digest_of
from gffpn.suite import agreement, execution
from gffpn.suite.agreement import COMPOSED_BY_LEAD, SIGN, AgreementError, Answers, ask
from gffpn.suite.execution import check_same_as_lead, execute, execute_apart
from gffpn.suite.plan import Plan

Calls = list[tuple[str, bool]]
"""Processes that have started to train, and whether they resumed."""
TORCHRUN = {"LOCAL_RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}


@pytest.fixture
def plan(tiny: list[str]) -> Plan:
    return Plan.of(compose_config(tiny), group=None)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Let threads named 0 and 1 be the processes of a command by torchrun; return those that train."""
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    for module in (execution, agreement):
        monkeypatch.setattr(module, "is_lead", lambda: threading.current_thread().name != "1")
    monkeypatch.setattr(agreement, "INTERVAL_S", 0.01)
    made: Calls = []

    def fit_and_test(*_: object, resumes: bool, **__: object) -> None:
        made.append((threading.current_thread().name, resumes))

    monkeypatch.setattr(execution, "fit_and_test", fit_and_test)
    return made


@contextmanager
def two_processes(plan: Plan) -> Iterator[dict[str, Exception]]:
    """Execute a plan in two threads during the block; yield what they have raised at its end, by name."""
    raised: dict[str, Exception] = {}

    def work() -> None:
        try:
            execute(plan)
        except Exception as error:
            raised[threading.current_thread().name] = error

    threads = [threading.Thread(target=work, name=name, daemon=True) for name in ("1", "0")]
    for thread in threads:
        thread.start()
        time.sleep(0.05)
    yield raised
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)


def interrupted(plan: Plan) -> RunFolder:
    execution._prepare(plan)
    return plan.folder


def finished(plan: Plan) -> None:
    interrupted(plan).finish(record())


def of_other_code(plan: Plan) -> None:
    interrupted(replace(plan, origin=replace(plan.origin, code={"gffpn.layers.conv": "0" * 12})))


def test_no_process_of_a_second_equal_command_trains(plan: Plan, calls: Calls) -> None:
    """It waits for the first command, of which the other process would see nothing but an empty folder."""
    lock = Path(plan.config["paths"]["runs"]) / ".locks" / digest_of(plan.name)
    with ExitStack() as first:
        first.enter_context(alone(lock))
        with two_processes(plan) as raised:
            time.sleep(0.2)
            assert calls == []
            finished(plan)
            first.close()
    assert (calls, raised) == ([], {})
    assert [path.name for path in lock.parent.iterdir()] == [lock.name]


@pytest.mark.parametrize(
    ("before", "rerun", "resumes"),
    [
        (None, "never", False),
        (interrupted, "never", True),
        (of_other_code, "never", False),
        (finished, "never", None),
        (finished, "all", False),
    ],
)
def test_all_processes_do_what_the_first_decides(
    before: Callable[[Plan], object] | None, rerun: str, resumes: bool | None, plan: Plan, calls: Calls
) -> None:
    if before:
        before(plan)
    with two_processes(replace(plan, config={**plan.config, "rerun": rerun})) as raised:
        pass
    assert raised == {}
    assert sorted(calls) == ([] if resumes is None else [("0", resumes), ("1", resumes)])


def test_rerun_all_keeps_what_its_own_sweep_has_finished(plan: Plan) -> None:
    """A job that is requeued, or started again because another process was killed, is not repeated."""
    finished(plan)
    again = replace(plan, config={**plan.config, "rerun": "all"})
    assert not again.is_done
    assert replace(again, since=time.time() - 60).is_done
    assert not replace(again, since=time.time() + 60).is_done


def test_what_a_killed_command_has_left_is_not_read(plan: Plan, calls: Calls) -> None:
    folder = Path(plan.config["paths"]["runs"]) / ".locks" / f"command-{processes.command_digest()}"
    for name, text in {"a.question": "", "a.answer": "skip x", "b.answer": "resume x", SIGN: "1"}.items():
        write_atomically(folder / name, text)
    with two_processes(plan) as raised:
        pass
    assert raised == {}
    assert sorted(calls) == [("0", False), ("1", False)]
    assert not folder.exists()


def test_if_the_first_process_fails_the_others_end(
    plan: Plan, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Plan) -> str:
        raise ValueError("of a newer version")

    monkeypatch.setattr(execution, "_prepare", refuse)
    with two_processes(plan) as raised:
        pass
    assert {name: type(error) for name, error in raised.items()} == {"0": ValueError, "1": AgreementError}
    assert calls == []


class Script:
    """Clock that a sleeping process moves on by a second, when the other processes act."""

    def __init__(self, act: Callable[[float], object]) -> None:
        self.now = 0.0
        self.act = act

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += 1
        self.act(self.now)

    def time(self) -> float:
        return self.now


def test_a_process_waits_as_long_as_it_sees_signs_of_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def act(now: float) -> None:
        if now < 20:
            Answers(tmp_path, 1).wait()
        elif now == 22:
            (question,) = tmp_path.glob("*.question")
            question.with_suffix(".answer").write_text("start run")

    monkeypatch.setattr(agreement, "LIMIT_S", 5.0)
    monkeypatch.setattr(agreement, "time", Script(act))
    assert ask(tmp_path) == "start run"
    with pytest.raises(AgreementError, match="no sign of the first process of this run within 5 s"):
        ask(tmp_path)
    assert not [*tmp_path.glob("*.question"), *tmp_path.glob("*.answer")]


def test_the_first_process_gives_up_if_the_others_do_not_appear(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def act(now: float) -> None:
        if now == 1:
            (tmp_path / "a.question").touch()
        elif now == 3:
            assert (tmp_path / "a.answer").read_text() == "start run"
            (tmp_path / "a.question").unlink()

    monkeypatch.setattr(agreement, "LIMIT_S", 5.0)
    monkeypatch.setattr(agreement, "time", Script(act))
    with pytest.raises(
        AgreementError, match="1 of the 2 other processes of this run have appeared within 5 s"
    ):
        Answers(tmp_path, 2).give("start run")
    Answers(tmp_path / "alone", 0).wait()
    Answers(tmp_path / "alone", 0).give("start run")
    assert not (tmp_path / "alone").exists()


@pytest.mark.parametrize(
    ("environment", "num_nodes", "count"),
    [
        ({}, 1, 1),
        ({}, 3, 3),  # one command per machine, each of which starts the others there
        ({"LOCAL_RANK": "1", "WORLD_SIZE": "8"}, 2, 8),
        ({"SLURM_NTASKS": "4", "SLURM_STEP_ID": "0"}, 2, 4),
    ],
)
def test_the_number_of_processes_that_start_together(
    environment: dict[str, str], num_nodes: int, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LOCAL_RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert processes.started_together(num_nodes) == count


def test_a_command_has_a_digest_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def digest(**environment: str) -> str:
        with monkeypatch.context() as patch:
            for name in processes.OF_A_COMMAND:
                patch.delenv(name, raising=False)
            for name, value in environment.items():
                patch.setenv(name, value)
            return processes.command_digest()

    step = {"SLURM_JOB_ID": "7", "SLURM_STEP_ID": "0"}
    torchrun = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500", "TORCHELASTIC_RUN_ID": "none"}
    commands = [
        step,
        step | {"SLURM_STEP_ID": "1"},
        step | {"SLURM_RESTART_COUNT": "1"},
        torchrun,
        torchrun | {"MASTER_PORT": "29501"},
        torchrun | {"TORCHELASTIC_RUN_ID": "mine"},
        torchrun | {"MASTER_ADDR": "node1"},
    ]
    assert len({digest(**command) for command in commands}) == len(commands)
    assert digest(**step, SLURM_PROCID="0") == digest(**step, SLURM_PROCID="1")
    before, elsewhere = digest(**torchrun), [digest(**command) for command in (step, commands[-1])]
    monkeypatch.setattr(socket, "gethostname", lambda: "another")
    # two machines with one runs folder may each have a command of its own
    assert digest(**torchrun) != before
    assert [digest(**command) for command in (step, commands[-1])] == elsewhere


def test_a_process_with_other_settings_data_or_code_than_the_first_is_refused(
    plan: Plan, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = interrupted(plan)
    check_same_as_lead(plan, folder)
    others = {
        "settings or data": replace(plan, name=plan.name[:-1] + "x"),
        "data or code changed": replace(plan, index=replace(plan.index, origin="redrawn")),
        "or code changed": replace(plan, origin=replace(plan.origin, code={"gffpn.layers.conv": "0" * 12})),
        "code changed": replace(plan, origin=replace(plan.origin, libraries={"torch": "1.0"})),
    }
    monkeypatch.setenv(COMPOSED_BY_LEAD, str(folder.config))
    monkeypatch.setattr(threading.current_thread(), "name", "1")
    for message, other in others.items():
        with pytest.raises(DataError, match=message):
            execute(other)
    folder.start.unlink()
    with pytest.raises(DataError, match="data or code changed"):
        execute(plan)
    assert calls == []


def test_the_configuration_of_a_run_apart_exists_only_while_it_runs(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Path] = []

    @contextmanager
    def popen(command: list[str], **_: Any) -> Iterator[SimpleNamespace]:
        def wait() -> None:
            if not seen:
                seen.append(Path(command[3]))
                assert seen[0].stem == plan.name
                assert seen[0].read_text()
                raise KeyboardInterrupt

        yield SimpleNamespace(wait=wait, terminate=lambda: None)

    monkeypatch.setattr(subprocess, "Popen", popen)
    with pytest.raises(KeyboardInterrupt):
        execute_apart(plan)
    assert list((Path(plan.config["paths"]["runs"]) / ".composed").iterdir()) == []
