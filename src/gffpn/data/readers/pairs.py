"""Pairing of images with the annotation files of the same stems."""

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from gffpn.data.index import SPLITS
from gffpn.data.readers.annotation import Annotation
from gffpn.data.readers.decoding import decoded
from gffpn.data.readers.faults import Faults, Kind
from gffpn.data.readers.formats import WrongFormat
from gffpn.data.readers.images import SUFFIXES
from gffpn.data.readers.root import Root, below, contents
from gffpn.data.readers.splits import Partition

Place = str | Mapping[str, str]
Parse = Callable[[str, str, str], Annotation]


class Pair(NamedTuple):
    """An image and its annotation file, if any; both paths are relative to the root."""

    image: str
    annotation: str | None


def places(images: Place, annotations: Place) -> dict[str, tuple[str, str]]:
    """Return the paths of the images and of the annotations of each split, relative to the root.

    If neither argument is a mapping, the only split is called train until the others are drawn from it.

    Raises ValueError for a mapping that lacks train or has an unknown split, and for two mappings with
    different splits.
    """
    mappings = [value for value in (images, annotations) if not isinstance(value, str)]
    for mapping in mappings:
        if "train" not in mapping or not set(mapping) <= set(SPLITS) or set(mapping) != set(mappings[0]):
            raise ValueError(f"got the splits {list(mapping)}, expected train and any of {list(SPLITS[1:])}")
    splits = [split for split in SPLITS if split in mappings[0]] if mappings else ["train"]

    def of(value: Place, split: str) -> str:
        return value if isinstance(value, str) else value[split]

    return {split: (of(images, split), of(annotations, split)) for split in splits}


def pair_up(
    root: Root, where: Mapping[str, tuple[str, str]], suffix: str, partition: Partition, faults: Faults
) -> dict[str, list[Pair]]:
    """Return the images of each split, paired with their annotation files.

    Without split lists, an annotation file without an image is a fault. Raises DataError at once if a split
    has no pairs, for instance because a folder is missing.
    """
    pairs = {split: _paired(root, place, suffix, faults) for split, place in where.items()}
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
    background: bool = False,
) -> dict[str, list[Annotation]]:
    """Parse the annotation files of each split with `parse(image, file, text)`.

    A file that cannot be read, or for which `parse` raises ValueError, is a fault. An image without a file is
    also a fault, or, with `background`, an image without objects.
    """
    return {
        split: [a for pair in found if (a := _read(root, pair, parse, faults, background)) is not None]
        for split, found in pairs.items()
    }


def _read(root: Root, pair: Pair, parse: Parse, faults: Faults, background: bool) -> Annotation | None:
    if pair.annotation is None and background:
        return Annotation(pair.image, pair.image, None, (), ())
    if pair.annotation is None:
        faults.add(Kind.MISSING_ANNOTATION, f"{pair.image}: no annotation file with the same stem")
        return None
    path = root.inside(pair.annotation)
    if path is None:
        faults.add(Kind.OUTSIDE_ROOT, pair.annotation)
        return None
    try:
        return parse(pair.image, pair.annotation, decoded(path.read_bytes()))
    except (OSError, ValueError) as error:
        kind = Kind.WRONG_FORMAT if isinstance(error, WrongFormat) else Kind.UNREADABLE_ANNOTATION
        faults.add(kind, f"{pair.annotation}: {error}")
        return None


def _refuse_orphans(root: Root, pairs: Mapping[str, list[Pair]], suffix: str, faults: Faults) -> None:
    claimed = {pair.annotation for found in pairs.values() for pair in found if pair.annotation}
    for folder in sorted({os.path.dirname(name) for name in claimed}):
        files = {below(folder, name) for name in _files(root.path / folder, {suffix})}
        # labelImg writes its class names to the labels folder
        for orphan in sorted(files - claimed - {below(folder, "classes.txt")}):
            faults.add(Kind.MISSING_IMAGE, f"{orphan}: no image of that name ({' '.join(sorted(SUFFIXES))})")


def _paired(root: Root, place: tuple[str, str], suffix: str, faults: Faults) -> list[Pair]:
    images, annotations = place
    image_folder, annotation_folder = root.folder(images, faults), root.folder(annotations, faults)
    if image_folder is None or annotation_folder is None:
        return []
    files = {os.path.splitext(name)[0]: name for name in _files(annotation_folder, {suffix})}
    for entry in os.scandir(image_folder):
        inside = len(list(_files(Path(entry.path), SUFFIXES))) if os.path.isdir(entry.path) else 0
        faults.count(f"images left out, in the subfolder {below(images, entry.name)}", inside)
    pairs: dict[str, Pair] = {}
    for name in sorted(_files(image_folder, SUFFIXES)):
        stem = os.path.splitext(name)[0]
        image = below(images, name)
        if stem in pairs:
            faults.add(Kind.DUPLICATE, f"{pairs[stem].image} and {image} would share one annotation")
        else:
            pairs[stem] = Pair(image, below(annotations, files[stem]) if stem in files else None)
    if not files and _other_files(annotations, annotation_folder, suffix, faults):
        return []
    if not pairs:
        expected = " ".join(sorted(SUFFIXES))
        faults.add(Kind.MISSING_FOLDER, f"{images}: no image ({expected}); {contents(image_folder)}")
    return list(pairs.values())


def _other_files(name: str, folder: Path, suffix: str, faults: Faults) -> bool:
    """Return True, and record a fault, if a folder without `suffix` files has files of another reader."""
    for other, data in {".xml": "voc", ".txt": "yolo", ".json": "coco"}.items():
        count = len(list(_files(folder, {other})))
        if count and other != suffix:
            found = f"no {suffix} file, but {count} of {other}"
            faults.add(Kind.OTHER_FORM, f"{name}: {found}: looks like data={data}")
            return True
    return False


def _files(folder: Path, suffixes: Collection[str]) -> Iterator[str]:
    for entry in os.scandir(folder):
        # files with a leading dot come from a file system or an archive program
        if os.path.splitext(entry.name)[1].lower() in suffixes and not entry.name.startswith("."):
            yield entry.name
