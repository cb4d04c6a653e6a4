"""Explanation of a key, a group or an option: meaning, choices, default and where it is set."""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from gffpn.config.overrides import got
from gffpn.config.yaml_types import words
from gffpn.guide.catalogue import LAUNCHER, Catalogue, Group, Setting
from gffpn.guide.comments import shown
from gffpn.guide.layout import columns, paragraph
from gffpn.guide.signatures import argument_types

UNSET = "???"


def explanation(catalogue: Catalogue, asked: str) -> list[str]:
    """Return the lines that explain a key, a group, an option such as `neck=fpn`, or all that a word fits.

    Raises ValueError with the nearest names if nothing fits.
    """
    name, chosen, option = asked.lstrip("+~").partition("=")
    if name in catalogue.groups:
        group = catalogue.groups[name]
        return [*(_of_option(catalogue, group, option) if chosen else _of_group(catalogue, group))]
    by_key = _by_key(catalogue)
    # an entry of a mapping that users fill, such as trainer.extra
    name = next(
        (key for key, (one, *_) in by_key.items() if name.startswith(f"{key}.") and one.value == "{}"), name
    )
    ends = [name] if name in by_key else [key for key in by_key if key.endswith(f".{name}")]
    if len(ends) == 1:
        return [*_of_key(catalogue, ends[0], by_key[ends[0]])]
    found = [*_found(catalogue, name, ends or _containing(by_key, name))]
    if not found:
        raise ValueError(_no_such(name, [*by_key, *catalogue.groups]))
    return found


def key_rows(catalogue: Catalogue, settings: Sequence[Setting]) -> list[tuple[str, str]]:
    """Return each setting as it is written on the command line, and its meaning."""
    return [
        (one.key if one.value is None else f"{one.key}={value_of(catalogue, one)}", one.comment)
        for one in settings
    ]


def value_of(catalogue: Catalogue, setting: Setting) -> str:
    """Return the value; for the name of another setting such as `${size.depth}`, that setting's default."""
    referred = re.fullmatch(r"\$\{([\w.]+)\}", setting.value or "")
    found = catalogue.default(referred[1]) if referred else None
    return value_of(catalogue, found) if found else setting.value or ""


def type_words(setting: Setting) -> str:
    """Return the values that a setting takes, in words; empty if the class does not say it."""
    hint = _type(setting)
    return ", ".join(choice_words(setting)) or ("" if hint is Any else words(hint))


def choice_words(setting: Setting) -> list[str]:
    """Return the choices as they are written in YAML; empty if the values are not a list of choices."""
    hint = _type(setting)
    parts = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    if not all(part is NoneType or get_origin(part) is Literal for part in parts):
        return []
    values = [value for part in parts for value in (get_args(part) or ("null",))]
    return [str(value).lower() if isinstance(value, bool) else str(value) for value in values]


def _type(setting: Setting) -> Any:
    from gffpn.config.check import LITERALS  # here, because the help of training does not need it

    if setting.value is None:
        return Any
    argument = setting.key.rpartition(".")[2]
    return LITERALS.get(setting.key) or argument_types(setting.target).get(argument, Any)


def _by_key(catalogue: Catalogue) -> Mapping[str, Sequence[Setting]]:
    found: dict[str, list[Setting]] = {}
    for setting in catalogue.every:
        found.setdefault(setting.key, []).append(setting)
    return found


def _of_group(catalogue: Catalogue, group: Group) -> Iterator[str]:
    yield f"{group.name}: {group.meaning}"
    yield ""
    yield from columns(option_rows(catalogue, group))
    yield ""
    yield f"* the default. gffpn explain {group.name}=NAME lists the keys of another one."
    if group.default in group.options:
        yield ""
        yield from _of_option(catalogue, group, group.default)


def option_rows(catalogue: Catalogue, group: Group) -> list[tuple[str, str]]:
    """Return the options of a group, the default marked by a star, with a line for each."""
    names = sorted(group.options, key=lambda option: (option != group.default, option))
    return [
        (
            f"{'*' if name == group.default else ' '} {name}",
            catalogue.summary(group.name, name),
        )
        for name in names
    ]


