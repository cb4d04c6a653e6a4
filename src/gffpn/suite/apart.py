"""`python -m gffpn.suite.apart CONFIG GROUP`: a run of several processes inside a sweep.

Started by the sweep. Lightning repeats this command for each further process of the run.
"""

import os
import sys
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from gffpn.machine.imports import first_imports


def main(path: Path, group: str) -> None:
    """Execute the run of a configuration that the sweep composed; `path` is named after the run."""
    with first_imports():
        from gffpn.suite.execution import check_unchanged, execute
        from gffpn.suite.plan import Plan
        from gffpn.suite.run import Single, attempt

    class Apart(Single):
        """Attempt that repeats neither the sweep's checks nor its table."""

        def go(self) -> None:
            self.plan = Plan.of(self.config, group=group)
            check_unchanged(self.plan, path.stem)
            execute(self.plan)

        def report(self) -> str:
            return "finished"

    config = OmegaConf.load(path)
    assert isinstance(config, DictConfig)
    attempt(Apart(config, []))


if __name__ == "__main__":
    if os.getcwd() not in sys.path:  # so that users can keep their own necks there
        sys.path.append(os.getcwd())
    main(Path(sys.argv[1]), sys.argv[2])
