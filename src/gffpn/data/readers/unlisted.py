"""Images in the folders of a COCO set that none of its files lists."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gffpn.data.readers.annotation import Annotation
from gffpn.data.readers.faults import Faults
from gffpn.data.readers.file_names import ImageFolders
from gffpn.data.readers.pairs import Unlabelled, without_file


def unlisted(
    files: Sequence[tuple[str, str, str, Mapping[str, Any]]],
    folders: ImageFolders,
    unlabelled: Unlabelled,
    faults: Faults,
) -> Iterator[tuple[str, Annotation]]:
    """Yield the split and the annotation of each image that is background; record or count the others.

    `files` are the split, the folder of images, the name and the content of each file. An image in a
    folder of several splits belongs to the first of them.
    """
    known = {
        folders.find(folder, item["file_name"])
        for _, folder, _, content in files
        for item in content["images"]
        if isinstance(item, dict) and isinstance(item.get("file_name"), str)
    }
    first: dict[str, tuple[str, str]] = {}
    for split, folder, name, _ in files:
        first.setdefault(folder, (split, name))
    for folder, (split, name) in first.items():
        for image in folders.images(folder):
            if image in known:
                continue
            known.add(image)
            annotation = without_file(image, unlabelled, faults, f"{name} does not list it")
            if annotation is not None:
                yield split, annotation
