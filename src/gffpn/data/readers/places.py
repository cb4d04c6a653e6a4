"""Folders and files of each split, as a user names them."""

from collections.abc import Mapping, Sequence

from gffpn.data.index import SPLITS

Folders = str | Sequence[str]
Place = Folders | Mapping[str, Folders]
Places = dict[str, list[tuple[str, str]]]
"""For each split, the paths of images and of their annotations, relative to the root."""
ALIASES: Mapping[str, str] = {"valid": "val"}
"""Other names of a split."""


def places(images: Place, annotations: Place) -> Places:
    """Return the paths of the images and of the annotations of each split, relative to the root.

    Each argument is a path, a list of paths or a mapping from split to one of the two. A single path belongs
    to each item of a list. If neither argument is a mapping, the only split is called train until the others
    are drawn from it.

    Raises ValueError for a mapping that lacks train or has an unknown split, for two mappings with different
    splits, and for two lists of different lengths.
    """
    mappings = [_by_split(value) for value in (images, annotations) if isinstance(value, Mapping)]
    for mapping in mappings:
        if "train" not in mapping or not set(mapping) <= set(SPLITS):
            raise ValueError(f"got the splits {list(mapping)}, expected train and any of {list(SPLITS[1:])}")
        if set(mapping) != set(mappings[0]):
            raise ValueError(
                f"got images of {', '.join(mappings[0])} and annotations of {', '.join(mapping)}, expected "
                "the same splits: leave out one that has no annotations, it is then drawn from train"
            )
    splits = [split for split in SPLITS if split in mappings[0]] if mappings else ["train"]

    def of(value: Place, split: str) -> Folders:
        return _by_split(value)[split] if isinstance(value, Mapping) else value

    return {split: _zipped(of(images, split), of(annotations, split)) for split in splits}


def held(where: Places) -> str:
    """Return the words for the first images and annotations, for a message about a missing root."""
    images, annotations = where["train"][0]
    return f"{images} and {annotations}"


def _by_split(value: Mapping[str, Folders]) -> dict[str, Folders]:
    return {ALIASES.get(split, split): folders for split, folders in value.items()}


def _zipped(images: Folders, annotations: Folders) -> list[tuple[str, str]]:
    ones, others = _listed(images), _listed(annotations)
    length = max(len(ones), len(others))
    ones, others = (items * length if len(items) == 1 else items for items in (ones, others))
    if len(ones) != len(others):
        raise ValueError(
            f"got {len(ones)} folders of images and {len(others)} of annotations, expected equal"
        )
    return list(zip(ones, others, strict=True))


def _listed(folders: Folders) -> list[str]:
    paths = [folders] if isinstance(folders, str) else list(folders) if isinstance(folders, Sequence) else []
    if not paths or not all(isinstance(path, str) for path in paths):
        raise ValueError(f"got {folders!r}, expected a path below data.root, or a list of paths")
    return paths
