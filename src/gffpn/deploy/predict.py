"""Prediction of many images into a folder, which a later call continues."""

import json
import re
import sys
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from threading import Event
from typing import Any

from gffpn.choice import choose
from gffpn.deploy.detector import ImageDetector
from gffpn.deploy.journal import Journal, Result, frame_number, result_of
from gffpn.deploy.pipeline import HELD_BYTES, Outcome, outcomes
from gffpn.deploy.progress import Progress
from gffpn.deploy.sources import Images, Item
from gffpn.deploy.writers import (
    AT_END,
    OUTPUTS,
    PER_IMAGE,
    UNFIT_NAME,
    crops_by_stem,
    earlier_output,
    remove_outputs,
)
from gffpn.files.writing import alone, check_writable, write_atomically
from gffpn.machine.signals import stop_asked

ROOT = "images below"
"""Name of the setting that is the folder to which the names of images are relative."""
WRITERS = 2
"""Threads that draw and write."""
MOST_NAMED = 5
"""More detections than this are counted in the line of an image."""


@dataclass
class Summary:
    """What became of the images."""

    images: int = 0
    """Images that were read, in this call or before."""
    before: int = 0
    """Images that an earlier call had finished."""
    flawed: int = 0
    """Images with a detection."""
    detections: int = 0
    unreadable: list[str] = field(default_factory=list)
    """Errors, a line per image."""
    images_per_second: float = 0.0
    interrupted: bool = False
    """Whether Ctrl-C or SIGTERM ended it before the last image."""


def predict(
    detector: ImageDetector,
    images: Images,
    folder: Path,
    *,
    write: Sequence[str],
    batch: int = 16,
    overwrite: bool = False,
    quiet: bool = False,
) -> Summary:
    """Detect in all images and write the outputs named in `write` (`OUTPUTS`) to `folder`.

    Prints a line per image, `OK NAME` or `NG NAME` with its detections, unless `quiet`. Images that an
    earlier call with the same settings finished are left out; `overwrite` starts over. Files that cannot be
    read are named on stderr and listed in the summary. After Ctrl-C or SIGTERM no further image is read, and
    the outputs of those that were read are written; a second one interrupts at once.

    Raises ValueError if the folder holds predictions with other settings or files of the outputs' names that
    no prediction wrote, or cannot be written to.
    """
    for name in write:
        choose("--write", name, dict.fromkeys(OUTPUTS))
    if batch < 1:
        raise ValueError(f"--batch: got {batch}, expected 1 or more")
    check_writable(folder, setting="--out")
    with alone(folder / ".lock", waits_for=f"the prediction into {folder}"):
        _prepare(folder, _settings(detector, write, images), overwrite=overwrite)
        job = _Job(detector, folder, write, quiet=quiet)
        try:
            with stop_asked() as stop:
                return job.run(images, batch, stop)
        finally:
            job.journal.close()


class _Job:
    def __init__(self, detector: ImageDetector, folder: Path, write: Sequence[str], *, quiet: bool) -> None:
        self.journal = Journal(folder / "detections.jsonl")
        self._detector = detector
        self._folder = folder
        self._writers = [kind(folder, detector.classes) for name, kind in PER_IMAGE.items() if name in write]
        self._at_end = [kind(folder, detector.classes) for name, kind in AT_END.items() if name in write]
        self._quiet = quiet
        self._names: list[str] = []
        self._summary = Summary()

    @cached_property
    def _crops(self) -> Mapping[str, Sequence[Path]]:
        return crops_by_stem(self._folder)

    def run(self, images: Images, batch: int, stop: Event) -> Summary:
        earlier = {camera: self.journal.frames(camera) for camera in images.cameras}
        last = {camera: frame_number(names[-1]) for camera, names in earlier.items() if names}
        images = replace(images, frames_before=last)
        progress = Progress(images.total)
        found = outcomes(self._detector, self._left(images, progress, stop), batch=batch)
        for outcome, result in self._written(found, 2 * batch):
            progress.step()
            if isinstance(result, str):
                self._summary.unreadable.append(result)
                self._names.remove(outcome.item.name)
                self._forget([outcome.item.name])
                print(result, file=sys.stderr)
                continue
            self.journal.add(result)
            if not self._quiet:
                print(verdict(result, self._detector.classes), flush=True)  # a production line waits for it
        self._summary.images_per_second = progress.close()
        now = set(self._names)
        if not self._summary.interrupted:
            self._forget(images.lost_frames(self.journal.names(), now))
        # those of earlier calls, too, because their files are in the folder
        before = [name for name in self.journal.names() if name not in now]
        for writer in self._at_end:
            writer.write_all(self.journal.results([*before, *self._names]))
        for result in self.journal.results(self._names):
            self._summary.images += 1
            self._summary.flawed += bool(result.scores)
            self._summary.detections += len(result.scores)
        return self._summary

    def _forget(self, names: Sequence[str]) -> None:
        """Remove what an earlier call found in images that can no longer be read."""
        if known := [name for name in names if self.journal.knows(name)]:
            remove_outputs(self._folder, set(map(self.journal.stem, known)))
            for name in known:
                self.journal.forget(name)

    def _left(self, images: Images, progress: Progress, stop: Event) -> Iterator[Item]:
        for item in map(self.journal.with_own_stem, images):
            if stop.is_set():
                self._summary.interrupted = True
                print("Stopping after the images that were read; Ctrl-C stops at once", file=sys.stderr)
                return
            self._names.append(item.name)
            if self.journal.has(item):
                self._summary.before += 1
                progress.skip()
            else:
                if self.journal.knows(item.name):  # the file has changed, and may have fewer detections now
                    for crop in self._crops[item.stem]:
                        crop.unlink(missing_ok=True)
                yield item

    def _written(self, found: Iterator[Outcome], most: int) -> Iterator[tuple[Outcome, Result | str]]:
        """Write the files of each image in threads, and yield the images in order when that is done.

        An image that cannot be read, or whose files cannot have its name, has a line of error for a result.
        """
        pending: deque[tuple[Outcome, Future[Result | str]]] = deque()
        held = 0
        with ThreadPoolExecutor(WRITERS, thread_name_prefix="write") as pool:
            for outcome in found:
                pending.append((outcome, pool.submit(self._write, outcome)))
                held += outcome.pixels.nbytes
                while pending and (len(pending) > most or held > HELD_BYTES or pending[0][1].done()):
                    first, future = pending.popleft()
                    held -= first.pixels.nbytes
                    yield first, future.result()
            while pending:
                first, future = pending.popleft()
                yield first, future.result()

    def _write(self, outcome: Outcome) -> Result | str:
        if outcome.found is None:
            return outcome.error
        result = result_of(outcome.item, outcome.pixels.shape, outcome.found)
        try:
            for writer in self._writers:
                writer.write(outcome.pixels, result)
        except OSError as error:
            if error.errno not in UNFIT_NAME:
                raise  # the next image would meet it, too
            remove_outputs(self._folder, {result.stem})
            return f"{result.name}: its results cannot have its name ({error.strerror}); rename the image"
        return result


