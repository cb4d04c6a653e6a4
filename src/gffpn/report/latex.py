"""The tables of arms and contrasts in LaTeX, with booktabs."""

from collections.abc import Sequence

from gffpn.report.answer import arm_cells, contrast_cells, legend
from gffpn.stats.study import Study

SPECIAL = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "|": r"\textbar{}",
    "[": "{[}",  # after the end of a row, it would begin an argument of it, and a star its variant
    "]": "{]}",
    "*": "{*}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "\N{PLUS-MINUS SIGN}": r"$\pm$",
    "\N{MINUS SIGN}": r"$-$",
    "\N{MULTIPLICATION SIGN}": r"$\times$",
}


def escaped(text: str) -> str:
    """Return text whose characters all mean themselves in LaTeX."""
    return "".join(SPECIAL.get(character, character) for character in text)


def latex(studies: Sequence[Study]) -> str:
    """Return the tables of all studies; the document that includes them loads booktabs."""
    lines = [r"% needs \usepackage{booktabs}", ""]
    for study in studies:
        of_arms, *others = legend(study) if study.contrasts else [" ".join(legend(study))]
        lines += _table(*arm_cells(study), title=f"{study.name}: arms", notes=of_arms)
        if study.contrasts:
            lines += _table(*contrast_cells(study), title=f"{study.name}: contrasts", notes=" ".join(others))
    return "\n".join(lines)


def _table(headers: Sequence[str], body: Sequence[Sequence[str]], *, title: str, notes: str) -> list[str]:
    rows = [f"{' & '.join(map(escaped, line))} \\\\" for line in (headers, *body)]
    return [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escaped(f'{title}. {notes}'.strip())}}}",
        rf"\begin{{tabular}}{{l{'r' * (len(headers) - 1)}}}",
        r"\toprule",
        rows[0],
        r"\midrule",
        *rows[1:],
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
        "",
    ]
