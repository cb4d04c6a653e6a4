"""Check the simulated data against its description, and write docs/simulator_card.md.

`make simulator-card` runs everything; `python tests/simulator_card.py NAME ...` runs only the named checks
and keeps the recorded figures of the others. The checks are in tests/validity.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gffpn.files.writing import write_atomically
from gffpn.runs.provenance import provenance
from tinyindus import VERSION
from tinyindus.dials import PRESETS
from validity import card, contents, context, detector, nothing, outlines, prior, repeat, splits, thumbnail
from validity.finding import Finding

DOCS = Path(__file__).parents[1] / "docs"
CARD, FIGURES = DOCS / "simulator_card.md", DOCS / "simulator_card.json"

CHECKS: dict[str, Callable[[], list[Finding]]] = {
    "nothing": nothing.measure,
    "thumbnail": thumbnail.measure,
    "prior": prior.measure,
    "context": context.measure,
    "outlines": outlines.measure,
    "splits": splits.measure,
    "detector": detector.measure,
    "repeat": repeat.measure,
}
"""In the order of the validity tests 1 to 8."""
COUNTS = "counts"
COUNTED_SCENES, COUNTED_SIDE = 600, 640


def run(name: str) -> dict[str, Any]:
    """Run one part and return its entry for the JSON file."""
    # read before the part runs, because the code may change in the meantime
    made, code, start = provenance(), VERSION, time.monotonic()
    if name == COUNTS:
        found: dict[str, Any] = {
            "presets": {key: contents.count_objects(key, COUNTED_SCENES, COUNTED_SIDE) for key in PRESETS}
        }
    else:
        found = {"findings": card.dump(CHECKS[name]())}
    return {
        **found,
        "code": code,
        "commit": f"{str(made.commit)[:10]}{' and changes' if made.dirty else ''}",
        "machine": card.machine(),
        "minutes": round((time.monotonic() - start) / 60, 1),
    }


def main(names: list[str]) -> None:
    """Run the named parts, or all of them, and write the card after each."""
    known = [*CHECKS, COUNTS]
    if wrong := [name for name in names if name not in known]:
        raise SystemExit(f"got {wrong}, expected some of {known}")
    parts = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    for name in names or known:
        print(f"{name} ...", flush=True)
        parts[name] = run(name)
        for finding in card.load(parts[name].get("findings", [])):
            print("  " + card.finding_row("", finding), flush=True)
        print(f"  {parts[name]['minutes']} minutes", flush=True)
        ordered = {key: parts[key] for key in known if key in parts}
        write_atomically(FIGURES, json.dumps(ordered, indent=1) + "\n")
        write_atomically(CARD, card.text(ordered, list(CHECKS), code=VERSION))


if __name__ == "__main__":
    main(sys.argv[1:])
