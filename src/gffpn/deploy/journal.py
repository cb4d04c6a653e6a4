"""Journal of a prediction: one line per finished image, by which a killed prediction goes on."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BufferedWriter
from itertools import chain, count
from pathlib import Path
from typing import Any

from gffpn.deploy.detections import Detections
from gffpn.deploy.sources import Item

FORGOTTEN = "forgotten"
"""Key of a line that takes back the earlier ones of its image, whose file can no longer be read."""


@dataclass(frozen=True)
class Result:
    """Detections in one image, as plain values."""

    name: str
    stem: str
    stamp: tuple[int, ...]
    height: int
    width: int
    boxes: tuple[tuple[float, float, float, float], ...]
    """x1, y1, x2, y2 in pixels of the upright image, best first."""
    scores: tuple[float, ...]
    labels: tuple[int, ...]


def result_of(item: Item, size: Sequence[int], found: Detections) -> Result:
    """Return the result of an image of `size` (height, width)."""
    boxes = tuple((x1, y1, x2, y2) for x1, y1, x2, y2 in found.boxes.tolist())
    scores, labels = tuple(found.scores.tolist()), tuple(found.labels.tolist())
    return Result(item.name, item.stem, tuple(item.stamp), size[0], size[1], boxes, scores, labels)


def frame_number(name: str) -> int:
    """Return the number of a camera's frame of this name."""
    return int(name.rpartition("/")[2])


def _result(line: dict[str, Any]) -> Result:
    """Return a result from its line. The general reader of dataclasses takes longer, by type and by box."""
    tuples = {name: tuple(line[name]) for name in ("stamp", "scores", "labels")}
    return Result(**{**line, **tuples, "boxes": tuple(map(tuple, line["boxes"]))})


class Journal:
    """The file detections.jsonl. Where two lines name one image, the later one holds.

    A later line may also say that the image is `FORGOTTEN`.

    A last line that a kill left incomplete is removed when the file is opened. Raises ValueError if another
    line is damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._places: dict[str, int] = {}
        self._stamps: dict[str, tuple[int, ...]] = {}
        self._stems: dict[str, str] = {}
        self._owners: dict[str, str] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        end = 0
        if path.exists():
            with path.open("rb") as file:
                for number, line in enumerate(file, start=1):
                    if not line.endswith(b"\n"):
                        break
                    try:
                        self._remember(json.loads(line), end)
                    except (ValueError, LookupError, TypeError) as error:
                        cure = "remove its folder, or choose another one with --out"
                        raise ValueError(f"{path}, line {number}: damaged: {cure}") from error
                    end += len(line)
        self._file: BufferedWriter = path.open("ab")
        self._file.truncate(end)
        self._end = end

    def __len__(self) -> int:
        return len(self._places)

    def has(self, item: Item) -> bool:
        """Return whether an image is finished, and its file has not changed since; a camera's never is."""
        return bool(item.stamp) and self._stamps.get(item.name) == tuple(item.stamp)

    def knows(self, name: str) -> bool:
        """Return whether an earlier call, or this one, has finished an image of this name."""
        return name in self._places

    def stem(self, name: str) -> str:
        """Return the stem of an image that is or was finished."""
        return self._stems[name]

    def with_own_stem(self, item: Item) -> Item:
        """Return the item with the stem of its earlier line, or with one that no other image has."""
        earlier = [self._stems[item.name]] if item.name in self._stems else []
        numbered = (f"{item.name}-{number}" for number in count(2))
        stems = chain(earlier, (item.stem, item.name), numbered)
        stem = next(one for one in stems if self._owners.get(one.casefold(), item.name) == item.name)
        self._own(item.name, stem)
        return item._replace(stem=stem)

    def frames(self, camera: int) -> list[str]:
        """Return the names of the finished frames of a camera, in their order."""
        start = f"camera{camera}/"
        numbers = {name: name.removeprefix(start) for name in self._places if name.startswith(start)}
        # a folder of images may have the camera's name
        return sorted((name for name, one in numbers.items() if one.isdecimal()), key=frame_number)

    def add(self, result: Result) -> None:
        """Append an image whose files are written; a kill from here on does not lose it."""
        self._append(vars(result))

    def forget(self, name: str) -> None:
        """Append that an image is no longer finished; its files are removed."""
        self._append({"name": name, FORGOTTEN: True})

    def names(self) -> list[str]:
        """Return the names of all images that are finished, those that were first finished first."""
        return list(self._places)

    def results(self, names: Sequence[str]) -> Iterator[Result]:
        """Yield the results of the named images that are finished, reading one after another."""
        with self._path.open("rb") as file:
            for name in names:
                if name in self._places:
                    file.seek(self._places[name])
                    yield _result(json.loads(file.readline()))

    def all(self) -> Iterator[Result]:
        """Yield the results of all images that are finished."""
        yield from self.results(self.names())

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _append(self, line: dict[str, Any]) -> None:
        text = json.dumps(line).encode() + b"\n"
        self._file.write(text)
        self._file.flush()
        self._remember(line, self._end)
        self._end += len(text)

    def _remember(self, line: dict[str, Any], place: int) -> None:
        if FORGOTTEN in line:
            self._places.pop(line["name"], None)
            self._stamps.pop(line["name"], None)
            return
        self._places[line["name"]] = place
        self._stamps[line["name"]] = tuple(line["stamp"])
        self._own(line["name"], line["stem"])

    def _own(self, name: str, stem: str) -> None:
        self._stems[name] = stem
        self._owners[stem.casefold()] = name
