"""Execution of a run in its folder: skipped if it is finished, resumed if it was interrupted, or started."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

from omegaconf import OmegaConf

from gffpn.callbacks.checkpoints import complete_last
from gffpn.callbacks.finite import LossNotFiniteError
from gffpn.data.index import DataError
from gffpn.files.writing import alone, write_atomically
from gffpn.machine import processes
from gffpn.machine.processes import is_lead
from gffpn.report.caption import shortened
from gffpn.report.state import unfinished
from gffpn.runs import identity
from gffpn.runs.folder import RunFolder
from gffpn.runs.provenance import changes
from gffpn.runs.reading import of_other_epochs
from gffpn.suite.agreement import (
    AgreementError,
    Answers,
    ask,
    lead_folder,
    leading,
    started_by_lead,
)
from gffpn.suite.fit import fit_and_test
from gffpn.suite.plan import DATA_CHANGED, Plan
from gffpn.suite.tracking import report_skipped

FAILED = "failed"
"""Answer of a first process that could not decide."""
FAILED_S = 30.0
"""Time for which it gives that answer."""


def execute(plan: Plan) -> None:
    """Fit, test and write metrics.json, or print that the run is already finished."""
    with _decided(plan) as action:
        if action == "skip":
            _skip(plan)
            return
        folder, resumes = plan.folder, action == "resume"
        say(f"{'Resuming' if resumes and folder.last_checkpoint else 'Running'}: {folder.path}")
        try:
            with leading(folder):
                group = plan.group or folder.path.name
                config = OmegaConf.create(dict(plan.config))
                record = fit_and_test(
                    config, plan.index, folder, group=group, origin=plan.origin, resumes=resumes
                )
            if record is not None:
                folder.finish(record)
        except SystemExit:  # Lightning exits on Ctrl-C and SIGTERM
            raise KeyboardInterrupt from None


@contextmanager
def _decided(plan: Plan) -> Iterator[str]:
    """Yield what is done: skip, resume or start.

    The run's first process decides, and holds the run's lock inside the block; the others follow it.
    """
    runs = Path(plan.config["paths"]["runs"])
    meeting = runs / ".locks" / f"command-{processes.command_digest()}"
    if is_lead():
        others = processes.started_together(plan.config["trainer"]["num_nodes"]) - 1
        lock, waits_for = runs / ".locks" / identity.digest_of(plan.name), f"the run {plan.name}"
        answers = Answers(meeting, others)
        with alone(lock, waits_for=waits_for, meanwhile=answers.wait):
            yield _decide(plan, answers)
    elif started_by_lead():
        check_same_as_lead(plan, lead_folder())
        yield "resume"  # the folder is prepared: without a checkpoint there, the run starts
    else:
        action, _, name = ask(meeting).partition(" ")
        if action == FAILED:
            raise AgreementError("the first process of this run has failed; its message says why")
        if action != "skip":
            check_same_as_lead(plan, RunFolder(runs / name))
        yield action


def _decide(plan: Plan, answers: Answers) -> str:
    """Decide what is done, make the run's folder ready for it, and answer the other processes."""
    try:
        action = "skip" if plan.is_done else _prepare(plan)
    except Exception:
        with suppress(AgreementError):
            answers.give(FAILED, limit_s=FAILED_S)
        raise
    answers.give(f"{action} {plan.folder.path.name}")
    return action


def _prepare(plan: Plan) -> str:
    """Make the run's folder ready and return `resume` or `start`.

    Earlier results that are not continued are set aside.
    """
    if other := plan.folder.other_version():
        if other.newer:
            raise other
        say(str(other))
    _refuse_diverged(plan)
    earlier = plan.folder
    # with other code, the result would be a mixture
    resumes = earlier.status in ("interrupted", "failed") and not plan.outdated
    if earlier.status != "missing" and not resumes:
        why = f" ({shortened(plan.outdated)})" if plan.outdated else ""
        verb = "runs again" if earlier.status == "finished" else "restarts"
        say(f"This run {verb}{why}; its earlier files are in {earlier.set_aside()}")
        while (copy := plan.folder).status != "missing":
            say(f"A copy of it is now in {copy.set_aside()}")
    elif earlier.status == "missing":
        _mention_other_epochs(plan)
    folder = plan.folder
    if torn := folder.drop_torn_checkpoints():
        say(f"{' and '.join(torn)} damaged; restarting this run")
    if resumes:
        complete_last(folder.checkpoints)
    folder.traceback.unlink(missing_ok=True)  # from an earlier attempt
    write_atomically(folder.config, OmegaConf.to_yaml(OmegaConf.create(dict(plan.config))))
    write_atomically(folder.start, json.dumps(asdict(plan.start), indent=1) + "\n")
    if plan.command:
        write_atomically(folder.command, json.dumps(plan.command) + "\n")
    return "resume" if resumes else "start"


