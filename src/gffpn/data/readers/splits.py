"""Assignment of images to the training, validation and test splits.

Sechidis, Tsoumakas, Vlahavas: "On the Stratification of Multi-label Data", ECML PKDD 2011, Algorithm 1.
Deviations: ties are broken by the number of images that a split still needs, then by the order train, val,
test, instead of at random; images of one group stay together.
"""

import hashlib
import logging
import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path, PurePosixPath

from gffpn.data.index import SPLITS, ImageRecord
from gffpn.data.readers.faults import Faults, Kind
from gffpn.data.readers.listing import composed, without_suffix
from gffpn.data.readers.places import ALIASES
from gffpn.data.readers.quoting import override
from gffpn.data.readers.root import Root, contents
from gffpn.data.readers.split_lists import Lists, T, matched, paths_of

logger = logging.getLogger(__name__)


class Partition:
    """Splits of a data set, from lists where they exist and otherwise drawn from train with `seed`.

    `splits` is a folder with train.txt, val.txt (or valid.txt) and test.txt (below the root, or absolute), or
    a mapping from split to one list or several. Each line of a list is an image's path relative to the root,
    the end of that path, with or without its suffix, or a longer path that ends with the one relative to
    the root. A missing list is drawn from train. `fractions` are the shares of train, val and test. `places`
    are the splits that the data set already keeps apart. `train_images` is the number of training images, the
    first ones in a random order, so that a smaller number means some of the same.

    Raises ValueError if `splits` is given for several `places`, or unless `fractions` are three positive
    numbers that sum to 1.
    """

    def __init__(
        self,
        splits: Lists,
        fractions: Sequence[float],
        seed: int,
        places: Collection[str],
        train_images: int | None = None,
    ) -> None:
        if isinstance(splits, Mapping):
            splits = {ALIASES.get(split, split): name for split, name in splits.items()}
            if "train" not in splits or not set(splits) <= set(SPLITS):
                raise ValueError(f"splits: got {list(splits)}, expected train and any of {list(SPLITS[1:])}")
        if splits is not None and len(places) > 1:
            raise ValueError(
                f"splits: got {splits!r}, expected null for a set already split into {', '.join(places)}"
            )
        if len(fractions) != 3 or min(fractions) <= 0 or not math.isclose(sum(fractions), 1.0, abs_tol=1e-6):
            raise ValueError(
                f"fractions: got {list(fractions)}, expected three positive numbers for {', '.join(SPLITS)}"
                " that sum to 1, e.g. [0.8, 0.1, 0.1]"
            )
        self._lists = splits
        self._fractions = dict(zip(SPLITS, fractions, strict=True))
        if train_images is not None and train_images < 1:
            raise ValueError(f"train_images: got {train_images}, expected null or 1 or more")
        self._seed = seed
        self._train_images = train_images

    @property
    def has_lists(self) -> bool:
        """True if split lists were given."""
        return self._lists is not None

    def select(
        self,
        root: Root,
        found: Mapping[str, Sequence[T]],
        faults: Faults,
        alias: Callable[[str], str] | None = None,
    ) -> dict[str, list[T]]:
        """Return the listed images of each split, or `found` unchanged if there are no lists.

        A list may also give an image by the name that `alias` returns for its path.
        """
        if self._lists is None:
            return {split: list(items) for split, items in found.items()}
        lists = paths_of(root, self._lists)
        for path in [path for paths in lists.values() for path in paths if not path.is_file()]:
            what = f"{path}: no such list; {contents(path.parent)}"
            if path.parent.is_file():
                lists_of = (
                    "a folder with train.txt, val.txt and test.txt, or {train: FILE, val: FILE, test: FILE}"
                )
                what = f"{path.parent}: data.splits is a file, expected {lists_of}"
            faults.add(Kind.MISSING_FOLDER, what)
            faults.settle()
        keys: dict[str, list[T]] = {}
        for item in found["train"]:
            image = str(PurePosixPath(composed(item.image)))
            every = [PurePosixPath(path).parts for path in (image, without_suffix(image))]
            tails = {"/".join(parts[start:]) for parts in every for start in range(len(parts))}
            for key in tails | ({composed(alias(item.image))} if alias else set()):
                keys.setdefault(key, []).append(item)
        chosen = {
            split: [item for path in paths for item in matched(path, keys, root, faults)]
            for split, paths in lists.items()
        }
        listed = {item.image for items in chosen.values() for item in items}
        if others := len({item.image for item in found["train"]} - listed):
            faults.count("images left out, because no split list names them", others)
        return chosen

    def complete(
        self, parts: Mapping[str, Sequence[ImageRecord]], faults: Faults
    ) -> dict[str, tuple[ImageRecord, ...]]:
        """Return all three splits, disjoint and sorted by name; draw from train those missing in `parts`.

        Raises ValueError if train has fewer images than asked for.
        """
        parts = _disjoint(parts, faults)
        missing = [split for split in SPLITS if split not in parts]
        if missing:
            shares = {split: self._fractions[split] for split in ("train", *missing)}
            parts = {**parts, **draw(parts["train"], shares, self._seed)}
            logger.info("%s: drew %s from train, seed %d", faults.root, " and ".join(missing), self._seed)
        if not faults.refuses:  # otherwise, the faults may have emptied the split
            parts = {**parts, "train": self._first(parts["train"])}
            self._refuse_empty(parts, missing, faults)
        return {split: tuple(sorted(parts[split], key=lambda record: record.name)) for split in SPLITS}

    def _first(self, records: Sequence[ImageRecord]) -> Sequence[ImageRecord]:
        """Return the training images that are used."""
        if self._train_images is None:
            return records
        if self._train_images > len(records):
            raise ValueError(
                f"train_images: got {self._train_images}, expected null or at most {len(records)}, "
                "the images of train"
            )
        order = sorted(records, key=lambda record: _rank(self._seed, record.name))
        return order[: self._train_images]

    def _refuse_empty(
        self, parts: Mapping[str, Sequence[ImageRecord]], drawn: Sequence[str], faults: Faults
    ) -> None:
        """Record a fault for splits without images, and for one of val without boxes."""
        empty = [split for split in SPLITS if not parts[split]]
        if empty:
            sizes = ", ".join(f"{name} {len(parts[name])}" for name in SPLITS)
            what = f"{', '.join(empty)}: no image ({sizes}); each split needs at least one"
        elif not any(len(record.objects.boxes) for found in parts.values() for record in found):
            faults.add(Kind.EMPTY_SPLIT, "no box in the whole set: label its objects, or choose other files")
            return
        elif not any(len(record.objects.boxes) for record in parts["val"]):
            what = "val: images, but no box: it cannot be used to choose an epoch"
        else:
            return
        cure = "list some images for it"
        if drawn:
            pool = [record for split in ("train", *drawn) for record in parts[split]]
            several = len(drawn) < len(SPLITS) - 1
            objects = any(len(record.objects.boxes) for record in pool)
            cure = self._larger(pool, drawn) if objects or not several else self._with_objects()
        faults.add(Kind.EMPTY_SPLIT, f"{what}: {cure}")

    def _with_objects(self) -> str:
        """Return advice for a train without objects, from which other splits are drawn."""
        cure = "list images with objects for it"
        if self._lists is None:
            cure = (
                "give the folders of all splits as one list, data.images=[A,B] in place of"
                " {train: A, test: B}, and all splits are drawn from it"
            )
        return f"train, from which it is drawn, has no object: {cure}"

    def _larger(self, records: Sequence[ImageRecord], drawn: Sequence[str]) -> str:
        """Return advice for a set that is too small for its fractions."""
        groups = len({(bool(record.group), record.group or record.name) for record in records})
        if groups < 1 + len(drawn):
            found = f"{groups} image{'s' if groups > 1 else ''} (or groups that stay together)"
            return f"{found} cannot fill {1 + len(drawn)} splits: add images"
        for part in (0.1, 0.15, 0.2, 0.25, 0.3, 0.33):
            fractions = dict(zip(SPLITS, (round(1 - 2 * part, 2), part, part), strict=True))
            trial = draw(records, {split: fractions[split] for split in ("train", *drawn)}, self._seed)
            boxes = any(len(record.objects.boxes) for record in trial.get("val", records))
            if all(trial.values()) and boxes and fractions != self._fractions:
                return f"the set is small, {override('data.fractions', list(fractions.values()))}"
        return "add images with boxes, or list the images of each split (data.splits)"


