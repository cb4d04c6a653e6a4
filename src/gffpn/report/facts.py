"""Plain values that a report shows besides figures: provenance of its runs, gaps, and the paper's claims."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Cause = Literal["failed", "interrupted", "missing", "diverged", "other version", "damaged"]
Outcome = Literal["reproduced", "contradicted", "cannot tell", "not testable", "not run"]


@dataclass(frozen=True)
class RunFacts:
    """Provenance of one run, finished or not."""

    arm: str
    """Name of the arm of the study, as in `Study.arms`."""
    seed: str
    status: str
    """finished, or the cause of its gap."""
    name: str = ""
    """Name of the folder; empty for a run that has none yet."""
    path: Path | None = None
    command: str = ""
    """Command that repeats the run; empty if the overrides of the run are not recorded."""
    started_by: str = ""
    """Name of the sweep, or empty for a run of its own."""
    commit: str | None = None
    """None outside git, or for a run that never started."""
    dirty: bool | None = None
    """True if the code had uncommitted changes."""
    code: str = ""
    """Digest of all modules that computed the result."""
    versions: tuple[tuple[str, str], ...] = ()
    """(name, version) of Python and the libraries."""
    data: str = ""
    """Fingerprint of the data set."""
    device: str = ""
    """The devices of training, or, if they are unknown, that on which FPS was measured."""
    threads: tuple[int, ...] = ()
    """Numbers of CPU threads with which training steps ran."""
    processes: int | None = None
    precision: str = ""
    minutes: float | None = None
    """Of training and validation, over all attempts."""
    tested_epoch: int | None = None
    trained_epochs: int | None = None
    still_improving: bool = False
    """True if val mAP50 still rose by over 1 point in the last fifth of the epochs."""


@dataclass(frozen=True)
class Gap:
    """A run that a study lacks."""

    arm: str
    seed: str
    cause: Cause
    reason: str
    """One line: the error of a failed run, or the epochs that an interrupted one has finished."""
    command: str
    """Command that fills the gap; empty for a diverged run, which is a result and is not replaced."""
    path: Path | None = None
    """The run's folder, if it has one; its traceback is in traceback.txt."""


@dataclass(frozen=True)
class StudyFacts:
    """What a report says of one study besides its figures."""

    source: str
    """The sweep's folder, or the folder of the runs."""
    command: str
    """Command that repeats the sweep and runs only what is missing; empty for loose runs."""
    runs: tuple[RunFacts, ...]
    """Every run, in the order of the study's arms."""
    gaps: tuple[Gap, ...] = ()

    def gap(self, arm: str, seed: str) -> Gap | None:
        """Return the gap of an arm's seed, or None if that run is finished."""
        return next((gap for gap in self.gaps if (gap.arm, gap.seed) == (arm, seed)), None)


@dataclass(frozen=True)
class Claim:
    """One claim of the paper, and what the runs say about it."""

    name: str
    sentence: str
    """The claim in our own words."""
    where: str
    """Section and table of the paper."""
    paper: str
    """The paper's figures in words, such as `69.9 - 60.2 = +9.7 points`; empty if it gives none."""
    outcome: Outcome
    reason: str
    """One line: the contrast's figures, or why the claim is not testable or cannot be decided."""
    study: str = ""
    """Name of the study that tests it."""
    contrast: str = ""
    """Name of the contrast in that study, such as `gffpn - fpn`."""
    endpoint: str = ""
    """The figure that is compared, such as `mAP50`."""
    simulated: bool = False
    """True if the study's data is simulated, a stand-in for the paper's."""
    command: str = ""
    """Command of the experiment that tests it, for a claim that was not run."""


@dataclass(frozen=True)
class Facts:
    """All that a report shows besides its studies."""

    studies: tuple[StudyFacts, ...]
    """In the order of the studies."""
    claims: tuple[Claim, ...] = ()
    checks: tuple[str, ...] = ()
    """Lines about a bundle: how many figures and verdicts follow from its predictions alone."""
