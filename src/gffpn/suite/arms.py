"""Arms of an experiment that differ in several settings, or each in another one: `experiment.arms`."""

from collections.abc import Mapping, Sequence

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, ListConfig

SWEEPER = "hydra_plugins.gffpn_arms.ArmSweeper"


def jobs_of(overrides: list[Override], arms: Mapping[str, Sequence[str]] | None) -> list[list[str]]:
    """Return the overrides of each job: those of an arm, if there are any, and one value of each axis.

    Raises ValueError for an arm that is no list of overrides, and for a setting that is also set beside it.
    """
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

    arms = arms or {}
    (jobs,) = BasicSweeper.split_arguments(overrides, None)
    set_beside = {override.get_key_element().lstrip("+~") for override in overrides}
    for name, words in arms.items():
        if not isinstance(words, list | tuple | ListConfig) or not all("=" in str(word) for word in words):
            raise ValueError(f"experiment.arms.{name}: got {words!r}, expected a list of KEY=VALUE")
        for word in words:
            if (key := str(word).partition("=")[0].lstrip("+~")) in set_beside:
                raise ValueError(f"{key}: the arm {name} of this experiment sets it; leave it out")
    if not arms:
        return [list(job) for job in jobs]
    return [[*map(str, words), *job] for words in arms.values() for job in jobs]


def use_arms(config: DictConfig) -> None:
    """Let a sweep that is about to start vary the arms of its experiment, if it declares any.

    Raises ValueError for a sweeper that chooses its jobs itself.
    """
    if not config.experiment.arms:
        return
    target = str(config.hydra.sweeper._target_)
    if not target.endswith("BasicSweeper"):
        raise ValueError(f"experiment.arms: {target} does not vary arms; leave out hydra/sweeper=")
    config.hydra.sweeper._target_ = SWEEPER
