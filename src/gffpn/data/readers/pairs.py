"""Pairing of images with the annotation files of the same stems."""

import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

from gffpn.data.readers.annotation import Annotation
from gffpn.data.readers.decoding import decoded
from gffpn.data.readers.faults import Faults, Kind
from gffpn.data.readers.formats import WrongFormat
from gffpn.data.readers.images import SUFFIXES
from gffpn.data.readers.listing import (
    alike,
    composed,
    count_unknown,
    listed,
    stem_of,
    suffix_of,
    without_suffix,
)
from gffpn.data.readers.places import Places
from gffpn.data.readers.root import Root, below, contents
from gffpn.data.readers.splits import Partition

T = TypeVar("T")
Parse = Callable[[str, str, str], Annotation]
Unlabelled = Literal["refuse", "background", "drop"]
_NO_LABELS = frozenset({"classes.txt", "train.txt", "val.txt", "valid.txt", "test.txt"})
"""Text files that labelling programs write among the labels."""


class Pair(NamedTuple):
    """An image and its annotation file, if any; both paths are relative to the root."""

    image: str
    annotation: str | None


def pair_up(
    root: Root, where: Places, suffix: str, partition: Partition, faults: Faults
) -> dict[str, list[Pair]]:
    """Return the images of each split, at any depth, paired with their annotation files.

    Without split lists, an annotation file without an image is a fault. Raises DataError at once if a split
    has no pairs, for instance because a folder is missing.
    """
    places = [place for found in where.values() for place in found]
    own = {path for images, _ in places if (path := root.inside(images))}
    others = {path for _, annotations in places if (path := root.inside(annotations))}
    pairs = {
        split: [pair for place in found for pair in _paired(root, place, suffix, own, others, faults)]
        for split, found in where.items()
    }
    if not all(pairs.values()):
        faults.settle()  # always raises, because each empty split has recorded a fatal fault
    if partition.has_lists:
        return partition.select(root, pairs, faults)
    _refuse_orphans(root, pairs, suffix, faults)
    return pairs


def read_annotations(
    root: Root,
    pairs: Mapping[str, Sequence[Pair]],
    parse: Parse,
    faults: Faults,
    *,
    unlabelled: Unlabelled,
) -> dict[str, list[Annotation]]:
    """Parse the annotation files of each split with `parse(image, file, text)`.

    A file that cannot be read, or for which `parse` raises ValueError, is a fault. An image without a file is
    a fault ("refuse"), an image without objects ("background") or left out ("drop").
    """
    return {
        split: [a for pair in found if (a := _read(root, pair, parse, faults, unlabelled)) is not None]
        for split, found in annotated_splits(pairs, lambda pair: pair.annotation, unlabelled, faults).items()
    }


def annotated_splits(
    found: Mapping[str, Sequence[T]],
    annotation: Callable[[T], object],
    unlabelled: Unlabelled,
    faults: Faults,
) -> dict[str, Sequence[T]]:
    """Return the splits without those of which "drop" would leave nothing, so that they are drawn from train.

    `annotation` returns what is true for an image with an annotation.
    """
    kept = dict(found)
    for split, images in found.items():
        if unlabelled == "drop" and split != "train" and images and not any(map(annotation, images)):
            what = f"images without annotation left out, all those of {split}, which is drawn from train"
            faults.count(what, len(images))
            del kept[split]
    return kept


def _read(root: Root, pair: Pair, parse: Parse, faults: Faults, unlabelled: Unlabelled) -> Annotation | None:
    if pair.annotation is None:
        return without_file(pair.image, unlabelled, faults, "no annotation file with the same stem")
    path = root.joined(pair.annotation)
    if path is None:
        faults.add(Kind.OUTSIDE_ROOT, pair.annotation)
        return None
    try:
        with open(path, "rb", buffering=0) as file:
            text = decoded(file.read())
        return parse(pair.image, pair.annotation, text)
    except (OSError, ValueError, RecursionError) as error:
        kind = Kind.WRONG_FORMAT if isinstance(error, WrongFormat) else Kind.UNREADABLE_ANNOTATION
        faults.add(kind, f"{pair.annotation}: {error}")
        return None


def without_file(image: str, unlabelled: Unlabelled, faults: Faults, why: str) -> Annotation | None:
    """Return an image without objects, or record that an image without annotation is a fault or left out."""
    if unlabelled == "background":
        faults.count("images without annotation taken as background")
        return Annotation(image, image, None, (), ())
    if unlabelled == "drop":
        faults.count("images without annotation left out")
    else:
        faults.add(Kind.MISSING_ANNOTATION, f"{image}: {why}")
    return None


