"""What a run will do: its settings, its data, its name and its start."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from omegaconf import DictConfig

from gffpn.build.index import build_index
from gffpn.config.compose import targets
from gffpn.config.resolve import processes_of, resolved
from gffpn.data.index import DataIndex
from gffpn.machine.thread_choice import AT_START
from gffpn.runs import identity
from gffpn.runs.code import code_of
from gffpn.runs.commands import repeatable
from gffpn.runs.folder import RunFolder
from gffpn.runs.provenance import Provenance, Start, changes, provenance
from gffpn.suite.budget import within_budget

DATA_CHANGED = "the data changed since the sweep started; repeat the command"


@dataclass(frozen=True)
class Plan:
    """A run that is to be executed: its resolved configuration, its data, its folder and its start."""

    config: Mapping[str, Any]
    index: DataIndex
    name: str
    group: str | None
    origin: Provenance
    command: tuple[str, ...] = ()
    """Words of the command that repeats the run; empty if this process does not know it."""
    since: float = math.inf
    """Time of the sweep's start. What finished later is one of its own runs, which `rerun=all` keeps."""

    @classmethod
    def of(
        cls,
        config: DictConfig,
        *,
        group: str | None,
        name: str | None = None,
        command: Sequence[str] = (),
        since: float = math.inf,
        index: DataIndex | None = None,
    ) -> Self:
        """Digest the code, read the data if there is no `index`, and name the run of a configuration.

        A run in its own folder may have a `name`, which its hash follows.
        """
        plain = resolved(config)
        code = code_of(targets(plain), Path(plain["paths"]["cache"]))
        origin = replace(provenance(), code=code)
        index = build_index(config) if index is None else index
        plain = within_budget(plain, index)
        hashed = identity.run_name(plain, index.fingerprint, processes=processes_of(plain))
        given = f"{name}_{identity.digest_of(hashed)}" if name else hashed
        words = tuple(repeatable(command, plain, threads=AT_START))
        return cls(plain, index, given, group, origin, words, since)

    @property
    def folder(self) -> RunFolder:
        """The existing folder with the run's hash, whatever the rest of its name, or else a new one.

        Of copies, a finished one counts.
        """
        runs = Path(self.config["paths"]["runs"])
        known = sorted(path.parent for path in runs.glob(f"*_{identity.digest_of(self.name)}/config.yaml"))
        folders = [RunFolder(path) for path in known] or [RunFolder(runs / self.name)]
        return next((folder for folder in folders if folder.status == "finished"), folders[0])

    @property
    def start(self) -> Start:
        """What the run starts with."""
        return Start(self.origin, self.index.fingerprint)

    @property
    def outdated(self) -> list[str]:
        """Differences of code and versions between the folder's contents and this plan; empty without any."""
        folder = self.folder
        if record := folder.read():
            return changes(record.provenance, self.origin)
        if folder.status == "missing":
            return []
        start = folder.read_start()
        return ["start.json is missing"] if start is None else changes(start.provenance, self.origin)

    @property
    def is_done(self) -> bool:
        """True if the run is finished and is not to run again."""
        folder, rerun = self.folder, self.config["rerun"]
        if folder.status != "finished":
            return False
        if rerun == "all":
            return folder.metrics.stat().st_mtime > self.since
        return rerun == "never" or not self.outdated
