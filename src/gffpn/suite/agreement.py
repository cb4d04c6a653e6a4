"""Agreement between the processes of a run: the first one decides what is done, and the others follow it.

Those that Lightning starts find everything decided. Those that srun, torchrun or a person has started begin
together with the first one. Each of them puts a question, an empty file with a random name, into a folder
that the processes of a command share, and waits for its answer. What a killed command has left there misleads
nobody, because no two questions have the same name.
"""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from omegaconf import DictConfig, OmegaConf

from gffpn.files.writing import write_atomically
from gffpn.machine.processes import is_lead
from gffpn.runs.folder import RunFolder

COMPOSED_BY_LEAD = "GFFPN_CONFIG"
"""Environment variable that names the configuration of the process that started this one."""
LIMIT_S = 1800.0
"""Time without a sign of the other processes after which one gives up, as long as torch's own."""
INTERVAL_S = 0.2
"""Time between two looks at the folder."""
SIGN = "first"
"""File that the first process rewrites while it waits for the run's lock."""


class AgreementError(RuntimeError):
    """Raised in a process of a run whose other processes do not answer, or whose first one has failed."""


@dataclass(frozen=True)
class Answers:
    """The answers of a run's first process to the `others` that were started together with it."""

    folder: Path
    others: int

    def wait(self) -> None:
        """Show the others that the decision is still to come."""
        if self.others:
            write_atomically(self.folder / SIGN, str(time.time()))

    def give(self, answer: str, *, limit_s: float | None = None) -> None:
        """Answer the questions of all others, and wait until they have read the answers.

        Raises AgreementError if this takes over `limit_s` seconds (by default `LIMIT_S`).
        """
        limit_s = LIMIT_S if limit_s is None else limit_s
        deadline = time.monotonic() + limit_s
        answered = set[Path]()
        while self.others:
            questions = set(self.folder.glob("*.question"))
            if len(answered - questions) >= self.others:  # they have removed theirs
                shutil.rmtree(self.folder, ignore_errors=True)
                return
            for question in questions - answered:
                write_atomically(question.with_suffix(".answer"), answer)
            answered |= questions
            if time.monotonic() > deadline:
                raise AgreementError(
                    f"{len(answered - questions)} of the {self.others} other processes of this run have "
                    f"appeared within {limit_s:.0f} s; their output says why"
                )
            time.sleep(INTERVAL_S)


def ask(folder: Path) -> str:
    """Return the answer of the run's first process.

    Raises AgreementError after `LIMIT_S` without a sign of it.
    """
    question = folder / f"{uuid4().hex}.question"
    answer = question.with_suffix(".answer")
    folder.mkdir(parents=True, exist_ok=True)
    question.touch()
    seen, sign = time.monotonic(), _sign(folder)
    try:
        while not answer.exists():
            if (now := _sign(folder)) != sign:
                seen, sign = time.monotonic(), now
            if time.monotonic() - seen > LIMIT_S:
                raise AgreementError(
                    f"no sign of the first process of this run within {LIMIT_S:.0f} s; its output says why, "
                    f"or it does not share the folder {folder.parent} with this one"
                )
            time.sleep(INTERVAL_S)
        return answer.read_text(encoding="utf-8")
    finally:
        answer.unlink(missing_ok=True)
        question.unlink(missing_ok=True)


def _sign(folder: Path) -> str:
    try:
        return (folder / SIGN).read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def started_by_lead() -> bool:
    """Return whether Lightning has started this process for a run whose first process has decided."""
    return not is_lead() and COMPOSED_BY_LEAD in os.environ


def lead_folder() -> RunFolder:
    """Return the folder of the run for which this process was `started_by_lead`."""
    return RunFolder(Path(os.environ[COMPOSED_BY_LEAD]).parent)


@contextmanager
def leading(folder: RunFolder) -> Iterator[None]:
    """Hand the run's configuration to the processes that Lightning starts inside the block.

    They repeat the command line, and a configuration file may have been edited meanwhile.
    """
    if started_by_lead():
        yield
        return
    os.environ[COMPOSED_BY_LEAD] = str(folder.config.resolve())
    try:
        yield
    finally:
        os.environ.pop(COMPOSED_BY_LEAD, None)


def composed_by_lead() -> DictConfig | None:
    """Return the configuration of the process that started this one, or None if there is none."""
    if not started_by_lead():
        return None
    config = OmegaConf.load(os.environ[COMPOSED_BY_LEAD])
    assert isinstance(config, DictConfig)
    return config
