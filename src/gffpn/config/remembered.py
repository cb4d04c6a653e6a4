"""Memory of a sweep's configuration files: all jobs are composed from what the sweep read at its start."""

import copy
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from hydra._internal.config_repository import CachingConfigRepository, IConfigRepository
from hydra.core.global_hydra import GlobalHydra
from hydra.plugins.config_source import ConfigResult, ConfigSource
from yaml import YAMLError

from gffpn.files.content import stamp


class Remembered(CachingConfigRepository):
    """Repository that reads each configuration file once, however many jobs are composed from it.

    Launchers send it to the processes in which they compose their jobs, so that these read nothing either.
    """

    def __init__(self, delegate: IConfigRepository) -> None:
        self.delegate = delegate
        self.cache: dict[str, ConfigResult | None] = {}
        self.stamps: dict[Path, list[int]] = {}

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        # Hydra copies the repository for each composition; the copies share this memory
        other = type(self)(copy.deepcopy(self.delegate, memo))
        other.cache, other.stamps = self.cache, self.stamps
        return other

    def load_config(self, config_path: str) -> ConfigResult | None:
        """Return a copy of what was read first, because Hydra changes what it composes."""
        key = self._key(config_path)
        if key not in self.cache:
            files = [path for path in self._files(config_path) if path.is_file()]
            before = {path: stamp(path) for path in files[:1]}  # the first one on the search path is read
            self.cache[key] = self.delegate.load_config(config_path)
            self.stamps |= before
        return copy.deepcopy(self.cache[key])

    def config_exists(self, config_path: str) -> bool:
        return self.cache.get(self._key(config_path)) is not None or super().config_exists(config_path)

    def _key(self, config_path: str) -> str:
        # a job may add folders to the search path
        return "\n".join(
            [*(f"{source.provider} {source.path}" for source in self.get_sources()), config_path]
        )

    def _files(self, config_path: str) -> list[Path]:
        name = f"{config_path.removesuffix('.yaml')}.yaml"
        return [Path(source.path, name) for source in self.get_sources() if source.scheme() == "file"]

    def read_all(self) -> None:
        """Read every option of every configuration group, for sweepers that choose their jobs as they go.

        A file that cannot be parsed is left out; a job that chooses it fails.
        """
        for path in {file for source in self.get_sources() for file in _options(source)}:
            with suppress(YAMLError):
                self.load_config(path)

    def edited(self) -> list[Path]:
        """Return the files that were changed or removed since they were read."""
        return sorted(path for path, read in self.stamps.items() if not path.exists() or stamp(path) != read)


def _options(source: ConfigSource) -> Iterator[str]:
    """Yield the options in a folder of configuration files, such as `neck/fpn` or `hydra/launcher/joblib`."""
    root = Path(source.path)
    for depth in range(1, 4) if source.scheme() == "file" else ():
        for path in root.glob("/".join(["*"] * depth) + ".yaml"):  # unlike rglob, it follows links
            yield str(path.relative_to(root).with_suffix(""))


def remember() -> Remembered:
    """Make Hydra compose everything from now on from a memory of its files, and return that memory."""
    loader: Any = GlobalHydra.instance().config_loader()
    if not isinstance(loader.repository, Remembered):
        loader.repository = Remembered(loader.repository)
    return loader.repository


def edited_files() -> list[Path]:
    """Return the configuration files that were edited since the sweep of this job read them."""
    loader: Any = GlobalHydra.instance().config_loader()
    return loader.repository.edited() if isinstance(loader.repository, Remembered) else []
