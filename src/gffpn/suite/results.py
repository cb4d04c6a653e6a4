"""What a sweep prints, writes and logs at its end: a row per run, and with several seeds its verdicts.

Imported when a sweep ends, because scipy takes a second to import.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from gffpn.report.answer import answer_markdown, print_answer
from gffpn.report.caption import caption
from gffpn.report.collect import collect
from gffpn.report.table import print_table, write_tables
from gffpn.stats.arms import Arms
from gffpn.suite.summary import log_summary


def show_results(folder: Path, rows: Sequence[Mapping[str, Any]], config: DictConfig, *, asks: bool) -> None:
    """Print and write the tables of a sweep: the verdicts if an arm has several seeds, else a row per run.

    A sweep that chooses its jobs by their results `asks` nothing, and gets no verdicts.
    """
    source = collect([folder])[0] if asks else None
    answer = source.study() if source else None
    if answer is None or Arms([row["overrides"] for row in rows]).one_run_each:
        print_table(rows, title=folder.name)
        write_tables(folder, rows)
        if answer and len(rows) > 1:
            print("No verdict: one seed. With several, such as seed=0,1,2, the sweep ends with verdicts.")
    else:
        print_answer(answer, notes=caption(rows, unit="arm"))
        write_tables(folder, rows, answer=answer_markdown(answer))
    print(f"Table: {folder / 'results.md'}, {folder / 'results.csv'}")
    if source and answer:
        print(f"Page with all figures and pictures: gffpn report {folder}")
        log_summary(config.logger, folder, source, answer)