def draw(
    records: Sequence[ImageRecord], fractions: Mapping[str, float], seed: int
) -> dict[str, list[ImageRecord]]:
    """Distribute `records` so that each split gets its fraction of the images of every class.

    The result does not depend on the order of `records`, the machine or the folder, because images are
    ordered by a hash of seed and name. The rarest class is distributed first; a group goes to one split as a
    whole.
    """
    units = _units(records, seed)
    classes = [_images_by_class(unit) for unit in units]
    scale = sum(fractions.values())
    total: Counter[int] = Counter()
    for labels in classes:
        for label, count in labels.items():
            total[label] += count
    wanted_images = {split: len(records) * part / scale for split, part in fractions.items()}
    wanted = {
        split: {label: count * part / scale for label, count in total.items()}
        for split, part in fractions.items()
    }
    drawn: dict[str, list[ImageRecord]] = {split: [] for split in fractions}
    remaining = list(range(len(units)))
    left = Counter(label for labels in classes for label in labels)
    while remaining:
        rarest = min(left, key=lambda label: (left[label], label)) if left else None
        chosen = [unit for unit in remaining if rarest is None or rarest in classes[unit]]
        for unit in chosen:
            split = max(
                fractions,
                key=lambda name: (0.0 if rarest is None else wanted[name][rarest], wanted_images[name]),
            )
            drawn[split] += units[unit]
            wanted_images[split] -= len(units[unit])
            for label, count in classes[unit].items():
                wanted[split][label] -= count
        remaining = [unit for unit in remaining if rarest is not None and rarest not in classes[unit]]
        left -= Counter(label for unit in chosen for label in classes[unit])
    return drawn


