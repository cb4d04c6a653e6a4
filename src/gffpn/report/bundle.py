"""A bundle: all that verdicts follow from, in one ZIP file with a hash of each file and the verdicts."""

import contextlib
import dataclasses
import hashlib
import json
import stat
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path, PurePosixPath

from gffpn.files.typed_json import from_json, parsed
from gffpn.files.writing import DISK_FULL, whole_file
from gffpn.report.collect import Source
from gffpn.report.looks import others_beside
from gffpn.runs.sweeps import PLAN, is_sweep, plan_text, read_jobs, read_plan
from gffpn.stats.study import Study

FORMAT = 1
MANIFEST = "manifest.json"
LARGEST = 4 << 30
"""Bytes to which a bundle may unpack."""
MOST_FILES = 100_000
MANIFEST_BYTES = 64 << 20
KEPT = ("config.yaml", "start.json", "command.json", "metrics.json", "predictions.npz", "traceback.txt")
"""Files of a run that a bundle holds, beside its logs."""


@dataclass(frozen=True)
class Stored:
    """One file of a bundle."""

    sha256: str
    bytes: int


@dataclass(frozen=True)
class StoredVerdict:
    """A verdict as it was when the bundle was made."""

    study: str
    contrast: str
    endpoint: str
    word: str
    """Empty if there was none."""
    delta: float | None
    low: float | None
    high: float | None
    p: float | None
    """By Holm's rule."""


@dataclass(frozen=True)
class Manifest:
    """Contents of manifest.json."""

    format: int
    gffpn: str
    files: dict[str, Stored]
    verdicts: tuple[StoredVerdict, ...]


def write_bundle(path: Path, sources: Sequence[Source], studies: Sequence[Study]) -> int:
    """Write the runs and sweeps of some studies and return the number of files.

    Raises ValueError if two different runs have one name, or if the bundle would be too large to be opened.
    """
    files = dict[str, Path]()
    for source in sources:
        for name, file in members(source):
            if files.setdefault(name, file).resolve() != file.resolve():
                raise ValueError(f"{path}: two runs or sweeps are named {PurePosixPath(name).parts[-2]}")
    total = sum(file.stat().st_size for file in files.values())
    if total > LARGEST or len(files) >= MOST_FILES:
        raise ValueError(
            f"{path}: would hold {total} bytes in {len(files)} files, expected at most {LARGEST} bytes and "
            f"fewer than {MOST_FILES} files; bundle fewer runs at once"
        )
    stored = dict[str, Stored]()
    with whole_file(path) as draft, zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, file in sorted(files.items()):
            content = _content_of(file)
            stored[name] = Stored(_sha256(content), len(content))
            archive.writestr(name, content)
        manifest = Manifest(FORMAT, version("gffpn"), stored, tuple(verdicts_of(studies)))
        archive.writestr(MANIFEST, json.dumps(dataclasses.asdict(manifest), indent=1) + "\n")
    return len(files)


def is_bundle(path: Path) -> bool:
    """Return whether a file is a bundle, though it may be damaged or of another version."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {"gffpn", "verdicts"} <= set(parsed(archive.read(MANIFEST)))
    except (zipfile.BadZipFile, zlib.error, OSError, LookupError, ValueError, TypeError):
        return False


def _content_of(file: Path) -> bytes:
    """Return what a bundle holds of a file.

    Of the place of a job's run, it is only the name of its folder. The plan of a sweep also has the other
    sweeps of its runs, which are not in the bundle but had verdicts.
    """
    content = file.read_bytes()
    if file.name == PLAN:
        with contextlib.suppress(ValueError):
            plan = read_plan(file.parent)
            names = {Path(job["run"]).name for job in read_jobs(file.parent)}
            others = [one for one in others_beside(file.parent) if len(names & set(one.runs)) > 1]
            if plan and others:
                content = plan_text(dataclasses.replace(plan, earlier=(*plan.earlier, *others))).encode()
    if file.parent.name == "jobs":
        with contextlib.suppress(ValueError, AttributeError, TypeError):  # a damaged one, as it is
            job = parsed(content)
            content = json.dumps(job | {"run": Path(job["run"]).name}).encode()
    return content


def members(source: Source) -> Iterator[tuple[str, Path]]:
    """Yield (name in the bundle, file) of a source: its runs side by side, its sweep's records in sweeps/."""
    for run in source.runs:
        if run.path:
            logs = run.path.glob("logs/attempt_*/metrics.csv")
            for file in [*(run.path / name for name in KEPT), *logs]:
                if file.is_file():
                    yield f"{run.path.name}/{file.relative_to(run.path).as_posix()}", file
    if is_sweep(source.folder):
        for file in [source.folder / PLAN, *source.folder.glob("jobs/*.json")]:
            if file.is_file():
                yield f"sweeps/{source.folder.name}/{file.relative_to(source.folder).as_posix()}", file


