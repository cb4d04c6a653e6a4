"""All that can be chosen and set: groups, their options, and keys with their comments, read from conf/."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from gffpn.config.overrides import CONF
from gffpn.guide.comments import Commented, Entry, read_commented, shown

LAUNCHER = "hydra/launcher"
LAUNCHERS = "where the runs of a sweep are executed; joblib, submitit_local and submitit_slurm are plugins"
SWEPT = ("hydra.", "experiment.arms.")
"""Prefixes of keys in the file of an experiment that say what it varies."""
WORDS_OF_HYDRA = ("_target_", "_partial_")


class Setting(NamedTuple):
    """Key of the configuration in one file."""

    key: str
    """Its name on the command line."""
    value: str | None
    """As it is written; None for a mapping, whose keys are settings of their own."""
    comment: str
    path: Path
    line: int
    option: str
    """The choice that the file belongs to, such as `neck=gffpn`; empty for train.yaml."""
    target: str
    """Dotted name of the class whose argument it is, or an empty string."""

    @property
    def origin(self) -> str:
        """The file and the line."""
        return f"{shown(self.path)}:{self.line}"


class Group(NamedTuple):
    """Configuration group, such as `neck`."""

    name: str
    default: str
    """The default option; `null` for none."""
    meaning: str
    options: Sequence[str]

    @property
    def package(self) -> str:
        """Return the place of its keys in the configuration, such as `hydra.launcher`."""
        return self.name.replace("/", ".")


class Catalogue:
    """Groups, options and settings of conf/ and of further folders, as on the search path of Hydra.

    `folders` are those of `--config-dir`.
    """

    def __init__(self, folders: Sequence[Path] = ()) -> None:
        self.folders = (CONF, *folders)
        self._read: dict[Path, Commented] = {}

    @cached_property
    def groups(self) -> Mapping[str, Group]:
        """The groups by name, in the order of train.yaml."""
        defaults = [item for item in self.file("train").defaults if item.group and " " not in item.group]
        found = {item.group: (item.option, item.comment) for item in defaults} | {
            LAUNCHER: ("basic", LAUNCHERS)
        }
        return {name: Group(name, *about, self._options(name)) for name, about in found.items()}

    def file(self, name: str) -> Commented:
        """Return the contents of a file by its name without ending, such as `neck/fpn`."""
        path = self.path(name)
        if path not in self._read:
            self._read[path] = read_commented(path)
        return self._read[path]

    def path(self, name: str) -> Path:
        """Return the path of a file, the first one on the search path.

        Raises ValueError if there is none.
        """
        for folder in self.folders:
            if (path := folder / f"{name}.yaml").is_file():
                return path
        folders = " or ".join(map(shown, self.folders))
        raise ValueError(f"{name}.yaml: not in {folders}, but in the defaults list of a file there")

    def header(self, group: str, option: str) -> Sequence[str]:
        """Return the lines at the top of an option's file."""
        return self.file(f"{group}/{option}").header

    def summary(self, group: str, option: str) -> str:
        """Return the first of these lines, or an empty string."""
        return next(iter(self.header(group, option)), "").removesuffix(":")

    def settings(self, group: Group, option: str) -> Mapping[str, Setting]:
        """Return the settings of an option by key, with those of the options that it is based on."""
        found: dict[str, Setting] = {}
        is_global = self.file(f"{group.name}/{option}").is_global
        for where, setting in self._flat(group.name, option, {}):
            key = where if is_global else f"{group.package}.{where}"
            if is_global and (setting.value is None or key.startswith(SWEPT)):
                continue  # a mapping of a group's keys, and what an experiment varies
            comment = setting.comment or (found[key].comment if key in found else "")
            found[key] = setting._replace(key=key, comment=comment, option=f"{group.name}={option}")
        return {key: one._replace(target=_target(key, found)) for key, one in found.items()}

    @cached_property
    def top(self) -> Mapping[str, Setting]:
        """The settings of train.yaml, except those of Hydra."""
        path = self.path("train")
        return {
            entry.key: _setting(entry, path)
            for entry in self.file("train").entries
            if not f"{entry.key}.".startswith("hydra.")
        }

    @cached_property
    def every(self) -> Sequence[Setting]:
        """All settings of all options; one without a comment has that of the same key elsewhere."""
        found = list(self.top.values())
        for group in self.groups.values():
            for option in group.options:
                found += self.settings(group, option).values()
        found = [one for one in found if one.key.rpartition(".")[2] not in WORDS_OF_HYDRA]
        # of several comments, that of the default choice counts
        commented = [one for one in sorted(found, key=self._is_default) if one.comment]
        known = {(one.key, target): one.comment for one in commented for target in (one.target, "")}

        def borrowed(one: Setting) -> str:
            # a user's class may mean something else by the same key
            targets = (one.target, "") if one.path.is_relative_to(CONF) else (one.target,)
            return next((known[one.key, target] for target in targets if (one.key, target) in known), "")

        return [one._replace(comment=one.comment or borrowed(one)) for one in found]

    def default(self, key: str) -> Setting | None:
        """Return the setting that counts if nothing is overridden; None if no default choice has the key."""
        found = [one for one in self.every if one.key == key and self._is_default(one)]
        return found[-1] if found else None

    def _is_default(self, one: Setting) -> bool:
        group, _, option = one.option.partition("=")
        return not group or self.groups[group].default == option

    def _options(self, group: str) -> Sequence[str]:
        return sorted({file.stem for folder in self.folders for file in (folder / group).glob("*.yaml")})

    def _flat(self, group: str, option: str, asked: Mapping[str, str]) -> Iterator[tuple[str, Setting]]:
        """Yield the settings of an option, those of the options that it is based on first."""
        file = self.file(f"{group}/{option}")
        overridden = {
            item.group.removeprefix("override "): item.option
            for item in file.defaults
            if item.group.startswith("override ")
        }
        asked = {**overridden, **asked}
        own_first = bool(file.defaults) and file.defaults[0].option == "_self_"
        if own_first:
            yield from self._own(group, option)
        for item in file.defaults:
            if item.group.startswith("override ") or item.option == "_self_":
                continue
            name, _, package = item.group.lstrip("/").partition("@")
            base = asked.get(item.group, item.option)
            if (name or group) == LAUNCHER and base not in self._options(LAUNCHER):
                continue  # of a plugin
            for where, setting in self._flat(name or group, base, asked):
                yield f"{package}.{where}" if package else where, setting
        if not own_first:
            yield from self._own(group, option)

    def _own(self, group: str, option: str) -> Iterator[tuple[str, Setting]]:
        path = self.path(f"{group}/{option}")
        for entry in self.file(f"{group}/{option}").entries:
            yield entry.key, _setting(entry, path)


def _setting(entry: Entry, path: Path) -> Setting:
    return Setting(entry.key, entry.value, entry.comment, path, entry.line, "", "")


def _target(key: str, found: Mapping[str, Setting]) -> str:
    beside = found.get(f"{key.rpartition('.')[0]}._target_")
    return beside.value or "" if beside else ""