def _images_by_class(unit: Sequence[ImageRecord]) -> dict[int, int]:
    """Return the number of images of a unit that have an object of each class."""
    if len(unit) == 1:  # a Counter takes five times as long, and most units are single images
        return dict.fromkeys(unit[0].objects.labels.tolist(), 1)
    return Counter(label for record in unit for label in set(record.objects.labels.tolist()))


def _units(records: Sequence[ImageRecord], seed: int) -> list[list[ImageRecord]]:
    groups: dict[tuple[bool, str], list[ImageRecord]] = {}
    for record in sorted(records, key=lambda record: record.name):
        groups.setdefault((bool(record.group), record.group or record.name), []).append(record)

    def rank(key: tuple[bool, str]) -> tuple[int, bytes]:
        # large groups first, while the splits have room for them
        return -len(groups[key]), _rank(seed, key[1])

    return [groups[key] for key in sorted(groups, key=rank)]


def _rank(seed: int, name: str) -> bytes:
    """Return the place of an image or a group in a random order, the same on every machine."""
    return hashlib.sha256(f"{seed}\n{name}".encode()).digest()


def _disjoint(parts: Mapping[str, Sequence[ImageRecord]], faults: Faults) -> dict[str, Sequence[ImageRecord]]:
    owner: dict[Path, str] = {}
    kept: dict[str, Sequence[ImageRecord]] = {}
    # from test to train, so that dropping a repeated image never makes an evaluation easier
    for split in reversed([split for split in SPLITS if split in parts]):
        records: list[ImageRecord] = []
        for record in parts[split]:
            other = owner.get(record.path)
            if other is None:
                owner[record.path] = split
                records.append(record)
            elif other == split:
                faults.add(Kind.DUPLICATE, f"{record.name}: twice in {split}")
            else:
                faults.add(Kind.TWO_SPLITS, f"{record.name}: in {split} and in {other}")
        kept[split] = records
    return kept
