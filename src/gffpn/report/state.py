"""The state of a run that is not finished, with the reason in one line."""

from gffpn.runs.folder import RunFolder
from gffpn.runs.reading import curves

DIVERGED = "LossNotFiniteError"
"""The error of a run whose loss became NaN or infinite."""


def damage(folder: RunFolder) -> str:
    """Return why config.yaml cannot be read, without which a run belongs to no arm; empty if it can."""
    try:
        folder.read_config()
    except ValueError as error:
        return str(error)
    return ""


def unfinished(folder: RunFolder) -> tuple[str, str]:
    """Return the status of a run without a readable record, and why it is not finished.

    In addition to the statuses of `RunFolder`, a run may have `diverged`, or be of an `other version`.
    """
    if error := folder.other_version():
        return "other version", str(error)
    status = folder.status
    if status == "failed":
        line = error_line(folder.traceback.read_text(encoding="utf-8", errors="replace"))
        return ("diverged" if DIVERGED in line.partition(":")[0] else "failed"), line
    if status == "missing":
        return "missing", f"{folder.path} does not exist" if not folder.path.exists() else "not started"
    try:
        logged = curves(folder.path).get("val/mAP50", [])
    except ValueError as error:  # a damaged log is no reason to lose the run, or the table of its sweep
        return "interrupted", str(error)
    done = max((epoch + 1 for epoch, _ in logged), default=0)
    asked = folder.read_config().get("trainer", {}).get("max_epochs")
    of = f" of {asked}" if asked else ""
    return "interrupted", f"interrupted after {done}{of} epochs, unless it is still running"


def error_line(traceback: str) -> str:
    """Return the line of a traceback that names the error, without the notes that may follow it."""
    lines = traceback.splitlines()
    start = max((at for at, line in enumerate(lines) if line.startswith("Traceback")), default=-1)
    for line in lines[start + 1 :]:
        if line.strip() and not line.startswith((" ", "\t")):
            return line.strip()
    return next((line.strip() for line in reversed(lines) if line.strip()), "unknown error")
