"""The data card's tables of the set itself: its dials, its presets and their contents."""

import ast
import inspect
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyindus.classes import CLASSES, PRODUCTS
from tinyindus.dials import DIAL_NAMES, PRESETS, Dials
from tinyindus.scene import render
from validity.scenes import SEED

SIZE_EDGES = (0, 4, 8, 16, 32, 96, np.inf)
"""Pixels at an image size of 640."""


def dial_help() -> dict[str, str]:
    """Return what each dial does, which is the string below it in the code."""
    (body,) = [
        node.body for node in ast.parse(inspect.getsource(Dials)).body if isinstance(node, ast.ClassDef)
    ]
    return {
        one.target.id: " ".join(ast.literal_eval(two.value).split())
        for one, two in pairwise(body)
        if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name) and isinstance(two, ast.Expr)
    }


def dial_table() -> list[str]:
    """Return a table with one row per dial: its value in each preset and what it does."""
    rows = [f"| dial | {' | '.join(PRESETS)} | what it does |", "|---" * (len(PRESETS) + 2) + "|"]
    descriptions = dial_help()
    for name in DIAL_NAMES:
        values = [_plain(getattr(dials, name)) for dials in PRESETS.values()]
        rows.append(f"| `{name}` | {' | '.join(values)} | {descriptions[name]} |")
    return rows


def _plain(value: Any) -> str:
    return "none" if value is None else str(list(value) if isinstance(value, tuple) else value)


def count_objects(name: str, scenes: int, side: int) -> dict[str, Any]:
    """Count the objects by class and size bin, and the scenes by product, in the first scenes of a preset."""
    pictures = [render(i, "train", PRESETS[name], (side, side), SEED) for i in range(scenes)]
    found = [t for p in pictures for t in p.truths]
    sides = np.array([t.side for t in found]) * 640 / side
    labels = np.array([t.label for t in found])
    return {
        "scenes": scenes,
        "empty": sum(not p.truths for p in pictures),
        "classes": {c.name: int((labels == k).sum()) for k, c in enumerate(CLASSES)},
        "median_sides": {c.name: _median(sides[labels == k]) for k, c in enumerate(CLASSES)},
        "bins": {
            _bin(low, high): int(((sides >= low) & (sides < high)).sum())
            for low, high in pairwise(SIZE_EDGES)
        },
        "products": {product: sum(p.product == product for p in pictures) for product in PRODUCTS},
    }


def _median(sides: NDArray[np.float64]) -> float | None:
    return round(float(np.median(sides)), 1) if len(sides) else None


def _bin(low: float, high: float) -> str:
    return f"{low:g} up" if np.isinf(high) else f"{low:g}-{high:g}"


def count_table(counts: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return a table of the counts of all presets side by side."""
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
