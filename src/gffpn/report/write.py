"""The files of a report."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from gffpn.files.tables import markdown_table, write_csv
from gffpn.files.writing import write_atomically
from gffpn.report.answer import answer_markdown
from gffpn.report.caption import caption
from gffpn.report.exports import arm_rows, contrast_rows, run_rows
from gffpn.report.facts import Claim, Facts, StudyFacts
from gffpn.report.figures.canvas import save
from gffpn.report.figures.costs import cost
from gffpn.report.figures.forest import forest
from gffpn.report.figures.sizes import by_size
from gffpn.report.latex import latex
from gffpn.report.page.document import folder_names, write_page
from gffpn.report.scale import scale_words
from gffpn.report.study_rows import rows_of
from gffpn.stats.study import Study

RESULT = "; this is a result, not to be replaced"


def write_report(
    out: Path, studies: Sequence[Study], facts: Facts, *, pictures: bool = True
) -> dict[str, Path]:
    """Write all files of a report below `out` and return them by name; figures/ is one of the names."""
    names = ("report.html", "report.md", "report.tex", "arms.csv", "contrasts.csv", "runs.csv", "figures/")
    files = {name: out / name for name in names}
    write_page(files["report.html"], studies, facts=facts, pictures=pictures, figures=files["figures/"])
    write_atomically(files["report.md"], markdown(studies, facts))
    write_atomically(files["report.tex"], latex(studies))
    write_csv(files["arms.csv"], arm_rows(studies))
    write_csv(files["contrasts.csv"], contrast_rows(studies))
    write_csv(files["runs.csv"], run_rows(studies, facts.studies))
    return files


def write_text(out: Path, studies: Sequence[Study], facts: Facts) -> dict[str, Path]:
    """Write what a repository can hold of a report, and return the files by name: text, CSV and few figures.

    Each run's command is in runs.csv, and the paper's claims are those that the studies test.
    """
    files = {name: out / name for name in ("report.md", "arms.csv", "contrasts.csv", "runs.csv")}
    out.mkdir(parents=True, exist_ok=True)
    parts = ["# Report", "\n".join(f"{line}  " for line in facts.checks)]
    for study, known, folder in zip(studies, facts.studies, folder_names(studies), strict=True):
        drawn = {"forest": forest(study), "sizes": by_size(study), "cost_gflops": cost(study, "gflops")}
        shown = {name: one for name, one in drawn.items() if one}
        prefix = f"{folder}_" if len(studies) > 1 else ""
        for name, one in shown.items():
            files[f"{prefix}{name}.svg"] = out / f"{prefix}{name}.svg"
            save(one, files[f"{prefix}{name}.svg"], "svg")
        images = [f"![{one.title}]({prefix}{name}.svg)" for name, one in shown.items()]
        runs = replace(known, runs=tuple(replace(run, command="") for run in known.runs))
        repeating = "" if known.gaps else _commands([(known.command, "")])  # named with the gaps
        parts += _study(study, runs, figures=[*images, repeating, _effort(study)])
    tested = [claim for claim in facts.claims if claim.study]
    parts += _claims(tested, scale_words(studies)) if tested else []
    write_atomically(files["report.md"], "\n\n".join(part for part in parts if part) + "\n")
    write_csv(files["arms.csv"], arm_rows(studies))
    write_csv(files["contrasts.csv"], contrast_rows(studies))
    write_csv(files["runs.csv"], run_rows(studies, facts.studies))
    return files


def _effort(study: Study) -> str:
    """Return how long the runs trained, and where."""
    records = [record for arm in study.arms for record in arm.records]
    hours = sum(record.training.minutes for record in records) / 60
    devices = sorted({device for record in records for device in record.devices})
    where = f" on {', '.join(devices)}" if devices else ""
    return f"{len(records)} runs, {hours:.1f} hours of training and validation{where}, summed over the runs."


def markdown(studies: Sequence[Study], facts: Facts) -> str:
    """Return the report as Markdown."""
    parts = ["# Report", "\n".join(f"{line}  " for line in facts.checks)]
    for study, known in zip(studies, facts.studies, strict=True):
        parts += _study(study, known)
    if facts.claims:
        parts += _claims(facts.claims, scale_words(studies))
    return "\n\n".join(part for part in parts if part) + "\n"


def _study(study: Study, facts: StudyFacts, *, figures: Sequence[str] = ()) -> list[str]:
    parts = [
        f"## {study.name}",
        f"Claim: {study.question.claim}" if study.question.claim else "",
        answer_markdown(study).strip(),
        "\n".join(f"{line}  " for line in caption(rows_of(study), unit="arm")),
        *figures,
    ]
    if facts.gaps:
        filling = [(gap.command, f"{gap.arm}, seed {gap.seed}") for gap in facts.gaps]
        parts += [
            "### Gaps",
            markdown_table(*gap_cells(facts)),
            "Commands that fill them:",
            _commands(filling),
        ]
        if facts.command:
            parts += ["All at once:", _commands([(facts.command, "")])]
    repeating = [(run.command, f"{run.arm}, seed {run.seed}") for run in facts.runs]
    return [*parts, "### Runs", markdown_table(*run_cells(facts)), _commands(repeating)]


def _commands(commands: Sequence[tuple[str, str]]) -> str:
    """Return a block of commands, each once and with what it is for."""
    meant: dict[str, list[str]] = {}
    for command, aim in commands:
        if command:
            meant.setdefault(command, []).append(aim)
    lines = [
        line
        for command, aims in meant.items()
        for line in ([f"# {'; '.join(aims)}"] if any(aims) else []) + [command]
    ]
    return "\n".join(["```bash", *lines, "```"]) if lines else ""


def gap_cells(facts: StudyFacts) -> tuple[list[str], list[list[str]]]:
    """Return headers and cells of the table of gaps."""
    rows = [
        [gap.arm, gap.seed, gap.cause, gap.reason + (RESULT if gap.cause == "diverged" else "")]
        for gap in facts.gaps
    ]
    return ["arm", "seed", "cause", "reason"], rows


def run_cells(facts: StudyFacts) -> tuple[list[str], list[list[str]]]:
    """Return headers and cells of the table of provenance."""
    headers = ["arm", "seed", "status", "run", "commit", "code", "device", "minutes"]
    rows = [
        [
            run.arm,
            run.seed,
            f"{run.status}, still improving" if run.still_improving else run.status,
            run.name,
            f"{(run.commit or 'unknown')[:10]}{' (changed)' if run.dirty else ''}",
            run.code,
            run.device,
            "" if run.minutes is None else f"{run.minutes:.1f}",
        ]
        for run in facts.runs
    ]
    return headers, rows


def _claims(claims: Sequence[Claim], scale: str) -> list[str]:
    open_ones = [claim for claim in claims if claim.outcome == "not run"]
    parts = ["## Claims of the paper", scale, markdown_table(*claim_cells(claims))]
    if open_ones:
        commands = _commands([(claim.command, claim.sentence) for claim in _once(open_ones)])
        parts += ["Commands that test the claims that were not run:", commands]
    return parts


def _once(claims: Sequence[Claim]) -> list[Claim]:
    return list({claim.name: claim for claim in claims}.values())


def claim_cells(claims: Sequence[Claim]) -> tuple[list[str], list[list[str]]]:
    """Return headers and cells of the table of the paper's claims."""
    rows = [
        [
            one.sentence,
            one.where,
            f"{one.contrast}{f' on {one.endpoint}' if one.endpoint else ''}",
            one.paper,
            one.outcome,
            one.reason,
            f"{one.study}{' (SIMULATED data)' if one.simulated else ''}",
        ]
        for one in claims
    ]
    headers = ["claim", "where", "contrast", "the paper's figures", "outcome", "reason", "study"]
    return headers, rows
