"""Colours of the report: for matplotlib, for the light page and for the dark one."""

from typing import NamedTuple


class Colour(NamedTuple):
    """A colour with a role."""

    light: str
    """Also the colour in figures that are saved as files."""
    dark: str


# each colour occurs once, because figures for the page replace it by a CSS variable of its name
COLOURS = {
    "ink": Colour("#1b1c1e", "#e7e6e3"),
    "quiet": Colour("#5f6368", "#a3a5a9"),
    "rule": Colour("#d4d5d8", "#3d4045"),
    "band": Colour("#ececef", "#292c31"),
    "paper": Colour("#fefefe", "#17191c"),
    "arm0": Colour("#0f62a8", "#6fb3f2"),
    "arm1": Colour("#c2410c", "#f59566"),
    "arm2": Colour("#0b7a53", "#4fc49a"),
    "arm3": Colour("#7a3fa0", "#c79be6"),
    "arm4": Colour("#8a6d00", "#dcb94a"),
    "arm5": Colour("#b3246b", "#f08bbd"),
    "arm6": Colour("#0e7490", "#5cc7de"),
    "arm7": Colour("#5c5148", "#b9aca0"),
}
INK, QUIET, RULE, BAND, PAPER = (COLOURS[name].light for name in ("ink", "quiet", "rule", "band", "paper"))
HUES = sum(name.startswith("arm") for name in COLOURS)
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
"""Seven, so that the 8 hues and the markers repeat together only after 56 arms."""

DASHES = ("-", "--", ":")


def hue(arm: int) -> str:
    """Return the name of the colour of an arm, by its position in the study."""
    return f"arm{arm % HUES}"


def colour(arm: int) -> str:
    """Return the light colour of an arm, by its position in the study."""
    return COLOURS[hue(arm)].light


def marker(arm: int) -> str:
    """Return matplotlib's marker of an arm, by its position in the study."""
    return MARKERS[arm % len(MARKERS)]


def dash(arm: int) -> str:
    """Return matplotlib's style of an arm's lines: another one where the colours repeat."""
    return DASHES[arm // HUES % len(DASHES)]


def variables() -> dict[str, Colour]:
    """Return the colours by the names of their CSS variables."""
    return {f"--{name}": one for name, one in COLOURS.items()}
