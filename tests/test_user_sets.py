"""Are a user's paths, file names and folders read as meant, or refused with the corrected argument?"""

import json
import re
import shlex
import shutil
import unicodedata
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from exports import labelme_pair
from gffpn.__main__ import main
from gffpn.config.compose import compose_config
from gffpn.data.index import SPLITS, DataError
from gffpn.data.readers.quoting import override
from test_auto import auto
from tiny_sets import SPLIT_OF, coco, coco_content, voc, write_sets, yolo

DRAWN: dict[str, Any] = {"splits": None, "fractions": [0.34, 0.33, 0.33]}
VALID = {"valid": "val", "test": "test"}
READERS = pytest.mark.parametrize("reader", [voc, yolo, coco])
NASTY = [
    "/data/zwei Sätze",
    "/data/中文",
    "/data/a=b",
    "/data/a#b",
    "/data/it's",
    "/data/a (1)",
    "/data/[neu]",
    "/data/a,b",
    "~/data",
    "/data/$HOME",
    "/data/${oc.env:HOME}",
    '/data/"x"\\',
    "C:\\set\\",
    "null",
    "010",
    " x ",
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_sets(tmp_path / "set")


@pytest.mark.parametrize("value", NASTY)
def test_a_printed_override_gives_the_same_value_after_the_shell_and_hydra(value: str) -> None:
    words = [
        *shlex.split(override("data.root", value)),
        *shlex.split(override("data.images", {"train": [value]})),
    ]
    data = OmegaConf.to_container(compose_config(["data=yolo", *words]).data, resolve=True)
    assert isinstance(data, dict)
    assert (data["root"], data["images"]) == (value, {"train": [value]})


@pytest.mark.parametrize("value", NASTY[1:9])
def test_an_unquoted_path_is_refused_with_the_corrected_argument(value: str) -> None:
    with pytest.raises(ValueError, match=re.escape(override("data.root", value)) + "$"):
        compose_config(["data=yolo", f"data.root={value}"])


@pytest.mark.parametrize("name", ["zwei Sätze (1), neu", "a=b #'[~$"])
def test_check_takes_a_bare_path(tmp_path: Path, name: str, capsys: pytest.CaptureFixture) -> None:
    root = write_sets(tmp_path / name)
    for other in ("xml", "labels"):
        shutil.rmtree(root / other)
    main(["data", "check", str(root), f"paths.cache={tmp_path}/cache"])
    printed = capsys.readouterr()
    assert printed.out.startswith("no faults: 3 images (train 1, val 1, test 1)")
    assert f"same as: data=coco {override('data.root', str(root))} data.images=images" in printed.err


def test_an_archive_or_file_as_root_is_refused_with_the_command_that_unpacks_it(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "my set.zip", "w") as file:
        file.writestr("x", "y")
    with pytest.raises(
        DataError, match=r"an archive, .* unzip -q '/.*/my set\.zip' -d '/.*/my set', and give"
    ):
        voc(tmp_path / "my set.zip").index()
    (tmp_path / "data.yaml").write_text("names: [a]")
    with pytest.raises(DataError, match=f"a file, expected a folder: give data.root={tmp_path}$"):
        yolo(tmp_path / "data.yaml").index()
    with pytest.raises(DataError, match="no such folder"):
        yolo("~nobody/x").index()


# names


def renamed(change: Callable[[Path, str], str]) -> Callable[[Path], None]:
    def write(root: Path) -> None:
        whole = coco_content()
        for item in whole["images"]:
            item["file_name"] = change(root, item["file_name"])
        (root / "all.json").write_text(json.dumps(whole))

    return write


@pytest.mark.parametrize(
    ("change", "folder"),
    [
        (lambda root, name: f"images/1/{name}", "images"),
        (lambda root, name: f"images\\{name}", "images"),
        (lambda root, name: f"{root}/images/{name}", "images"),
        (lambda root, name: name.upper(), "images"),
        (lambda root, name: f"./{name}", "images"),
        (lambda root, name: f"https://host/data/upload/1/{name}", "images"),
        (lambda root, name: f"/data/local-files/?d=sets/images/{name}", "images"),
        (lambda root, name: f"/data/local-files/?d=images%2F{name}", "images"),
        (lambda root, name: f"/data/local-files/?d=sets%5Cimages%5C{name}", "images"),
        (lambda root, name: f"C:\\sets\\images\\{name}", "images"),
        (lambda root, name: name, "."),
    ],
)
def test_a_name_that_fits_one_file_stands_for_it(
    root: Path, change: Callable[[Path, str], str], folder: str
) -> None:
    expected = coco(root).index()
    renamed(change)(root)
    assert coco(root, images=folder).index().fingerprint == expected.fingerprint


def test_escaped_and_decomposed_names_stand_for_their_files(root: Path) -> None:
    for stem, name in {"a": "Größe 1.png", "b": "b+b.png"}.items():
        (root / f"images/{stem}.png").rename(root / "images" / unicodedata.normalize("NFC", name))
        (root / f"splits/{'train' if stem == 'a' else 'val'}.txt").write_text(f"{name}\n")
    whole = coco_content()
    names = [unicodedata.normalize("NFD", "Größe 1.png"), "b%2Bb.png", "c.png"]
    for item, name in zip(whole["images"], names, strict=True):
        item["file_name"] = name
    (root / "all.json").write_text(json.dumps(whole))
    index = coco(root).index()
    assert sorted(r.name for found in index.splits.values() for r in found) == [
        "images/Größe 1.png",
        "images/b+b.png",
        "images/c.png",
    ]


def test_annotations_and_lists_may_be_in_another_unicode_form(root: Path) -> None:
    expected = yolo(root).index().splits["val"][0]
    one, other = (unicodedata.normalize(form, "Größe") for form in ("NFC", "NFD"))
    (root / "images/b.png").rename(root / f"images/{one}.png")
    (root / "labels/b.txt").rename(root / f"labels/{other}.txt")
    (root / "splits/val.txt").write_text(f"images/{other}.png\n")
    found = yolo(root).index().splits["val"][0]
    assert found.name == f"images/{one}.png"
    assert found.boxes.tolist() == expected.boxes.tolist()


def test_a_name_that_fits_several_files_or_contradicts_one_is_a_fault(root: Path) -> None:
    for lot in ("lot1", "lot2"):
        (root / "images" / lot).mkdir()
        shutil.copy(root / "images/b.png", root / f"images/{lot}/b.png")
    (root / "images/b.png").unlink()
    with pytest.raises(
        DataError, match=r"no such file; the nearest is images/lot1/b.png or images/lot2/b.png"
    ):
        coco(root).index()
    shutil.rmtree(root / "images" / "lot2")
    renamed(lambda _, name: f"lot3/{name}" if name == "b.png" else name)(root)
    with pytest.raises(DataError, match=r"images/lot3/b.png: no such file; the nearest is images/lot1/b.png"):
        coco(root).index()


@pytest.mark.parametrize(
    "name",
    [
        "../../media/upload/1/b.png",
        r"..\..\media\upload\1\b.png",
        "/data/local-files/?d=../b.png",
        "/label-studio/data/b.png",
    ],
)
def test_a_name_that_leads_elsewhere_is_refused_with_the_nearest_file(root: Path, name: str) -> None:
    renamed(lambda _, own: name if own == "b.png" else own)(root)
    with pytest.raises(DataError, match=r"/b\.png.*; the nearest is images/b\.png"):
        coco(root).index()


@pytest.mark.parametrize("parent", ["defects", "dent"])
def test_a_parent_category_without_annotations_is_no_class(root: Path, parent: str) -> None:
    whole = coco_content()
    for category in whole["categories"]:
        category["supercategory"] = parent
    whole["categories"].insert(0, {"id": 0, "name": parent, "supercategory": "none"})
    (root / "all.json").write_text(json.dumps(whole))
    index = coco(root).index()
    assert index.classes == ("dent", "scratch")
    assert index.mended == {f"parent category '{parent}' (id 0) without annotations left out": 1}
    whole["annotations"][0]["category_id"] = 0  # an annotated parent is a class
    (root / "all.json").write_text(json.dumps(whole))
    if parent == "defects":
        assert coco(root).index().classes == ("defects", "dent", "scratch")


# places


def test_lists_of_folders_and_valid_as_a_name_of_val(root: Path) -> None:
    for folder in ("images", "labels", "xml"):
        for split, stem in SPLIT_OF.items():
            (root / folder / f"in_{split}").mkdir()
            (source,) = (root / folder).glob(f"{stem}.*")
            source.rename(root / folder / f"in_{split}" / source.name)
        (root / folder / "more").mkdir()
        (source,) = (root / folder / "in_val").iterdir()
        shutil.copy(source, root / folder / "more" / f"d{source.suffix}")

    def lists(folder: str) -> dict[str, Any]:
        return {"train": [f"{folder}/in_train", f"{folder}/more"]} | {
            split: f"{folder}/in_{VALID[split]}" for split in VALID
        }

    for reader, key, folder in [(voc, "annotations", "xml"), (yolo, "labels", "labels")]:
        index = reader(root, images=lists("images"), **{key: lists(folder)}, **DRAWN).index()
        assert [r.name for split in SPLITS for r in index.splits[split]] == [
            "images/in_train/a.png",
            "images/more/d.png",
            "images/in_val/b.png",
            "images/in_test/c.png",
        ]
    whole = yolo(root, **DRAWN).index()
    assert len([record for found in whole.splits.values() for record in found]) == 4
    with pytest.raises(ValueError, match="got 2 folders of images and 3 of annotations, expected equal"):
        voc(root, images=["a", "b"], annotations=["a", "b", "c"], splits=None)
    with pytest.raises(ValueError, match=r"got 3, expected a path below data\.root"):
        voc(root, images={"train": 3}, splits=None)


def test_images_in_folders_take_annotations_from_a_flat_folder(root: Path) -> None:
    for lot, stem in {"lot1": "a", "lot2": "b"}.items():
        (root / "images" / lot).mkdir()
        (root / f"images/{stem}.png").rename(root / f"images/{lot}/{stem}.png")
    index = voc(root).index()
    assert [r.name for found in index.splits.values() for r in found] == [
        "images/lot1/a.png",
        "images/lot2/b.png",
        "images/c.png",
    ]


def test_lists_of_other_names_and_lines_that_begin_elsewhere(root: Path) -> None:
    expected = voc(root).index()
    for split, stem in SPLIT_OF.items():
        (root / f"{split}_list.txt").write_text(f"/home/someone/set/images/{stem}.png\n")
    lists = {split: f"{split}_list.txt" for split in SPLIT_OF}
    assert voc(root, splits=lists).index().fingerprint == expected.fingerprint
    (root / "splits" / "val.txt").rename(root / "splits" / "valid.txt")
    assert voc(root).index().fingerprint == expected.fingerprint
    with pytest.raises(ValueError, match=r"splits: got \['val'\], expected train and any of"):
        voc(root, splits={"val": "x.txt"})


@pytest.mark.parametrize(
    "name", ["set.yml", "obj.names", "classes.txt", "labels/classes.txt", "labels/x.yaml"]
)
def test_class_names_come_from_the_file_of_each_program(root: Path, name: str) -> None:
    (root / "data.yaml").unlink()
    (root / name).write_text("names: [dent, scratch]" if name.endswith("ml") else "dent\nscratch\n")
    assert yolo(root).index().classes == ("dent", "scratch")
    (root / "other.yaml").write_text("names: [hole, scratch]")
    with pytest.raises(DataError, match=r"other.yaml has \['hole', 'scratch'\].*keep one of the files"):
        yolo(root).index()


@pytest.mark.parametrize("name", ["classes.txt", "obj.names", "_darknet.labels"])
def test_a_blank_line_ends_a_list_of_class_names_but_does_not_shift_it(root: Path, name: str) -> None:
    (root / "data.yaml").unlink()
    (root / name).write_text("dent\nscratch\n\n \n")
    assert yolo(root).index().classes == ("dent", "scratch")
    for text, what in [
        ("dent\n\nscratch\n", "line 2 is blank: remove it, or name class 1"),
        ("\ndent\nscratch\n", "line 1 is blank: remove it, or name class 0"),
        ("\n", "it is empty"),
    ]:
        (root / name).write_text(text)
        with pytest.raises(DataError, match=f"{name}: expected one class name per line; {what}"):
            yolo(root).index()


@pytest.mark.parametrize("names", ["['', dent]", "[dent, '']", "{0: dent, 1: ' '}", "{0: dent, 1: }"])
def test_a_class_without_a_name_is_refused(root: Path, names: str) -> None:
    (root / "data.yaml").write_text(f"names: {names}")
    with pytest.raises(DataError, match=r"data\.yaml: .*; class [01] has no name"):
        yolo(root).index()


# groups


@pytest.mark.parametrize(
    ("value", "group"), [(None, ""), ("", ""), (7, "7"), (7.0, "7"), (" plate ", "plate")]
)
def test_an_image_without_a_group_in_coco_has_none(root: Path, value: object, group: str) -> None:
    whole = coco_content()
    for item in whole["images"]:
        item["group"] = value
    (root / "all.json").write_text(json.dumps(whole))
    assert {r.group for found in coco(root).index().splits.values() for r in found} == {group}


LEFT = [[10, 20], [20, 30]]
RIGHT = [[40, 20], [30, 25]]


def two_shapes(path: Path, one: Mapping[str, Any], other: Mapping[str, Any]) -> None:
    """Draw the two parts of a LabelMe file, with further values each."""
    labelme_pair(path)
    content = json.loads(path.with_suffix(".json").read_text())
    (shape,) = content["shapes"]
    content["shapes"] = [{**shape, "points": LEFT, **one}, {**shape, "points": RIGHT, **other}]
    path.with_suffix(".json").write_text(json.dumps(content))


def labelme_boxes(
    root: Path, one: Mapping[str, Any], other: Mapping[str, Any], **changes: Any
) -> list[list[float]]:
    two_shapes(root / "a.png", one, other)
    for stem in "bcde":
        labelme_pair(root / f"{stem}.png")
    index = auto(root, **{"fractions": [0.6, 0.2, 0.2], "shapes": "enclose", **changes}).index()
    (found,) = [r for records in index.splits.values() for r in records if r.name == "a.png"]
    return found.boxes.tolist()


POLYGON = {"shape_type": "polygon", "points": [[30, 20], [40, 22], [35, 28]]}


@pytest.mark.parametrize("group", [0, 3, "3", 3.0])
def test_labelme_shapes_of_one_group_and_label_are_one_object(tmp_path: Path, group: object) -> None:
    part = {"group_id": group}
    assert labelme_boxes(tmp_path, part, part) == [[10, 20, 40, 30]]
    assert labelme_boxes(tmp_path, part, {**POLYGON, **part}) == [[10, 20, 40, 30]]
    for other in ({"group_id": 4}, {"group_id": None}, {"label": "scratch", **part}):
        assert labelme_boxes(tmp_path, part, other) == [[10, 20, 20, 30], [30, 20, 40, 25]]


def test_a_labelme_mask_reaches_to_the_end_of_its_last_pixel(tmp_path: Path) -> None:
    """10 x 10 pixels, and 1 x 5 in the last column of an image that is 60 wide."""
    one = {"shape_type": "mask", "points": [[10, 20], [19, 29]]}
    other = {"shape_type": "mask", "points": [[59, 20], [59, 24]]}
    assert labelme_boxes(tmp_path, one, other) == [[10, 20, 20, 30], [59, 20, 60, 25]]


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize(("group", "kept"), [(3, []), (None, [[10, 20, 20, 30], [30, 20, 40, 25]])])
def test_a_labelme_object_is_dropped_with_a_part(
    tmp_path: Path, first: int, group: object, kept: list[list[float]]
) -> None:
    """A polygon is the first or the second part; without a group, only the rectangle is left."""
    parts = [{"group_id": group}, {"group_id": group}]
    parts[first] |= {"shape_type": "polygon"}
    found = labelme_boxes(tmp_path, *parts, shapes="refuse", on_error="skip")
    assert found == [box for number, box in enumerate(kept) if number != first]


@pytest.mark.parametrize("values", [{}, {"group_id": None}, {"group_id": ""}, {"group": None}])
def test_labelme_shapes_without_a_group_are_objects_of_their_own(
    tmp_path: Path, values: Mapping[str, Any]
) -> None:
    assert len(labelme_boxes(tmp_path, values, values)) == 2


@pytest.mark.parametrize("group", [True, [1], {"a": 1}, 1.5])
def test_a_labelme_group_of_another_type_is_refused(tmp_path: Path, group: object) -> None:
    with pytest.raises(
        DataError, match=r"a\.json: shapes\[1\]: group_id is .*, expected a whole number or null"
    ):
        labelme_boxes(tmp_path, {}, {"group_id": group})


@pytest.mark.parametrize("shape", [{}, {"shape_type": "polygon"}, {"shape_type": "circle"}])
def test_labelme_shapes_in_fractions_are_refused(tmp_path: Path, shape: Mapping[str, Any]) -> None:
    part = {**shape, "points": [[0.25, 0.5], [0.5, 0.75]]}
    with pytest.raises(DataError, match=r"a\.json: every box ends at 1 .* export it in pixels"):
        labelme_boxes(tmp_path, part, part)
