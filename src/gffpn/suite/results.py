"""What a sweep prints and writes at its end: a row per run, and with several seeds its verdicts.

Imported when a sweep ends, because scipy takes a second to import.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gffpn.report.answer import answer_markdown, print_answer
from gffpn.report.caption import caption
from gffpn.report.table import print_table, write_tables
from gffpn.stats.arms import Arms
from gffpn.stats.question import Question
from gffpn.stats.study import Run, study


def show_results(folder: Path, rows: Sequence[Mapping[str, Any]], asked: Question | None) -> None:
    """Print and write the tables of a sweep: the verdicts if an arm has several seeds, else a row per run.

    Without a question, as in a sweep that chooses its jobs by their results, there are no verdicts.
    """
    if asked is None or Arms([row["overrides"] for row in rows]).one_run_each:
        print_table(rows, title=folder.name)
        write_tables(folder, rows)
        if asked and len(rows) > 1:
            print("No verdict: one seed. With several, such as seed=0,1,2, the sweep ends with verdicts.")
    else:
        answer = study(folder.name, [_run(row) for row in rows], asked)
        print_answer(answer, notes=caption(rows, unit="arm"))
        write_tables(folder, rows, answer=answer_markdown(answer))
    print(f"Table: {folder / 'results.md'}, {folder / 'results.csv'}")


def _run(row: Mapping[str, Any]) -> Run:
    return Run(
        overrides=tuple(row["overrides"]),
        status=row["status"],
        path=Path(row["run"]) if row["run"] else None,
        record=row["record"],
        fault=row["fault"],
    )
