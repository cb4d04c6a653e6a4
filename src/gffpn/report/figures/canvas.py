"""Figures for an HTML page: text stays text, colours are CSS variables, and each arm can be highlighted."""

import io
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from itertools import count
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gffpn.report.figures.palette import COLOURS, INK, QUIET, RULE

WIDTH = 5.0
"""Inches; at 72 units per inch, text of 10 units is readable on a screen of 400 pixels."""
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "gffpn",
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.facecolor": "none",
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.unicode_minus": True,
    "figure.facecolor": "none",
    "grid.color": RULE,
    "grid.linewidth": 0.5,
    "legend.frameon": False,
    "legend.fontsize": 9.5,
    "legend.labelcolor": INK,
    "lines.linewidth": 1.4,
    "text.color": INK,
    "text.parse_math": False,  # a name may contain dollars
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.labelsize": 9.5,
    "ytick.labelsize": 9.5,
    "path.simplify": True,
}
_numbers = count()


@dataclass(frozen=True)
class Drawing:
    """A figure of the report."""

    figure: Figure
    title: str
    description: str
    """The figure in words, for those who cannot see it: what it shows and what there is to see."""
    caption: str = ""
    """How to read it."""


@contextmanager
def axes(height: float, *, width: float = WIDTH) -> Iterator[tuple[Figure, Axes]]:
    """Yield a figure with one pair of axes, `height` x `width` inches, in the report's style."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure, figure.add_subplot()


def tag(*arms: int) -> str:
    """Return a new id for an element of the figure that belongs to arms, for `artist.set_gid`."""
    return f"arm_{'-'.join(map(str, arms))}_{next(_numbers)}"


def inline_svg(drawing: Drawing, name: str) -> str:
    """Return a drawing as an SVG element for an HTML page; `name` makes its ids unique there."""
    buffer = io.StringIO()
    with mpl.rc_context(STYLE):
        drawing.figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    body = text[text.index(">", text.index("<svg")) + 1 :]
    for pattern, replacement in _CLEANING:
        body = re.sub(pattern, replacement, body, flags=re.DOTALL)
    width, height = drawing.figure.get_size_inches() * 72
    title, description = escape(drawing.title), escape(drawing.description)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" role="img" '
        f'aria-labelledby="{name}-title" aria-describedby="{name}-desc">'
        f'<title id="{name}-title">{title}</title><desc id="{name}-desc">{description}</desc>'
        f"{_own_ids(re.sub(r'<[^>]*>', _short, body), name)}"
    )


def _short(found: re.Match[str]) -> str:
    """Return a tag with numbers of two decimals, and with CSS variables for the report's colours."""
    text = re.sub(r"-?\d+\.\d{2,}", _rounded, found.group())
    return re.sub(r"#[0-9a-f]{6}\b", lambda one: _VARIABLES.get(one.group(), one.group()), text)


def _rounded(found: re.Match[str]) -> str:
    return f"{round(float(found.group()), 2):g}"


def _own_ids(body: str, name: str) -> str:
    """Make the ids that are referred to unique in a page, and turn those of arms into `data-arm`."""
    # numbered, because matplotlib's own names of areas differ from figure to figure
    found = dict.fromkeys(re.findall(r'(?:url\(|href=")#([^")]+)', body))
    used = {own: f"{name}-{number}" for number, own in enumerate(found)}

    def replaced(found: re.Match[str]) -> str:
        own = found.group(1)
        if own.startswith("arm_"):
            return f' data-arm="{own.split("_")[1].replace("-", " ")}"'
        return f' id="{used[own]}"' if own in used else ""

    body = re.sub(r' id="([^"]*)"', replaced, body)
    return re.sub(r'(url\(|href=")#([^")]+)', lambda one: f"{one.group(1)}#{used[one.group(2)]}", body)


_VARIABLES = {one.light: f"var(--{name})" for name, one in COLOURS.items()}
_CLEANING: Sequence[tuple[str, str | Callable[[re.Match[str]], str]]] = (
    (r"<metadata>.*?</metadata>", ""),
    (r"<style[^>]*>.*?</style>", ""),
    (r"<!--.*?-->", ""),
    (r"xlink:href", "href"),
    # the page chooses the family
    (r"'DejaVu Sans'(, [^;\"]*)?", "var(--sans)"),
    (r">\s+<", "><"),
)


def save(drawing: Drawing, path: Path, kind: str) -> None:
    """Save a drawing as a file of its own, `svg` or `pdf`, in the colours of the light page on white."""
    with mpl.rc_context(STYLE):
        # without the date, equal results give equal files
        date = "Date" if kind == "svg" else "CreationDate"
        drawing.figure.savefig(
            path, format=kind, facecolor="white", metadata={"Title": drawing.title, date: None}
        )