def _mention_other_epochs(plan: Plan) -> None:
    """Print which finished runs differ from a new one only in their number of epochs."""
    for epochs, path in of_other_epochs(plan.folder.path, plan.config, plan.index.fingerprint):
        say(
            f"The same run with trainer.max_epochs={epochs} is in {path}. This one starts from the "
            f"beginning; with init={path}, it would start from the weights of that run"
        )


def _refuse_diverged(plan: Plan) -> None:
    """Raise LossNotFiniteError if the run diverged before: a result, and by the same code again the same."""
    if plan.config["rerun"] == "all" or plan.outdated:
        return
    status, line = unfinished(plan.folder)
    if status == "diverged":
        reason = line.partition(": ")[2].partition(" (this run diverged")[0]
        raise LossNotFiniteError(
            f"{reason} (this run diverged before, which is its result; rerun=all trains it again)"
        )


def _skip(plan: Plan) -> None:
    """Print that the run is finished, and report its figures to W&B if an agent asked for them."""
    folder, other = plan.folder, plan.outdated
    note = f" with other code ({shortened(other)}); rerun=changed runs it again" if other else ""
    say(f"Already finished, skipped: {folder.path}{note}")
    report_skipped(OmegaConf.create(dict(plan.config)), folder, group=plan.group or folder.path.name)


def execute_apart(plan: Plan) -> None:
    """Execute a run of several processes inside a sweep, as a separate command.

    The processes that Lightning starts repeat the command line, so they would repeat the whole sweep.
    """
    if plan.is_done:
        _skip(plan)
        return
    with _composed(plan) as file:
        command = [sys.executable, "-m", "gffpn.suite.apart", str(file), str(plan.group)]
        # in a new session, so that it is interrupted only once
        with subprocess.Popen(command, start_new_session=True) as process:
            try:
                process.wait()
            except KeyboardInterrupt:
                process.terminate()  # SIGINT would be ignored if this is a shell's background job
                process.wait()
                raise


@contextmanager
def _composed(plan: Plan) -> Iterator[Path]:
    """Yield a file with the run's configuration, named after the run, that exists inside the block."""
    folder = Path(plan.config["paths"]["runs"]) / ".composed"
    folder.mkdir(parents=True, exist_ok=True)
    # a folder for each command, as another one may execute the same run
    with TemporaryDirectory(dir=folder) as own:
        file = Path(own) / f"{plan.name}.yaml"
        file.write_text(OmegaConf.to_yaml(OmegaConf.create(dict(plan.config))), encoding="utf-8")
        yield file


def check_unchanged(plan: Plan, name: str) -> None:
    """Raise DataError unless a plan has the name that the process had which started this one."""
    if plan.name != name:
        raise DataError(DATA_CHANGED)


def check_same_as_lead(plan: Plan, folder: RunFolder) -> None:
    """Raise DataError unless a plan has the settings, the data and the code with which the run started.

    `folder` is that of the run, which its first process has prepared.
    """
    start = folder.read_start()
    if identity.digest_of(plan.name) != identity.digest_of(folder.path.name):
        raise DataError("settings or data of this process are not those of the run's first process")
    if start is None or start.data != plan.start.data or changes(start.provenance, plan.origin):
        raise DataError("data or code changed while the processes of this run started; repeat the command")


def say(message: str) -> None:
    """Print a message in the first process of a run."""
    if is_lead():
        print(message, flush=True)
