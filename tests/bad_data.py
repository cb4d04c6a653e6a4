"""The refusal of every kind of bad data set, and the log of a training that skips its faults.

Run: python tests/bad_data.py
Each case writes a small valid data set, spoils it, and runs `python -m gffpn data check` on it; then it
trains one epoch with data.on_error=skip. A fault that cannot be skipped is refused again, with the reason.
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
from commands import Train, train_py

FORMS = {
    "yolo": ["data=yolo"],
    "voc": ["data=voc", "data.images=images", "data.annotations=xml"],
    "coco": ["data=coco", "data.annotations=all.json"],
}
SMALL = ["neck=fpn", "augment=none", f"image_size={SIDE}", "batch_size=4", "trainer.max_epochs=1"]
SMALL += ["trainer.accelerator=cpu", "loader.workers=0", "logger.wandb=off", "logger.pictures=1"]


def make(case: Case, folder: Path) -> list[str]:
    """Write the spoilt set below `folder` and return the overrides that read it."""
    root = folder / "set"
    write_good_set(root)
    case.spoil(root)
    places = [f"paths.runs={folder}/runs", f"paths.cache={folder}/cache", f"data.root={root}"]
    return [*FORMS[case.form], *SMALL, *places, "data.splits=splits", *case.overrides]


def refusal(case: Case, overrides: list[str]) -> str:
    """Return the output of `python -m gffpn data check`, which must name kind and file and exit with 1."""
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
    assert_reported(case, message)
    return message


def assert_reported(case: Case, message: str) -> None:
    """Assert that the message names the kind and the file of the fault and is not a traceback."""
    assert case.kind in message, f"{case.name}: {case.kind!r} is not in: {message}"
    assert re.search(case.pattern, message), f"{case.name}: {case.pattern!r} is not in: {message}"
    assert "Traceback" not in message, message
    assert case.kind == "empty split" or "empty split" not in message, (
        f"{case.name}: more than the cause: {message}"
    )


@contextlib.contextmanager
def logged() -> Iterator[list[str]]:
    """Collect the lines that are logged while a data set is read."""
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
    """Train one epoch with data.on_error=skip and return the log, or the second refusal."""
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
        assert not finished, f"{case.name}: the run finished, although this fault cannot be skipped"
        assert_reported(case, out.getvalue())
        return out.getvalue()
    assert len(finished) == 1, f"{case.name}: {out.getvalue()}"
    log = "\n".join(lines)
    assert re.search(rf"dropped, [\w -]*{case.kind}", log), f"{case.name}: {log}"
    assert re.search(rf"dropped \d+: .*\d [\w -]*{case.kind}", log), f"{case.name}: {log}"
    return log + "\n"


def as_a_user_does(folder: Path, *extra: str, train: Train = train_py) -> str:
    """Run `train` on a set with four faults of four kinds and return the command and its output.

    Without `extra` the set must be refused; with data.on_error=skip the run must train on the other images.
    """
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
    words = [*FORMS["yolo"], *SMALL, *places, "data.splits=splits", *extra]
    code, text = train(*words)
    assert code == (0 if extra else 1), text
    assert "Traceback" not in text, text
    kinds = (
        "missing annotation",
        "unreadable image",
        "annotation in another format",
        "box that is not finite",
    )
    counts = f"dropped 4: {', '.join(f'1 {kind}' for kind in kinds)}"
    assert (counts if extra else "4 faults in the data set") in text, text
    return f"$ python train.py {' '.join(words)}    (exit code {code})\n{text}\n"


def main() -> None:
    """Run every case and print its messages."""
    logging.getLogger("gffpn").addHandler(logging.NullHandler())
    with tempfile.TemporaryDirectory() as name:
        for number, case in enumerate(CASES, start=1):
            folder = Path(name) / str(number)
            overrides = make(case, folder)
            print(f"\n== {number}. {case.name} ({case.form})\n{refusal(case, overrides)}", end="")
            print(f"-- data.on_error=skip\n{skipping(case, folder, overrides)}", end="", flush=True)
        print(f"\n== from the command line\n{as_a_user_does(Path(name) / 'refused')}")
        print(as_a_user_does(Path(name) / "skipped", "data.on_error=skip"))
    skipped = sum(case.skippable for case in CASES)
    print(f"{len(CASES)} kinds of bad data, all refused by name; {skipped} of them can be skipped")


if __name__ == "__main__":
    main()