def _of_option(catalogue: Catalogue, group: Group, option: str) -> Iterator[str]:
    if option not in group.options:
        if group.name == LAUNCHER:
            raise ValueError(f"{group.name}={option}: not of this project; see --hydra-help and --info")
        raise ValueError(got(group.name, option, group.options))
    settings = catalogue.settings(group, option)
    path = catalogue.path(f"{group.name}/{option}")
    yield f"{group.name}={option}  ({shown(path)}{', the default' if option == group.default else ''})"
    yield from (f"  {line}".rstrip() for line in catalogue.header(group.name, option))
    selected = [
        item for item in catalogue.file(f"{group.name}/{option}").defaults if "override /" in item.group
    ]
    yield from (f"  selects {item.group.removeprefix('override /')}={item.option}" for item in selected)
    target = settings.get(f"{group.package}._target_")
    yield from [f"  class: {target.value}"] if target else []
    yield ""
    own = [one for one in catalogue.every if one.option == f"{group.name}={option}"]
    own.sort(key=lambda one: one.path != path)  # those of a neck underneath last
    yield from columns(key_rows(catalogue, own))


def _of_key(catalogue: Catalogue, key: str, settings: Sequence[Setting]) -> Iterator[str]:
    default = catalogue.default(key)
    first = default or settings[0]
    yield key
    yield from paragraph(first.comment)
    for comment in dict.fromkeys(one.comment for one in settings if one.comment not in ("", first.comment)):
        users = [one.option for one in settings if one.comment == comment]
        yield from paragraph(f"With {_joined(users)}: {comment}")
    yield ""
    kinds = dict.fromkeys(kind for one in [first, *settings] if (kind := type_words(one)))
    rows = [("values:" if not number else "", kind) for number, kind in enumerate(kinds)]
    rows += [*_values(catalogue, default, settings)]
    yield from columns(rows)
    below = [one for one in catalogue.every if one.key.startswith(f"{key}.") and one.option == first.option]
    yield from columns(key_rows(catalogue, below))


def _values(
    catalogue: Catalogue, default: Setting | None, settings: Sequence[Setting]
) -> Iterator[tuple[str, str]]:
    """Yield the default and the other values, with the choices that they belong to and their places."""
    if default and default.value is not None:
        written = value_of(catalogue, default)
        more = f" ({default.value})" if written != default.value else ""
        yield "default:", f"{written}{more}{_with([default.option])}, {default.origin}"
    places: dict[tuple[str, str], list[str]] = {}
    for one in settings:
        if one.value not in (None, UNSET) and (not default or one.origin != default.origin):
            places.setdefault((str(one.value), one.origin), []).append(one.option)
    label = "other:" if default else "only:"
    for (value, origin), options in places.items():
        yield label, f"{value}{_with(options)}, {origin}"
        label = ""


def _with(options: Sequence[str]) -> str:
    return f" with {_joined(options)}" if any(options) else ""


def _joined(options: Sequence[str]) -> str:
    """Return options of one group as `neck=fpn, panet`."""
    names: dict[str, list[str]] = {}
    for option in options:
        group, _, name = option.partition("=")
        names.setdefault(group, []).append(name)
    return "; ".join(f"{group}={', '.join(dict.fromkeys(each))}" for group, each in names.items())


def _containing(by_key: Mapping[str, Sequence[Setting]], word: str) -> list[str]:
    asked = word.lower()
    return [
        key
        for key, settings in by_key.items()
        if asked in key.lower() or any(asked in one.comment.lower() for one in settings)
    ]


def _found(catalogue: Catalogue, word: str, keys: Sequence[str]) -> Iterator[str]:
    """Yield a line for each of the keys, and for each option that the word describes."""
    by_key = _by_key(catalogue)
    rows = [(key, (catalogue.default(key) or by_key[key][0]).comment) for key in keys]
    for group in catalogue.groups.values():
        for option in group.options:
            line = catalogue.summary(group.name, option)
            if word.lower() in f"{option} {line}".lower():
                rows.append((f"{group.name}={option}", line))
    yield from columns(rows, indent=0)


def _no_such(name: str, known: Sequence[str]) -> str:
    names = {key.rpartition(".")[2]: key for key in reversed(known)} | {key: key for key in known}
    near = dict.fromkeys(names[one] for one in difflib.get_close_matches(name, names, n=3))
    hint = f"; did you mean {' or '.join(near)}?" if near else "; gffpn explain lists all groups"
    return f"{name}: no such key, group or word{hint}"
