"""Every kind of bad data set: what it is refused with, and what a training that skips it logs.

Run: python tests/bad_data.py
Each case makes a small good set, spoils it, and runs `python -m gffpn data check` on it; then it trains one
epoch with data.on_error=skip. What cannot be skipped is refused again, with the reason.
"""

import contextlib
import io
import logging
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bad_sets import CASES, SIDE, TXT, Case, write, write_good_set
from commands import command

FORMS = {
    "yolo": ["data=yolo"],
    "voc": ["data=voc", "data.images=images", "data.annotations=xml"],
    "coco": ["data=coco", "data.annotations=all.json"],
}
SMALL = ["neck=fpn", "augment=none", f"image_size={SIDE}", "batch_size=4", "trainer.max_epochs=1"]
SMALL += ["trainer.accelerator=cpu", "loader.workers=0", "logger.wandb=off", "logger.pictures=1"]


def make(case: Case, folder: Path) -> list[str]:
    """The spoilt set below `folder`, and the overrides that read it."""
    root = folder / "set"
    write_good_set(root)
    case.spoil(root)
    places = [f"paths.runs={folder}/runs", f"paths.cache={folder}/cache", f"data.root={root}"]
    return [*FORMS[case.form], *SMALL, *places, "data.splits=splits", *case.overrides]


def refusal(case: Case, overrides: list[str]) -> str:
    """The message of `python -m gffpn data check`; it must name kind and file, and exit with 1."""
    from gffpn.__main__ import main

    out = io.StringIO()
    code: Any = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        try:
            main(["data", "check", *overrides])
        except SystemExit as leaving:
            code = leaving.code
    message = out.getvalue()
    assert code == 1, f"{case.name}: exit code {code}: {message}"
    assert_told(case, message)
    return message


def assert_told(case: Case, message: str) -> None:
    """Kind and file stand in a message that is no traceback."""
    assert case.kind in message, f"{case.name}: {case.kind!r} is not in: {message}"
    assert re.search(case.told, message), f"{case.name}: {case.told!r} is not in: {message}"
    assert "Traceback" not in message, message


@contextlib.contextmanager
def logged() -> Iterator[list[str]]:
    """The lines that the reading of a data set logs."""
    lines: list[str] = []

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    handler, logger = Lines(), logging.getLogger("gffpn.data.readers.faults")
    logger.addHandler(handler)
    try:
        yield lines
    finally:
        logger.removeHandler(handler)


def skipping(case: Case, folder: Path, overrides: list[str]) -> str:
    """Train one epoch with data.on_error=skip: what was logged, or the second refusal."""
    from gffpn.config.compose import compose_config
    from gffpn.suite.run import run

    out = io.StringIO()
    config = compose_config([*overrides, "data.on_error=skip"])
    code: Any = 0
    with logged() as lines, contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        try:
            run(config)
        except SystemExit as leaving:
            code = leaving.code
    finished = list((folder / "runs").glob("*/metrics.json"))
    if not case.skippable:
        assert code == 1, f"{case.name}: exit code {code}"
        assert not finished, f"{case.name}: was trained on"
        assert_told(case, out.getvalue())
        return out.getvalue()
    assert len(finished) == 1, f"{case.name}: {out.getvalue()}"
    log = "\n".join(lines)
    assert re.search(rf"dropped, [\w -]*{case.kind}", log), f"{case.name}: {log}"
    assert re.search(rf"dropped \d+: .*\d [\w -]*{case.kind}", log), f"{case.name}: {log}"
    return log + "\n"


def as_a_user_does(folder: Path, *extra: str) -> str:
    """`python train.py` on a set with four faults of four kinds: refused, or trained on what is left."""
    root = folder / "set"
    write_good_set(root)
    for name, content in {
        "images/a.png": "x",
        TXT: "0 24 32 32 32",
        "labels/e.txt": "0 .5 .5 .5 nan",
    }.items():
        write(name, content)(root)
    (root / "labels" / "h.txt").unlink()
    places = [f"paths.runs={folder}/runs", f"paths.cache={folder}/cache", f"data.root={root}"]
    words = ["train.py", *FORMS["yolo"], *SMALL, *places, "data.splits=splits", *extra]
    done = command(*words)
    text = done.stdout + done.stderr
    assert done.returncode == (0 if extra else 1), text
    assert "Traceback" not in text, text
    kinds = (
        "missing annotation",
        "unreadable image",
        "annotation in another format",
        "box that is not finite",
    )
    counts = f"dropped 4: {', '.join(f'1 {kind}' for kind in kinds)}"
    assert (counts if extra else "4 faults in the data set") in text, text
    return f"$ python {' '.join(words)}    (exit code {done.returncode})\n{text}\n"


def main() -> None:
    """Show every case."""
    logging.getLogger("gffpn").addHandler(logging.NullHandler())
    with tempfile.TemporaryDirectory() as name:
        for number, case in enumerate(CASES, start=1):
            folder = Path(name) / str(number)
            overrides = make(case, folder)
            print(f"\n== {number}. {case.name} ({case.form})\n{refusal(case, overrides)}", end="")
            print(f"-- data.on_error=skip\n{skipping(case, folder, overrides)}", end="", flush=True)
        print(f"\n== as a user does\n{as_a_user_does(Path(name) / 'refused')}")
        print(as_a_user_does(Path(name) / "skipped", "data.on_error=skip"))
    skipped = sum(case.skippable for case in CASES)
    print(f"{len(CASES)} kinds of bad data, each refused by name; {skipped} skipped and trained without")


if __name__ == "__main__":
    main()
