"""Do ordinary entries, read as whole lists, give the same index as entries read one by one?"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gffpn.data.index import DataIndex
from gffpn.data.readers import coco as coco_reader
from gffpn.data.readers import intake
from gffpn.data.readers import yolo as yolo_reader
from gffpn.data.readers.annotation import Annotation
from gffpn.data.readers.faults import FaultyData
from tests.tiny_sets import coco, coco_content, write_sets, yolo

BOX = {"id": 900, "image_id": 10, "category_id": 3, "bbox": [1, 2, 5.5, 6], "iscrowd": 0}
AROUND = {"bbox": [0, 0, 0, 0], "segmentation": [[1, 2, 6, 2, 6, 8]]}
PLAIN: list[dict[str, Any]] = [
    {},
    {"iscrowd": None},
    *({"iscrowd": flag} for flag in (1, 1.0, True)),
    {"ignore": 0, "attributes": {"rotation": 0.0, "occluded": True}},
    {"bbox": [-0.5, 2, 5, 6]},
    {"bbox": [-30, 2, 5, 6]},
    {"bbox": [1, 2, 1e-9, 6]},
]
ODD: list[Any] = [
    "no entry",
    *(
        {key: value}
        for key in ("id", "image_id", "category_id")
        for value in (None, True, [], 4711.0, "4711")
    ),
    {"id": 100},
    {"bbox": [1, 2, True, 6]},
    {"image_id": "10"},
    {"category_id": 7.0},
    *({"bbox": bbox} for bbox in (None, "1234", [1, 2, 3], [1, 2, 3, "4"], [1, 2, 3, None], {})),
    *({"bbox": [1, 2, width, 6]} for width in (0, -3, 1e400, float("nan"), 10**400, 2**60)),
    {"bbox": [0.5, 2, 10**400, 6]},
    *({"iscrowd": flag} for flag in (2, "x", [1])),
    *({"ignore": flag} for flag in (1, "x")),
    {"attributes": {"rotation": 30}},
    {"attributes": {"rotation": "x"}},
    AROUND,
]
LINES = [
    *("0 0.5 0.5 0.25 0.25", "1.0 .5 5e-1 0.25 0.25", "1 0.5 0.5 0.25 0.25\n0 0.5 0.5 0.25 0.25", "", "\n\n"),
    *("2 0.5 0.5 0.25 0.25", "-1 0.5 0.5 0.25 0.25", "0.5 0.5 0.5 0.25 0.25", "nan 0.5 0.5 0.25 0.25"),
    *("0 nan 0.5 0.25 0.25", "0 0.5 0.5 0.25 inf", "0 0.5 nan 40 0.25", "0 -3 0.5 0.25 0.25"),
    *("0 0.5 0.5 0.25", "0 0.5 0.5 0.25\n0 0.5 0.5 0.25 0.25 0.5", "0 0.1 0.1 0.4 0.1 0.4 0.4"),
    *("dent 0.5 0.5 0.25 0.25", "0,0.5,0.5,0.25,0.25", "0 0.5 0.5 0.25 0.25\n\n0 0.5 0.5 0.5 0.25"),
    *("0 0.5 0.5 1.02 0.25", "0 0.9 0.5 0.9 0.25", "0 0.5 0.5 0 0.25", "0 0.5 0.5 0.25 0.25\n" * 2),
]


def with_entry(changes: Any) -> dict[str, Any]:
    content = coco_content()
    content["annotations"].insert(1, {**BOX, **changes} if isinstance(changes, dict) else changes)
    return content


def outcome(read: Callable[[], DataIndex]) -> tuple[str, Any]:
    """Return the index and what was mended, or the message about the faults."""
    try:
        index = read()
    except FaultyData as error:
        return error.report(), None
    return index.fingerprint, list(index.mended.items())


@pytest.fixture
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return a function that switches off the reading of whole lists."""

    def clear(annotations: list[Annotation], *_: object) -> list[None]:
        return [None] * len(annotations)

    def switch() -> None:
        monkeypatch.setattr(coco_reader, "plain", lambda *_, **__: None)
        monkeypatch.setattr(yolo_reader, "_plain", lambda *_: None)
        monkeypatch.setattr(intake, "clear_boxes", clear)

    return switch


@pytest.mark.parametrize(
    "choice", [{}, {"crowd": "ignore"}, {"crowd": "object", "shapes": "enclose"}, {"crowd": "drop"}]
)
def test_an_odd_entry_changes_nothing_for_the_others(
    choice: dict[str, str], tmp_path: Path, one_by_one: Callable[[], None]
) -> None:
    root = write_sets(tmp_path / "set")
    contents = [with_entry(changes) for changes in (*PLAIN, *ODD)]
    clean = coco(root).index()

    def read(content: dict[str, Any], on_error: str) -> tuple[str, Any]:
        (root / "all.json").write_text(json.dumps(content))
        return outcome(coco(root, on_error=on_error, outside="clip", **choice).index)

    together = [[read(content, how) for how in ("raise", "skip")] for content in contents]
    one_by_one()
    separately = [[read(content, how) for how in ("raise", "skip")] for content in contents]
    for content, one, other in zip(contents, together, separately, strict=True):
        assert one == other, content["annotations"][1]
    assert together[len(PLAIN)][1][0] == clean.fingerprint


def test_only_ordinary_lists_are_read_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, answers = write_sets(tmp_path / "set"), []

    def noted(*words: Any, **options: Any) -> Any:
        answers.append(original(*words, **options))
        return answers[-1]

    original = coco_reader.plain
    monkeypatch.setattr(coco_reader, "plain", noted)
    for changes in (*PLAIN, *ODD):
        (root / "all.json").write_text(json.dumps(with_entry(changes)))
        outcome(coco(root, on_error="skip").index)
    assert [answer is not None for answer in answers] == [True] * len(PLAIN) + [False] * len(ODD)
    assert answers[0]["10"][1] == ((1, 2, 6.5, 8), "dent", False)


@pytest.mark.parametrize("shapes", ["refuse", "enclose"])
def test_lines_of_whole_files_are_those_read_one_by_one(
    shapes: str, tmp_path: Path, one_by_one: Callable[[], None]
) -> None:
    root = write_sets(tmp_path / "set")

    def read(text: str, on_error: str) -> tuple[str, Any]:
        (root / "labels" / "a.txt").write_text(text)
        return outcome(yolo(root, on_error=on_error, shapes=shapes).index)

    together = [[read(text, how) for how in ("raise", "skip")] for text in LINES]
    one_by_one()
    separately = [[read(text, how) for how in ("raise", "skip")] for text in LINES]
    assert dict(zip(LINES, together, strict=True)) == dict(zip(LINES, separately, strict=True))


def test_the_lines_of_an_ordinary_file_by_hand() -> None:
    names: dict[float, str] = {0: "dent", 1: "scratch"}
    found = yolo_reader._plain("1 0.5 0.25 0.5 0.25\r\n0.0 1 1 2 2\n", names)
    assert found == ([(0.25, 0.125, 0.75, 0.375), (0, 0, 2, 2)], ["scratch", "dent"])
    assert yolo_reader._plain("", names) == ([], [])
    assert yolo_reader._plain("1 0.5 0.25 0.5 0.25\n\n", names) is None
