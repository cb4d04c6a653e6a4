"""Are boxes read where the user drew them, whatever program wrote their coordinates, ids and shapes?"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gffpn.data.index import DataError
from gffpn.data.readers.shapes import rotated_box, segmentation_box
from tiny_sets import coco, coco_content, voc, write_sets, xml, yolo

B_XML = xml((50, 50), [("dent", 5, 5, 25, 45)])  # 6 6 25 45 in the file


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_sets(tmp_path / "set")


def change(root: Path, act: Callable[[dict[str, Any]], object]) -> None:
    content = coco_content()
    act(content)
    (root / "all.json").write_text(json.dumps(content))


def val_boxes(reader: Any) -> list[list[float]]:
    (record,) = reader.index().splits["val"]
    return [[round(side, 4) for side in box] for box in record.boxes.tolist()]


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("5.5", "boxes with fractional numbers: 1, the first in xml/b.xml"),
        ("0", "boxes with an xmin or ymin of 0: 1, the first in xml/b.xml"),
    ],
)
def test_voc_corners_that_are_not_counted_from_1_are_a_fault(root: Path, given: str, found: str) -> None:
    (root / "xml" / "b.xml").write_text(B_XML.replace("<xmin>6", f"<xmin>{given}"))
    for on_error in ("raise", "skip"):
        with pytest.raises(DataError, match=rf"not counted from 1 .*data\.corners=edges.*\n  {found}"):
            voc(root, corners=None, on_error=on_error).index()
    assert val_boxes(voc(root, corners="edges")) == [[float(given), 6, 25, 45]]
    assert val_boxes(voc(root)) == [[max(0, float(given) - 1), 5, 25, 45]]


def test_voc_corners_are_counted_from_1_unless_they_cannot_be(root: Path) -> None:
    assert val_boxes(voc(root, corners=None)) == [[5, 5, 25, 45]]


@pytest.mark.parametrize("size", ["<width>0</width><height>0</height>", "<width/><height>50</height>", ""])
def test_a_voc_size_of_0_or_none_is_unknown(root: Path, size: str) -> None:
    text = B_XML.replace("<width>50</width><height>50</height>", size)
    assert text != B_XML
    (root / "xml" / "b.xml").write_text(text)
    assert val_boxes(voc(root)) == [[5, 5, 25, 45]]


def test_boxes_that_leave_the_image_are_clipped_if_asked(root: Path) -> None:
    (root / "xml" / "b.xml").write_text(xml((50, 50), [("dent", 5, 5, 99, 45), ("dent", -1, 5, 25, 45)]))
    with pytest.raises(DataError, match=r"box outside its image \(1\): data\.outside=clip"):
        voc(root).index()
    reader = voc(root, outside="clip")
    assert val_boxes(reader) == [[5, 5, 50, 45], [0, 5, 25, 45]]
    assert reader.index().mended == {
        "boxes clipped that left their image by more than 1 px": 1,
        "boxes clipped that left their image by at most 1 px": 1,
    }
    (root / "xml" / "b.xml").write_text(xml((50, 50), [("dent", 60, 5, 99, 45)]))
    with pytest.raises(DataError, match="box outside its image"):
        reader.index()


@pytest.mark.parametrize(("image_id", "reference"), [("x/b", "x/b"), (11.0, 11), ("11", 11), (11, "11")])
def test_ids_may_be_strings_or_floats(root: Path, image_id: object, reference: object) -> None:
    def write(content: dict[str, Any]) -> None:
        content["images"][1]["id"] = image_id
        content["annotations"][2].update(image_id=reference, id="third", category_id=3.0)

    change(root, write)
    index = coco(root).index()
    assert index.fingerprint == voc(root).index().fingerprint


def test_classes_follow_the_numbers_of_their_ids(root: Path) -> None:
    def write(content: dict[str, Any]) -> None:
        for item, number in zip(content["categories"], ["10", "9"], strict=True):
            item["id"] = number
        for item in content["annotations"]:
            item["category_id"] = {3: 9, 7: 10}[item["category_id"]]

    change(root, write)
    assert coco(root).index().classes == ("dent", "scratch")


@pytest.mark.parametrize("side", [None, 0, "missing"])
def test_images_without_width_and_height_are_counted(root: Path, side: object) -> None:
    def write(content: dict[str, Any]) -> None:
        for image in content["images"]:
            image.update(width=side, height=side)
            if side == "missing":
                del image["width"], image["height"]

    change(root, write)
    index = coco(root).index()
    assert index.mended == {"images whose height and width the annotations do not give": 3}
    assert index.fingerprint == voc(root).index().fingerprint


def test_an_entry_that_is_a_fault_has_no_further_faults(root: Path) -> None:
    def write(content: dict[str, Any]) -> None:
        content["images"][0]["width"] = "60"
        del content["categories"][0]["name"]

    change(root, write)
    with pytest.raises(DataError) as refusal:
        coco(root).index()
    assert "unreadable annotation (2):" in str(refusal.value)
    assert "no category has the id" not in str(refusal.value)
    assert "no image has the id" not in str(refusal.value)


def test_ignored_annotations_are_left_out_and_counted(root: Path) -> None:
    def write(content: dict[str, Any]) -> None:
        content["annotations"].append(
            {**content["annotations"][2], "id": 9, "bbox": [0, 0, 9, 9], "ignore": 1}
        )
        content["annotations"][0]["ignore"] = 0

    change(root, write)
    index = coco(root).index()
    assert index.mended == {"annotations with ignore = 1 left out": 1}
    assert index.fingerprint == voc(root).index().fingerprint


YOLO_SHAPES = [
    ("0 0.1 0.2 0.3 0.2 0.3 0.6", [5, 10, 15, 30]),
    ("0 0.5 0.1 0.9 0.5 0.5 0.9 0.1 0.5", [5, 5, 45, 45]),  # an oriented box
]
SQUARE = [[10, 12, 20, 12, 20, 22], [12, 30, 12, 34, 16, 34]]
RUNS = {"size": [50, 50], "counts": [105, 10, 40, 10, 2335]}  # rows 5 to 14 of columns 2 and 3
COCO_SHAPES: list[tuple[dict[str, Any], list[float]]] = [
    ({"bbox": None, "segmentation": SQUARE}, [10, 12, 20, 34]),
    ({"bbox": [], "segmentation": RUNS}, [2, 5, 4, 15]),
    ({"bbox": [10, 5, 20, 40], "attributes": {"rotation": 90.0}}, [0, 15, 40, 35]),
]
POLYGON = "<polygon><x1>10</x1><y1>12</y1><x2>20</x2><y2>12</y2><x3>20</x3><y3>34</y3></polygon>"
PT = "<polygon><pt><x>10</x><y>12</y></pt><pt><x>20</x><y>12</y></pt><pt><x>20</x><y>34</y></pt></polygon>"
ROTATED = "<robndbox><cx>20</cx><cy>25</cy><w>20</w><h>40</h><angle>1.570796</angle></robndbox>"
NAMED = "<username>me</username></polygon>"
CVAT = "<attributes><attribute><name>rotation</name><value>90.0</value></attribute></attributes>"
BNDBOX = B_XML[B_XML.index("<bndbox>") : B_XML.index("</object>")]  # edges 5 5 25 45
VOC_SHAPES = [
    (POLYGON, [10, 12, 20, 34]),
    (PT.replace("</polygon>", NAMED), [10, 12, 20, 34]),
    (ROTATED, [0, 15, 40, 35]),
    (CVAT + BNDBOX, [0, 15, 35, 35]),
]


def write_shape(root: Path, shape: object) -> Callable[..., Any]:
    """Write a good box and then `shape` for image b, and return the reader of this format."""
    if isinstance(shape, dict):
        good = {"id": 1, "image_id": 11, "category_id": 3, "bbox": [1, 2, 3, 4], "iscrowd": 0}
        change(root, lambda content: content["annotations"].extend([{**good, "id": 2, **shape}]))
        whole = json.loads((root / "all.json").read_text())
        whole["annotations"][2] = good
        (root / "all.json").write_text(json.dumps(whole))
        return coco
    text = str(shape)
    if text.startswith("<"):
        good_xml = xml((50, 50), [("dent", 1, 2, 4, 6)])
        added = f"<object><name>dent</name>{text}</object></annotation>"
        (root / "xml" / "b.xml").write_text(good_xml.replace("</annotation>", added))
        return voc
    (root / "labels" / "b.txt").write_text(f"0 0.05 0.08 0.06 0.08\n{text}\n")
    return yolo


@pytest.mark.parametrize(("shape", "expected"), [*YOLO_SHAPES, *COCO_SHAPES, *VOC_SHAPES])
def test_other_shapes_are_refused_or_enclosed(root: Path, shape: object, expected: list[float]) -> None:
    reader, good = write_shape(root, shape), [1, 2, 4, 6]
    with pytest.raises(DataError, match=r"shape other than an upright box \(1\): data\.shapes=enclose"):
        reader(root).index()
    assert val_boxes(reader(root, on_error="skip")) == [good]
    enclosing = reader(root, shapes="enclose", outside="clip")
    np.testing.assert_allclose(val_boxes(enclosing), [good, expected], atol=1e-3)
    assert enclosing.index().mended["boxes drawn around other shapes"] == 1


def test_a_segmentation_or_polygon_beside_a_box_is_not_used(root: Path) -> None:
    write_shape(root, {"bbox": [1, 2, 3, 4], "segmentation": SQUARE, "attributes": {"rotation": 0.0}})
    assert val_boxes(coco(root)) == [[1, 2, 4, 6]]
    write_shape(root, POLYGON + BNDBOX)
    assert val_boxes(voc(root)) == [[1, 2, 4, 6], [5, 5, 25, 45]]


@pytest.mark.parametrize(
    ("counts", "size", "box"),
    [
        ([5, 2, 2, 2, 2, 2, 5], [4, 5], (1, 1, 4, 3)),
        ("5220003", [4, 5], (1, 1, 4, 3)),  # the same: 5 2 2, then differences to the last but one
        ("`2`2X1", [40, 5], (2, 0, 4, 40)),  # 80 80 40: two signs each, and a run over two columns
        ("431O9", [4, 5], (1, 0, 3, 3)),  # 4 3 1 2 10, with the difference -1
        ([20], [4, 5], None),  # no object
        ([5, 2], [4, 5], None),  # not all pixels
        ([-1, 21], [4, 5], None),
        (None, [4, 5], None),
        ([20], [4], None),
    ],
)
def test_boxes_around_masks_in_run_length_encoding(counts: object, size: object, box: object) -> None:
    assert segmentation_box({"size": size, "counts": counts}) == box


def test_a_box_rotated_by_45_degrees() -> None:
    # a square of side 2 about (5, 5) has a diagonal of 2.8284
    np.testing.assert_allclose(rotated_box((4, 4, 6, 6), 45), [3.5858, 3.5858, 6.4142, 6.4142], atol=1e-4)
