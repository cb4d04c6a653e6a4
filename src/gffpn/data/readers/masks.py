"""Reader for masks: image files whose grey values show where the objects are."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from gffpn.choice import one_of
from gffpn.data.index import DataError, DataIndex
from gffpn.data.readers.annotation import Annotation, Box
from gffpn.data.readers.faults import Faults, Kind
from gffpn.data.readers.mask_files import ANY, Masked, MaskFile, Search
from gffpn.data.readers.mask_memo import read_masks
from gffpn.data.readers.mask_objects import Mask
from gffpn.data.readers.pairs import Unlabelled, annotated_splits, without_file
from gffpn.data.readers.places import Place, held, places
from gffpn.data.readers.reader import Reader

Objects = Literal["components", "values", "files"]
Connectivity = Literal[4, 8]


@dataclass(kw_only=True)
class Masks(Reader):
    """Reader for images and masks, in which 0 is the background and each object becomes its enclosing box.

    `images` is the folder of the images, and `masks` that of the masks, with equal names except for
    `mask_suffix` at the end of a mask's stem and for the file type. A `*` in `masks` stands for the image's
    name, so that each image has a folder of masks; a `*` in both stands for a folder per image that contains
    the image and its masks. Each may be a list or a mapping as in `VOC`.

    `objects` is what one object is: a connected component of equal values ("components"), all pixels of one
    value ("values"), or all pixels of a file ("files"); None is "files" for a folder of masks per image, else
    "components". `connectivity` is the number of neighbours of a pixel. Values above `threshold` are an
    object, if it is given. Objects of fewer than `min_area` pixels are left out and counted.

    The class is that of the value in `values` (None leaves it out), or the name of the first folder below
    `masks` with `class_folders`, or else the only one of `classes`, or "object". For `unlabelled`, the
    treatment of an image without a mask, see `VOC`; for the other arguments, see `Reader`.

    Raises ValueError for an invalid argument; `index` raises DataError for faulty data.
    """

    images: Place
    masks: Place
    mask_suffix: str
    class_folders: bool
    values: Mapping[int, str | None] | None
    threshold: int | None
    objects: Objects | None
    connectivity: Connectivity
    min_area: int
    unlabelled: Unlabelled

    def __post_init__(self) -> None:
        one_of("unlabelled", self.unlabelled, Unlabelled)
        one_of("connectivity", self.connectivity, Connectivity)
        if self.objects is not None:
            one_of("objects", self.objects, Objects)
        self._names = None if self.values is None else _names(self.values)
        self._places = places(self.images, self.masks)
        self._intake = self.intake(self._places)
        every = [place for found in self._places.values() for place in found]
        for images, masks in every:
            if not (_has_valid_star(images) and _has_valid_star(masks)) or (
                ANY in images and ANY not in masks
            ):
                raise ValueError(
                    f"images, masks: got {images} and {masks}, expected {ANY} as the name of a folder, at"
                    " most one in each, and in masks if it is in images"
                )
        several = self._intake.classes is not None and len(self._intake.classes) > 1
        if several and self._names is None and not self.class_folders:
            raise ValueError(
                f"classes: got {self.classes}, expected one unless values or class_folders is given"
            )
        self._whole_files = all(ANY in masks for _, masks in every)

    def index(self) -> DataIndex:
        """Read and check the whole data set; each call lists the folders and reads the new masks again."""
        root, faults = self._intake.open(held(self._places))
        search, partition = Search(root, self.mask_suffix, self.class_folders, faults), self._intake.partition
        found: dict[str, list[Masked]] = {split: [] for split in self._places}
        paths: set[str] = set()  # splits may share a folder of masks
        for split, folders in self._places.items():
            for pair in folders:
                images, files = search.find(*pair)
                found[split] += images
                paths.update(files)
        if not all(found.values()):
            faults.settle()
        if partition.has_lists:
            found = partition.select(root, found, faults, self.alias)
        else:
            search.refuse_orphans((masked for part in found.values() for masked in part), paths)
        kept = annotated_splits(found, lambda masked: masked.masks, self.unlabelled, faults)
        objects = self.objects or ("files" if self._whole_files else "components")
        names = [file.path for part in kept.values() for masked in part for file in masked.masks]
        masks = read_masks(
            {name: root.inside(name) or root.path / name for name in names},
            self.cache_dir,
            threshold=self.threshold,
            connectivity=self.connectivity if objects == "components" else None,
        )
        annotated = {
            split: [
                a for masked in part if (a := self._annotation(masked, masks, objects, faults)) is not None
            ]
            for split, part in kept.items()
        }
        return self._intake.index(root, annotated, self._classes(annotated), faults)

    def alias(self, image: str) -> str:
        """Return another name by which split lists may call an image, here its own."""
        return image

    def _classes(self, annotated: Mapping[str, list[Annotation]]) -> tuple[str, ...]:
        if self._intake.classes is not None:
            return self._intake.classes
        if self._names is not None:
            return tuple(dict.fromkeys(name for name in self._names.values() if name is not None))
        if not self.class_folders:
            return ("object",)
        names = {name for part in annotated.values() for found in part for name in found.names}
        return tuple(sorted(names))

    def _annotation(
        self, masked: Masked, masks: Mapping[str, Mask | DataError], objects: Objects, faults: Faults
    ) -> Annotation | None:
        if not masked.masks:
            return without_file(masked.image, self.unlabelled, faults, "no mask of that name")
        kept: list[tuple[Box, str]] = []
        sizes: dict[tuple[int, int], str] = {}
        for file in masked.masks:
            mask = masks[file.path]
            if isinstance(mask, DataError):
                faults.add(Kind.UNREADABLE_ANNOTATION, str(mask))
                return None
            sizes.setdefault((mask.height, mask.width), file.path)
            greys = sorted({region.value for region in mask.regions})
            if len(greys) > 1 and self._names is None and objects != "values":
                shown = ", ".join(map(str, greys[:8])) + (", ..." if len(greys) > 8 else "")
                faults.add(Kind.GREY_VALUES, f"{file.path}: {len(greys)} values: {shown}")
                return None
            kept += self._objects(file, mask, greys, faults)
        if len(sizes) > 1:
            of = " and ".join(f"{path} {size}" for size, path in sizes.items())
            faults.add(Kind.WRONG_SIZE, f"{masked.image}: its masks differ in (height, width): {of}")
            return None
        ((size, path),) = sizes.items()
        return Annotation(masked.image, path, size, [box for box, _ in kept], [name for _, name in kept])

    def _objects(
        self, file: MaskFile, mask: Mask, greys: Sequence[int], faults: Faults
    ) -> Iterator[tuple[Box, str]]:
        """Yield the box and the class of each object in a mask with these grey values."""
        single = file.name or (self._intake.classes or ("object",))[0]
        for value in greys:
            if self._names is not None and value not in self._names:
                expected = f"0 or one of {list(self._names)}"
                faults.add(Kind.UNKNOWN_CLASS, f"{file.path}: grey value {value}, expected {expected}")
        for region in mask.regions:
            name = single if self._names is None else self._names.get(region.value)
            if name is not None and region.area >= self.min_area:
                yield region.box, name
            elif name is not None:
                faults.count(f"objects of fewer than data.min_area={self.min_area} pixels left out")


def _names(values: Mapping[int, str | None]) -> dict[int, str | None]:
    """Return the class name of each grey value, or raise ValueError."""
    for value, name in values.items():
        if type(value) is not int or not 0 < value <= 65535 or isinstance(name, bool):
            raise ValueError(
                f"values: got {dict(values)}, expected a class name (or null) for each grey value from 1 on,"
                " such as {1: scratch, 2: dent}"
            )
    return {value: None if name is None else str(name) for value, name in values.items()}


def _has_valid_star(place: str) -> bool:
    return place.count(ANY) == PurePosixPath(place).parts.count(ANY) <= 1
