"""A data index as a few arrays and a text, which a file can hold, and back."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gffpn.data.index import DataIndex, ImageRecord

Arrays = Mapping[str, NDArray[Any]]


def arrays_of(index: DataIndex) -> dict[str, NDArray[Any]]:
    """Return the arrays of an index without an origin; the images of the splits follow one another."""
    assert not index.origin
    records = [record for part in index.splits.values() for record in part]
    facts = {
        "classes": index.classes,
        "mended": dict(index.mended),
        "splits": {split: len(part) for split, part in index.splits.items()},
        "images": [[str(one.path), one.name, one.group, one.content] for one in records],
    }
    return {
        "facts": text_array(facts),
        "sizes": np.array([(one.height, one.width) for one in records], np.int64).reshape(-1, 2),
        "counts": np.array([len(one.labels) for one in records], np.int64),
        "boxes": np.concatenate([np.zeros((0, 4), np.float32), *(one.boxes for one in records)]),
        "labels": np.concatenate([np.zeros(0, np.int64), *(one.labels for one in records)]),
        "crowd": np.concatenate([np.zeros(0, np.bool_), *(one.crowd for one in records)]),
    }


def index_of(arrays: Arrays) -> DataIndex:
    """Return the index with these `arrays_of`; raise ValueError, TypeError or KeyError if there is none."""
    facts = text_in(arrays["facts"])
    records = list(_records(arrays, facts["images"]))
    splits, end = dict[str, tuple[ImageRecord, ...]](), 0
    for split, count in facts["splits"].items():
        splits[split] = tuple(records[end : end + count])
        end += count
    return DataIndex(tuple(facts["classes"]), splits, mended=facts["mended"])


def _records(arrays: Arrays, images: list[list[str]]) -> Iterator[ImageRecord]:
    boxes, labels, crowd = (arrays[name] for name in ("boxes", "labels", "crowd"))
    sizes, counts, end = arrays["sizes"].tolist(), arrays["counts"].tolist(), 0
    for (path, name, group, content), (height, width), count in zip(images, sizes, counts, strict=True):
        own = slice(end, end := end + count)
        yield ImageRecord(
            Path(path), name, height, width, boxes[own], labels[own], group, content, crowd[own]
        )
    if not end == len(boxes) == len(labels) == len(crowd):
        raise ValueError(f"got {len(boxes)} boxes, expected {end}")


def text_array(value: Any) -> NDArray[np.uint8]:
    """Return a value as JSON in an array of bytes, which needs no pickle."""
    return np.frombuffer(json.dumps(value).encode("ascii"), np.uint8)


def text_in(array: NDArray[Any]) -> Any:
    """Return the value in a `text_array`."""
    return json.loads(array.tobytes())
