"""The data set of a configuration. Does not import torch, which checking a data set does not need."""

from pathlib import Path

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from gffpn.config.compose import image_size
from gffpn.data.index import DataIndex
from gffpn.data.readers.index_memo import read_index
from gffpn.machine.garbage import collection_paused


def index_key(config: DictConfig) -> str:
    """Return what the index depends on: configurations with equal keys have equal indices."""
    return f"{image_size(config)} {OmegaConf.to_yaml(config.data, resolve=True)}"


def build_index(config: DictConfig) -> DataIndex:
    """Read the data set, or generate it if it is simulated, and return its index.

    The index of a large set is remembered until the set changes.
    """
    source = instantiate(config.data, Path(config.paths.cache), image_size(config), _convert_="all")
    with collection_paused():
        return read_index(source)
