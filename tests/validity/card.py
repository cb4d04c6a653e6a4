"""The data card: the measured figures as Markdown.

The figures are also stored as JSON beside the card, with one part per check, so that each part can be
measured separately.
"""

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from validity.contents import count_table, dial_table
from validity.finding import Finding
from validity.scenes import SEED

Parts = Mapping[str, Mapping[str, Any]]
"""Parts of the JSON by name of the check: `findings`, `code`, `commit`, `minutes`, `machine`."""


def dump(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """Return findings as plain values, figures rounded to six digits so that a diff shows what changed."""
    rows = []
    for finding in findings:
        row = asdict(finding)
        for key in ("value", "low", "high"):
            row[key] = None if row[key] is None else float(f"{row[key]:.6g}")
        rows.append(row)
    return rows


def load(rows: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """Return the findings that `dump` converted."""
    return [Finding(**row) for row in rows]


def finding_row(number: str, finding: Finding) -> str:
    """Return a line of the table of tests."""
    measured = _figure(finding.value)
    if finding.low is not None and finding.high is not None:
        measured += f" ({_figure(finding.low)} to {_figure(finding.high)})"
    verdict = {True: "yes", False: "**no**", None: ""}[finding.holds]
    return f"| {number} | {finding.what} | {finding.bound} | {measured} | {finding.n} | {verdict} |"


def _figure(value: float) -> str:
    if value == int(value) and abs(value) < 1e6:
        return str(int(value))
    return f"{value:.3f}" if abs(value) >= 0.001 else f"{value:.1e}"


def machine() -> str:
    """Return the processor, the system and the versions of libraries in words."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        model = lines[0].split(":")[1].strip() if lines else model
    versions = ", ".join(f"{name} {version(name)}" for name in ("numpy", "scipy", "torch"))
    python = f"Python {platform.python_version()}"
    return f"{model}, {os.cpu_count()} cores, {platform.system()}, {python}, {versions}"


def text(parts: Parts, checks: Sequence[str], *, code: str) -> str:
    """Return the whole card.

    `checks` names the validity tests 1, 2, ... in order; `code` is the present version of the simulator.
    """
    lines = [
        "# Data card: the simulated TinyIndus",
        "",
        "**Simulated.** The paper's TinyIndus is private. This set takes its place, with the same four",
        "products, nine classes and shares, but none of its images. Figures measured on it cannot be",
        "compared with those of the paper.",
        "",
        "`make simulator-card` generates this page; do not edit it.",
        "",
        "## Can a detector cheat?",
        "",
        "Brackets contain the 95 % bootstrap interval over the pictures. A line without a bound is for",
        "comparison: it shows, for instance, that a check finds a leak that was added on purpose.",
        "",
        "| test | finding | bound | measured | n | holds |",
        "|---|---|---|---|---|---|",
    ]
    for number, name in enumerate(checks, start=1):
        if name in parts:
            lines += [finding_row(f"{number} {name}", f) for f in load(parts[name]["findings"])]
        else:
            lines.append(
                f"| {number} {name} | not measured: `python tests/simulator_card.py {name}` | | | | |"
            )
    lines += ["", *failures(parts), *_about(parts, code)]
    return "\n".join(lines) + "\n"


def failures(parts: Parts) -> list[str]:
    """Return a line of text that lists the findings that do not hold, if any."""
    found = [f.what for part in parts.values() for f in load(part.get("findings", [])) if f.holds is False]
    if not found:
        return []
    return ["These do **not** hold: " + "; ".join(found) + ".", ""]


def _about(parts: Parts, code: str) -> list[str]:
    lines = ["## Dials and presets", "", *dial_table(), ""]
    if "counts" in parts:
        lines += [
            "## Contents",
            "",
            "Counts over the first training scenes of each preset at 640 pixels. Sides are those of the",
            "visible boxes.",
            "",
            *count_table(parts["counts"]["presets"]),
            "",
        ]
    lines += [
        "## Measurement",
        "",
        "`make simulator-card` measures everything; `.venv/bin/python tests/simulator_card.py NAME` repeats",
        f"one part. Scenes come from seed {SEED}, those of the check of the splits from seed 0. The figures",
        "are in `simulator_card.json`. `tests/validity` describes each check, and `make test` runs small",
        "versions of them, several also on a simulator that leaks on purpose.",
        "",
        "| part | simulator version | commit | minutes | machine |",
        "|---|---|---|---|---|",
    ]
    for name, part in parts.items():
        stale = "" if part["code"] == code else " (not the present version)"
        lines.append(
            f"| {name} | {part['code']}{stale} | {part['commit']} | {part['minutes']} | {part['machine']} |"
        )
    return lines