def verdicts_of(studies: Sequence[Study]) -> Iterator[StoredVerdict]:
    """Yield the verdict on each contrast of each study."""
    for study in studies:
        for one in study.contrasts:
            found, verdict = one.estimate, one.verdict
            low, high = found.interval() if found else (None, None)
            yield StoredVerdict(
                study.name,
                one.name,
                one.endpoint,
                verdict.word if verdict else "",
                found.delta if found else None,
                low,
                high,
                verdict.p if verdict else None,
            )


def open_bundle(path: Path, folder: Path) -> Manifest:
    """Check the hash of every file of a bundle and extract it to a new folder, which then is one of runs.

    Raises ValueError with one line that names the first file that is missing, changed, unsafe or too large;
    nothing outside `folder` is written.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = {entry.filename: entry for entry in archive.infolist() if not entry.is_dir()}
            if len(entries) != sum(not entry.is_dir() for entry in archive.infolist()):
                raise ValueError(f"{path}: a file is in it twice")
            manifest = _manifest(path, archive, entries)
            for name, stored in manifest.files.items():
                content = _content(path, archive, entries[name], stored.bytes)
                if len(content) != stored.bytes or _sha256(content) != stored.sha256:
                    raise ValueError(f"{path}: {name} is not what the manifest says; the bundle was changed")
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
    except FileNotFoundError as error:
        raise ValueError(f"{path}: no such file") from error
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        if isinstance(error, OSError) and error.errno in DISK_FULL:
            place = f"{path}: no space is left to unpack it in {folder.parent}"
            raise ValueError(f"{place}; TMPDIR=FOLDER chooses another one") from error
        raise ValueError(f"{path}: damaged: {error}") from error
    return manifest


def _manifest(path: Path, archive: zipfile.ZipFile, entries: dict[str, zipfile.ZipInfo]) -> Manifest:
    """Return the manifest, after checking that it lists the files of the bundle and that all are safe."""
    if MANIFEST not in entries:
        raise ValueError(f"{path}: holds no {MANIFEST}; expected a file that gffpn report --bundle wrote")
    try:
        content = parsed(_content(path, archive, entries[MANIFEST], MANIFEST_BYTES))
        if isinstance(content, dict) and content.get("format") != FORMAT:
            raise ValueError(f"got format {content.get('format')}, expected {FORMAT}")
        manifest = from_json(Manifest, content)
    except ValueError as error:
        raise ValueError(f"{path}: {MANIFEST}: {error}") from error
    for name in sorted({*entries, *manifest.files} - {MANIFEST}):
        if name not in manifest.files:
            raise ValueError(f"{path}: {name} is not in the manifest")
        if name not in entries:
            raise ValueError(f"{path}: {name} is missing")
        _check_safe(path, entries[name])
    total = sum(stored.bytes for stored in manifest.files.values())
    if total > LARGEST or len(entries) > MOST_FILES or any(one.bytes < 0 for one in manifest.files.values()):
        raise ValueError(f"{path}: unpacks to {total} bytes in {len(entries)} files, expected less")
    return manifest


def _check_safe(path: Path, entry: zipfile.ZipInfo) -> None:
    """Raise ValueError for a name that leads out of the folder, or for a link."""
    name = PurePosixPath(entry.filename)
    parts = name.parts
    outside = name.is_absolute() or ".." in parts or not parts or any(c in entry.filename for c in "\\:\0")
    mode = entry.external_attr >> 16
    if outside or (stat.S_IFMT(mode) not in (0, stat.S_IFREG)):
        raise ValueError(f"{path}: {entry.filename!r}: expected a plain file inside the bundle")


def _content(path: Path, archive: zipfile.ZipFile, entry: zipfile.ZipInfo, size: int) -> bytes:
    """Return the bytes of a file, of which no more than `size` are unpacked, whatever the archive says."""
    with archive.open(entry) as file:
        content = file.read(size + 1)
    if len(content) > size:
        raise ValueError(f"{path}: {entry.filename} is larger than {size} bytes")
    return content


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
