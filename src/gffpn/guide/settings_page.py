"""All settings as a page of Markdown, docs/settings.md."""

import textwrap
from collections.abc import Iterator

from gffpn.guide.catalogue import Catalogue, Group, Setting
from gffpn.guide.explanation import choice_words

WIDTH = 119
INTRODUCTION = """\
# Settings

This page lists all that can be chosen (`GROUP=NAME`) and set (`KEY=VALUE`) on the command line of
`python train.py`, `gffpn train` and most verbs. `make settings` writes it from the comments in `conf/`. In a
terminal, `gffpn explain optim.lr` also says where a default is set; instead of a key, it takes a group, a
choice such as `neck=gffpn`, or a word to search for."""


def settings_page() -> str:
    """Return the page."""
    return "\n".join(_lines(Catalogue())) + "\n"


def _lines(catalogue: Catalogue) -> Iterator[str]:
    yield from (INTRODUCTION, "", "## Of a run", "")
    for setting in catalogue.top.values():
        if setting.value is not None and not setting.key.startswith("choice."):
            default = catalogue.default(setting.key) or setting
            yield from _item(f"`{setting.key}={default.value}`", setting.comment, _values(setting))
    for group in catalogue.groups.values():
        yield from ("", f"## {group.name}", "", f"{group.meaning[0].upper()}{group.meaning[1:]}.", "")
        for option in group.options:
            yield from _option(catalogue, group, option)
        yield from _keys(catalogue, group)


def _option(catalogue: Catalogue, group: Group, option: str) -> Iterator[str]:
    name = f"`{group.name}={option}`{' (default)' if option == group.default else ''}"
    summary = catalogue.summary(group.name, option)
    file = catalogue.file(f"{group.name}/{option}")
    choices = [
        f"{item.group.removeprefix('override /')}={item.option}"
        for item in file.defaults
        if item.group.startswith("override /") and file.is_global
    ]
    values = [f"{one.key}={one.value}" for one in file.entries if file.is_global and one.value is not None]
    sets = ", ".join(f"`{one}`" for one in [*choices, *values])
    yield from _item(name, summary, f"Sets {sets}." if sets and group.name != "experiments" else "")


def _keys(catalogue: Catalogue, group: Group) -> Iterator[str]:
    """Yield an item for each key and meaning, with the values that the options give to it."""
    found: dict[tuple[str, str], list[Setting]] = {}
    for one in _own_settings(catalogue, group):
        found.setdefault((one.key, one.comment), []).append(one)
    if found:
        yield ""
    for (key, comment), settings in found.items():
        if settings[0].value is None:
            yield from _item(f"`{key}`", comment)
            continue
        options: dict[str, list[str]] = {}
        for one in settings:
            options.setdefault(str(one.value), []).append(one.option.partition("=")[2])
        everywhere = len(options) == 1 and len(settings) == len(group.options)
        name = f"`{key}={settings[0].value}`" if everywhere else f"`{key}`"
        given = (
            "" if everywhere else "; ".join(f"`{v}` in {', '.join(names)}" for v, names in options.items())
        )
        yield from _item(name, comment, _values(settings[0]), f"{given}." if given else "")


def _own_settings(catalogue: Catalogue, group: Group) -> Iterator[Setting]:
    """Yield the settings of a group's options, except those of a neck under another: they are its own."""
    names: dict[str, str] = {}
    for one in catalogue.every:
        names[one.origin] = min(names.get(one.origin, one.key), one.key, key=len)
    for one in catalogue.every:
        inside = one.option.startswith(f"{group.name}=") and one.key.startswith(f"{group.package}.")
        if inside and one.key == names[one.origin]:
            yield one


def _values(setting: Setting) -> str:
    """Return the choices of a setting that its comment does not list."""
    choices = choice_words(setting)
    return "" if all(choice in setting.comment for choice in choices) else f"Values: {', '.join(choices)}."


def _item(name: str, *sentences: str) -> Iterator[str]:
    parts = [one for one in sentences if one]
    first = parts[:1] and parts[0].replace("<", "\\<")
    ended = first and (first if first[-1] in ".?" else f"{first}.")
    text = f"{name}: {' '.join([ended, *parts[1:]])}" if ended else name
    yield from textwrap.wrap(
        text,
        WIDTH,
        initial_indent="- ",
        subsequent_indent="  ",
        break_on_hyphens=False,
        break_long_words=False,
    )
