"""Text output of a data card."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gffpn.data.card.card import THIN_PX
from gffpn.data.index import SPLITS

SHOWN = 10


def print_card(card: Mapping[str, Any], console: Console) -> None:
    """Print the counts per split, then the suspicious entries, at most `SHOWN` of each kind."""
    size = " x ".join(map(str, card["image_size"]))
    console.print(f"Data fingerprint {card['fingerprint']}, image size {size} (H x W)", markup=False)
    if card["origin"]:
        console.print(card["origin"], markup=False)
    totals = ("images", "empty", "boxes")
    counts = {what: {split: card["splits"][split][what] for split in SPLITS} for what in totals}
    thin, crowd = (
        {name: row for name, row in card[what].items() if any(row.values())} for what in ("thin", "crowd")
    )
    native = {name: row for name, row in card["bins"].items() if name.startswith("native_")}
    network = {name: row for name, row in card["bins"].items() if name not in native}
    sizes = dict(list(card["image_sizes"].items())[:SHOWN])
    _print_table(console, "Images and boxes", counts)
    _print_table(console, "Boxes by class", card["classes"])
    if crowd:
        _print_table(console, "Crowd regions by class", crowd)
    _print_table(console, "Boxes by side in network pixels", network)
    _print_table(console, "Boxes by side in native pixels", native)
    if card["sides"]:
        sides = ", ".join(f"{name} {side:g}" for name, side in card["sides"].items())
        console.print(f"Sides of training boxes in network pixels: {sides}", markup=False)
    if card["suggested_image_size"]:
        height, width = card["suggested_image_size"]
        larger = height if height == width else f"[{height},{width}]"
        console.print(f"These objects are small: image_size={larger} shows more of them (docs/recipe.md)")
    _print_table(console, f"Images by height x width (sizes in all: {len(card['image_sizes'])})", sizes)
    _print_table(console, f"Boxes with a side under {THIN_PX:g} network pixels", thin)
    for what, number in card["mended"].items():
        console.print(f"{what}: {number}", markup=False)
    across = [group for group in card["near_duplicates"] if len(set(group["splits"])) > 1]
    within = [group for group in card["near_duplicates"] if len(set(group["splits"])) == 1]
    _print_groups(console, "Groups of near-duplicates across splits (they inflate test results)", across)
    _print_groups(console, "Groups of near-duplicates within a split", within)
    _print_groups(console, "Near-duplicates with different labels", card["label_conflicts"])
    clashes = [f"{c['image']} ({c['split']}): {' and '.join(c['classes'])}" for c in card["class_conflicts"]]
    _print_list(console, "Boxes of different classes in the same place", clashes)


def _print_table(console: Console, title: str, rows: Mapping[str, Mapping[str, int]]) -> None:
    if not rows:
        console.print(f"{title}: none", markup=False)
        return
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for split in (*SPLITS, "all"):
        table.add_column(split, justify="right")
    for name, row in rows.items():
        table.add_row(Text(name), *(str(row[split]) for split in SPLITS), str(sum(row.values())))
    console.print(table)


def _print_groups(console: Console, title: str, groups: Sequence[Mapping[str, Any]]) -> None:
    _print_list(console, title, list(map(_line, groups)))


def _line(group: Mapping[str, Any]) -> str:
    """Return the first images of a group, of each split if it has several, and the number of the others."""
    images = list(zip(group["images"], group["splits"], strict=True))
    first = {split: place for place, (_, split) in reversed(list(enumerate(images)))}
    shown = sorted(first.values()) if len(first) > 1 else [0, 1]
    words = [f"{name} ({split})" for name, split in (images[place] for place in shown)]
    more = len(images) - len(shown)
    return (" = " if group["exact"] else " ~ ").join(words) + (f" and {more} more" if more else "")


def _print_list(console: Console, title: str, lines: Sequence[str]) -> None:
    console.print(f"{title}: {len(lines) or 'none'}", markup=False)
    for line in lines[:SHOWN]:
        console.print(f"  {line}", markup=False, soft_wrap=True)
    if len(lines) > SHOWN:
        console.print(f"  ... and {len(lines) - SHOWN} more: --json lists all", markup=False)
