"""A small sweeper that chooses each job by the figures of the jobs before it, as optuna's does."""

from typing import Any

from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf


class Uphill(Sweeper):
    """Sweeper that tries `key=values[0]` and `values[1]`, then once more the better one with another seed."""

    def __init__(self, key: str, values: list[Any]) -> None:
        self.key = key
        self.values = values
        self.figures: list[float] = []

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.config = config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        for number, value in enumerate(self.values):
            self.figures.append(self._launch([*arguments, f"{self.key}={value}"], number))
        best = self.values[max(range(len(self.values)), key=self.figures.__getitem__)]
        self.figures.append(self._launch([*arguments, f"{self.key}={best}", "seed=7"], len(self.values)))
        OmegaConf.save(OmegaConf.create(self.figures), f"{self.config.hydra.sweep.dir}/figures.yaml")

    def _launch(self, overrides: list[str], number: int) -> float:
        (result,) = self.launcher.launch([overrides], initial_job_idx=number)
        return float(result.return_value)
