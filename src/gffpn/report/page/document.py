"""The HTML page of a report: one file, readable without network and without JavaScript."""

import re
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from gffpn.files.writing import write_atomically
from gffpn.report.caption import numbered
from gffpn.report.facts import Facts
from gffpn.report.figures.palette import COLOURS, hue, variables
from gffpn.report.page.contents import contents
from gffpn.report.page.words import WORDS
from gffpn.report.scale import scale_words
from gffpn.stats.study import Study

_HERE = Path(__file__).parent


def write_page(
    path: Path,
    studies: Sequence[Study],
    *,
    facts: Facts | None = None,
    pictures: bool = True,
    figures: Path | None = None,
) -> None:
    """Write the page of some studies; `facts` are theirs, in the same order; `pictures` adds test images.

    If a folder `figures` is given, each study's figures are written there as well, below the study's name.
    """
    write_atomically(path, page(studies, facts=facts, pictures=pictures, figures=figures))


def folder_names(studies: Sequence[Study]) -> list[str]:
    """Return the name of each study without the characters that a file's name cannot have."""
    words = [re.sub(r"[^\w.-]+", "-", study.name)[:80].strip(".-") or "study" for study in studies]
    return numbered(words, before="-")


def page(
    studies: Sequence[Study],
    *,
    facts: Facts | None = None,
    pictures: bool = True,
    figures: Path | None = None,
) -> str:
    """Return the page of some studies as HTML; the arguments are those of `write_page`."""
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=select_autoescape(["j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"hue": hue, "bright": lambda arm: COLOURS[hue(arm)].dark}
    own, folders = facts.studies if facts else (None,) * len(studies), folder_names(studies)
    names = ", ".join(study.name for study in studies[:3]) + (", ..." if len(studies) > 3 else "")
    return environment.get_template("report.html.j2").render(
        title=names or "gffpn report",
        studies=[
            contents(
                f"s{number}",
                study,
                of,
                with_pictures=pictures,
                figures_to=figures / folder if figures else None,
            )
            for number, (study, of, folder) in enumerate(zip(studies, own, folders, strict=True))
        ],
        claims=facts.claims if facts else (),
        scale=scale_words(studies),
        words=WORDS,
        checks=facts.checks if facts else (),
        colours=variables(),
        style=Markup((_HERE / "style.css").read_text(encoding="utf-8")),
        script=Markup((_HERE / "script.js").read_text(encoding="utf-8")),
        version=version("gffpn"),
    )