def verdict(result: Result, classes: Sequence[str]) -> str:
    """Return the line of an image: `OK NAME`, or `NG NAME` and its detections, best first.

    Many detections are counted by class.
    """
    if not result.scores:
        return f"OK {result.name}"
    rows = list(zip(result.labels, result.scores, strict=True))
    if len(rows) > MOST_NAMED:
        found: dict[str, list[float]] = {}
        for label, score in rows:
            found.setdefault(classes[label], []).append(score)
        words = [f"{len(scores)} {name} (best {max(scores):.2f})" for name, scores in found.items()]
    else:
        words = [f"{classes[label]} {score:.2f}" for label, score in rows]
    return f"NG {result.name}: {', '.join(words)}"


def _settings(detector: ImageDetector, write: Sequence[str], images: Images) -> dict[str, Any]:
    return {
        # the names of images are relative to it: lot2/1.png must not take the place of lot1/1.png
        ROOT: str(images.root) if images.files else None,
        "weights": detector.network.digest,
        "precision": detector.network.precision,
        "conf": detector.threshold,
        "classes": detector.reported,
        "max-det": detector.max_detections,
        "slice": asdict(detector.slicing) if detector.slicing else None,
        "write": sorted(set(write)),
    }


def _wider(before: Mapping[str, Any], settings: Mapping[str, Any], changed: Sequence[str]) -> str:
    """Return advice for images in a subfolder of the earlier call's, whose names are relative to it."""
    earlier = before.get(ROOT)
    if changed != [ROOT] or not earlier or Path(earlier) not in Path(settings[ROOT] or "").parents:
        return ""
    return f"give {earlier} itself, of which only new and changed images are taken; "


def _prepare(folder: Path, settings: dict[str, Any], *, overwrite: bool) -> None:
    """Record the settings, and remove what a killed call left incomplete."""
    journal, record = folder / "detections.jsonl", folder / "settings.json"
    # a killed call may have left an empty journal alone
    own = journal.exists() and (record.exists() or not journal.stat().st_size)
    if not own and (other := earlier_output(folder, journal, record)):
        # such as the labels of a data set, or the images themselves
        raise ValueError(f"{other}: exists, but no prediction wrote it; --out chooses another folder")
    if overwrite and own:
        earlier = Journal(journal)
        stems = {result.stem for result in earlier.all()}
        earlier.close()
        remove_outputs(folder, stems)
        for kind in AT_END.values():
            (folder / kind.FILE).unlink(missing_ok=True)
        journal.write_bytes(b"")
    elif record.exists():
        try:
            before: dict[str, Any] = json.loads(record.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{record}: damaged: {error}; --overwrite starts over") from error
        changed = [name for name, value in settings.items() if before.get(name, value) != value]
        if changed:
            listed = ", ".join(f"{name}: {before.get(name)}, now {settings[name]}" for name in changed)
            raise ValueError(
                f"{folder}: holds predictions with other settings ({listed}); "
                f"{_wider(before, settings, changed)}--out chooses another folder, --overwrite starts over"
            )
    journal.touch()
    write_atomically(record, json.dumps(settings, indent=1) + "\n")
    for draft in folder.rglob(".*"):
        if re.fullmatch(r"\..+\.(jpg|png|txt|json|csv)\.\d+", draft.name):
            draft.unlink()
