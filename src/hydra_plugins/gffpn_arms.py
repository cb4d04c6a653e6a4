"""Hydra sweeper for experiments that declare arms. Hydra finds its plugins in this package."""

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.types import Override

from gffpn.suite.arms import jobs_of


class ArmSweeper(BasicSweeper):
    """Hydra's basic sweeper with one more axis: `experiment.arms`, lists of overrides by name.

    Each job has the overrides of one arm, and one value of each setting that the command line or `params`
    varies.
    """

    def split_arguments(  # type: ignore[override]
        self, overrides: list[Override], max_batch_size: int | None
    ) -> list[list[list[str]]]:
        """Return the overrides of each job, in batches of at most `max_batch_size`."""
        assert self.config is not None
        jobs = jobs_of(overrides, self.config.experiment.arms)
        return [list(batch) for batch in self.split_overrides_to_chunks(jobs, max_batch_size)]