def _refuse_orphans(root: Root, pairs: Mapping[str, list[Pair]], suffix: str, faults: Faults) -> None:
    claimed = {pair.annotation for found in pairs.values() for pair in found if pair.annotation}
    for folder in sorted({os.path.dirname(name) for name in claimed}):
        names = (name for name in os.listdir(root.path / folder) if not name.startswith("."))
        files = {below(folder, name) for name in names if suffix_of(name) == suffix and not _is_text(name)}
        for orphan in sorted(files - claimed):
            faults.add(Kind.MISSING_IMAGE, f"{orphan}: no image of that name ({' '.join(sorted(SUFFIXES))})")


def _is_text(name: str) -> bool:
    return name.lower() in _NO_LABELS or name.lower().startswith("readme")


def _paired(
    root: Root,
    place: tuple[str, str],
    suffix: str,
    own: Collection[Path],
    others: Collection[Path],
    faults: Faults,
) -> list[Pair]:
    """Pair the images of one folder.

    `own` are all folders of images and `others` those of annotations; no other folder contains their files.
    """
    images, annotations = place
    image_folder, annotation_folder = root.folder(images, faults), root.folder(annotations, faults)
    if image_folder is None or annotation_folder is None:
        return []
    skip = {str(path) for path in own if path != image_folder}
    names = list(listed(image_folder, skip))
    pictures = [name for name in names if suffix_of(name) in SUFFIXES]
    skip = {str(path) for path in others if path != annotation_folder}
    files = [name for name in listed(annotation_folder, skip) if suffix_of(name) == suffix]
    if not files and _other_files(annotations, annotation_folder, suffix, faults):
        return []
    if not pictures:
        expected = " ".join(sorted(SUFFIXES))
        found = ", ".join(sorted({suffix_of(name) or "files without suffix" for name in names})[:8])
        holds = f"it holds {found}" if found else contents(image_folder)
        faults.add(Kind.MISSING_FOLDER, f"{images}: no image ({expected}); {holds}")
    count_unknown(images, names, faults)
    return list(_matched(images, annotations, pictures, files, faults))


def _matched(
    images: str, annotations: str, pictures: Sequence[str], files: Sequence[str], faults: Faults
) -> list[Pair]:
    """Pair files of equal paths without suffix, else, if only one of the folders has subfolders, of stems.

    Among files that have no other partner, paths may also differ in case.
    """
    exact = {composed(without_suffix(name)): name for name in files}
    paths = {name: composed(without_suffix(name)) for name in sorted(pictures)}
    claimed = set(paths.values())
    stems = [composed(stem_of(name)) for name in files]
    numbers = Counter(stems)
    by_stem = {
        stem: name
        for stem, name in zip(stems, files, strict=True)
        if numbers[stem] == 1 and composed(without_suffix(name)) not in claimed
    }
    folded: Mapping[str, str] = {}
    if any(path not in exact for path in paths.values()):
        only = _only((path, name) for name, path in paths.items())
        folded = {path: name for path, name in _only(exact.items()).items() if path in only}
    owner: dict[str, str] = {}
    pairs: list[Pair] = []
    for name, path in paths.items():
        image, file = below(images, name), exact.get(path) or folded.get(alike(path))
        if file is None and (near := by_stem.get(composed(stem_of(name)))) is not None:
            file = near if "/" not in name or "/" not in near else None
        first = owner.setdefault(file or path, image)
        if first == image:
            pairs.append(Pair(image, below(annotations, file) if file else None))
        else:
            faults.add(Kind.DUPLICATE, f"{first} and {image} would share one annotation")
    return pairs


def _only(names: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the names (path, name) whose paths differ from all others in more than case, by `alike`."""
    found: dict[str, list[str]] = {}
    for path, name in names:
        found.setdefault(alike(path), []).append(name)
    return {path: several[0] for path, several in found.items() if len(several) == 1}


def _other_files(name: str, folder: Path, suffix: str, faults: Faults) -> bool:
    """Return True, and record a fault, if a folder without `suffix` files has files of another reader."""
    counts = Counter(suffix_of(file) for file in listed(folder))
    for other, data in {".xml": "voc", ".txt": "yolo", ".json": "coco"}.items():
        if counts[other] and other != suffix:
            found = f"no {suffix} file, but {counts[other]} of {other}"
            faults.add(Kind.OTHER_FORM, f"{name}: {found}: looks like data={data}")
            return True
    return False
