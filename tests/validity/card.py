"""The data card: what was measured, as Markdown.

The figures lie beside it as JSON, a part for each check, so that the card can be made in pieces.
"""

import ast
import inspect
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from gffpn.data.simulator.classes import CLASSES, PRODUCTS
from gffpn.data.simulator.dials import DIAL_NAMES, PRESETS, Dials
from gffpn.data.simulator.scene import render
from validity.finding import Finding
from validity.scenes import SEED

Parts = Mapping[str, Mapping[str, Any]]
"""By name of the check: `findings`, `code`, `minutes`, `machine`, as the JSON holds them."""

SIZE_EDGES = (0, 4, 8, 16, 32, 96, np.inf)
"""Pixels at 640."""


def dump(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """Findings as plain values; figures to six digits, so that a diff shows what changed."""
    rows = []
    for finding in findings:
        row = asdict(finding)
        for key in ("value", "low", "high"):
            row[key] = None if row[key] is None else float(f"{row[key]:.6g}")
        rows.append(row)
    return rows


def load(rows: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """What `dump` made."""
    return [Finding(**row) for row in rows]


def dial_help() -> dict[str, str]:
    """What each dial does: the string that stands below it in the code."""
    (body,) = [node.body for node in ast.parse(inspect.getsource(Dials)).body if isinstance(node, ast.ClassDef)]
    return {
        one.target.id: " ".join(ast.literal_eval(two.value).split())
        for one, two in pairwise(body)
        if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name) and isinstance(two, ast.Expr)
    }


def dial_table() -> list[str]:
    """A row a dial: what it does and its value in each preset."""
    rows = [f"| dial | {' | '.join(PRESETS)} | what it does |", "|---" * (len(PRESETS) + 2) + "|"]
    told = dial_help()
    for name in DIAL_NAMES:
        values = [_plain(getattr(dials, name)) for dials in PRESETS.values()]
        rows.append(f"| `{name}` | {' | '.join(values)} | {told[name]} |")
    return rows


def _plain(value: Any) -> str:
    return "none" if value is None else str(list(value) if isinstance(value, tuple) else value)


def count_objects(name: str, scenes: int, side: int) -> dict[str, Any]:
    """Of the first scenes of a preset: objects by class, by size bin (at 640) and by product; empty scenes."""
    pictures = [render(i, "train", PRESETS[name], (side, side), SEED) for i in range(scenes)]
    found = [t for p in pictures for t in p.truths]
    sides = np.array([t.side for t in found]) * 640 / side
    return {
        "scenes": scenes,
        "empty": sum(not p.truths for p in pictures),
        "classes": {c.name: sum(t.label == k for t in found) for k, c in enumerate(CLASSES)},
        "median_sides": {
            c.name: round(float(np.median([s for s, t in zip(sides, found, strict=True) if t.label == k])), 1)
            for k, c in enumerate(CLASSES)
        },
        "bins": {
            _bin(low, high): int(((sides >= low) & (sides < high)).sum()) for low, high in pairwise(SIZE_EDGES)
        },
        "products": {product: sum(p.product == product for p in pictures) for product in PRODUCTS},
    }


def _bin(low: float, high: float) -> str:
    return f"{low:g} up" if np.isinf(high) else f"{low:g}-{high:g}"


def count_table(counts: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Counts of all presets side by side."""
    names = list(counts)
    rows = [f"| | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]

    def row(head: str, cells: Sequence[Any]) -> None:
        rows.append(f"| {head} | {' | '.join(map(str, cells))} |")

    row("scenes", [counts[n]["scenes"] for n in names])
    row("scenes without a visible defect", [counts[n]["empty"] for n in names])
    for k in counts[names[0]]["products"]:
        row(f"scenes of {k}s", [counts[n]["products"][k] for n in names])
    for kind in CLASSES:
        cells = [f"{counts[n]['classes'][kind.name]} ({counts[n]['median_sides'][kind.name]})" for n in names]
        row(f"{kind.name}: objects (median side at 640)", cells)
    for k in counts[names[0]]["bins"]:
        row(f"objects of side {k} px at 640", [counts[n]["bins"][k] for n in names])
    return rows


def finding_row(number: str, finding: Finding) -> str:
    """A line of the table of tests."""
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
    """Processor, system and libraries, in words."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        model = lines[0].split(":")[1].strip() if lines else model
    versions = ", ".join(f"{name} {version(name)}" for name in ("numpy", "scipy", "torch"))
    return f"{model}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, {versions}"


def text(parts: Parts, checks: Sequence[str], *, code: str) -> str:
    """The whole card; `checks` are the names of the validity tests 1, 2, .. in order, `code` the present digest."""
    lines = [
        "# Data card: the simulated TinyIndus",
        "",
        "**Simulated.** The paper's TinyIndus is private. This set stands in for it: its four products, its nine",
        "classes and their shares, none of its images. No figure measured on it can be compared with the paper's.",
        "This page is made by `make simulator-card`; do not edit it.",
        "",
        "## Can a detector cheat on it?",
        "",
        "In brackets the 95 % interval: bootstrap, pictures drawn anew. A line without a bound stands for comparison:",
        "it shows, for instance, that a check does notice what it is meant to notice.",
        "",
        "| test | what | bound | measured | n | holds |",
        "|---|---|---|---|---|---|",
    ]
    for number, name in enumerate(checks, start=1):
        if name in parts:
            lines += [finding_row(f"{number} {name}", f) for f in load(parts[name]["findings"])]
        else:
            lines.append(f"| {number} {name} | not measured: `python tests/simulator_card.py {name}` | | | | |")
    lines += ["", *failures(parts), *_about(parts, code)]
    return "\n".join(lines) + "\n"


def failures(parts: Parts) -> list[str]:
    """What does not hold, said once more in words."""
    found = [f.what for part in parts.values() for f in load(part.get("findings", [])) if f.holds is False]
    if not found:
        return []
    return ["What does **not** hold: " + "; ".join(found) + ".", ""]


def _about(parts: Parts, code: str) -> list[str]:
    lines = ["## Dials and presets", "", *dial_table(), ""]
    if "counts" in parts:
        lines += [
            "## What is in it",
            "",
            "The first training scenes of each preset, drawn at 320 pixels; sides are those of the visible boxes.",
            "",
            *count_table(parts["counts"]["presets"]),
            "",
        ]
    lines += [
        "## How it was measured, and how to repeat it",
        "",
        "`make simulator-card` measures everything; `.venv/bin/python tests/simulator_card.py NAME` one part anew.",
        f"All scenes come from seed {SEED}. The figures stand in `simulator_card.json`. `tests/validity` says what each check",
        "does, and `make test` runs the quick ones small, each also on a simulator that leaks on purpose.",
        "",
        "| part | simulator's code | commit | minutes | machine |",
        "|---|---|---|---|---|",
    ]
    for name, part in parts.items():
        stale = "" if part["code"] == code else " (not the present code)"
        lines.append(
            f"| {name} | {part['code']}{stale} | {part['commit']} | {part['minutes']} | {part['machine']} |"
        )
    return lines
