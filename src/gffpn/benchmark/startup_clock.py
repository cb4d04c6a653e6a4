"""`train.py` with a clock beside it: `python -m gffpn.benchmark.startup_clock MARKS SCRIPT WORDS...`.

The script is train.py, the words are its own. When it ends, the file MARKS holds a JSON list of [seconds
since 1970, what had just happened]. The clock stands around a few calls and does nothing else, but that torch
and lightning are imported first of all that train.py imports late.
"""

import json
import runpy
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import Any

HOOKS = ("on_train_start", "on_train_batch_start", "on_train_end", "on_test_start", "on_test_end")


class Clock:
    """Notes what happened when."""

    def __init__(self) -> None:
        self.marks: list[tuple[float, str]] = []

    def mark(self, name: str) -> None:
        """It happened now."""
        self.marks.append((time.time(), name))

    def around(self, owner: Any, name: str) -> None:
        """From now on, note each begin and end of the owner's function."""
        function = getattr(owner, name)

        @wraps(function)
        def noted(*values: Any, **named: Any) -> Any:
            self.mark(f"{name} begins")
            try:
                return function(*values, **named)
            finally:
                self.mark(f"{name} ends")

        setattr(owner, name, noted)


def watch_imports(clock: Clock) -> None:
    """Note begin and end of train.py's imports, and be ready for its runs as soon as they are done."""
    from gffpn.suite import imports

    original = imports.first_imports

    @contextmanager
    def noted() -> Iterator[None]:
        first = "gffpn.suite.run" not in sys.modules
        if first:
            clock.mark("imports begin")
        with original():
            if first:
                import_module("torch")
                import_module("lightning")
                clock.mark("lightning imported")
            yield
            import_module("gffpn.suite.run")  # what train.py imports next
        if first:
            clock.mark("imports end")
            watch_runs(clock)

    imports.first_imports = noted


def watch_runs(clock: Clock) -> None:
    """Note what a run goes through, from now on."""
    from gffpn import build
    from gffpn.suite import fit, run
    from gffpn.task import DetectionTask

    clock.around(build, "build_index")
    clock.around(build, "build_loggers")
    clock.around(fit, "fps")
    clock.around(run.Attempt, "tell")
    for name in HOOKS:
        clock.around(DetectionTask, name)


def main(marks: Path, script: str, words: list[str]) -> None:
    """Run the script as if it were the command, and leave the marks."""
    clock = Clock()
    clock.mark("python")
    watch_imports(clock)
    sys.argv = [script, *words]
    try:
        runpy.run_path(script, run_name="__main__")
    finally:
        marks.write_text(json.dumps(clock.marks))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
