"""The data set of a configuration. No torch: a data set is checked without it."""

from pathlib import Path

from hydra.utils import instantiate
from omegaconf import DictConfig

from gffpn.config.compose import image_size
from gffpn.data.index import DataIndex


def build_index(config: DictConfig) -> DataIndex:
    """Read (or, for simulated data, make) the data set."""
    source = instantiate(config.data, Path(config.paths.cache), image_size(config), _convert_="all")
    return source.index()
