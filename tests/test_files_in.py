"""Are the files of a set read as a user has them: in any encoding, behind links, very large, oddly named?"""

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from gffpn.data.card.card import card
from gffpn.data.card.text import print_card
from gffpn.data.index import DataError
from gffpn.data.readers import images
from gffpn.data.readers.images import look
from gffpn.deploy import sources
from gffpn.report.table import print_table
from tiny_sets import coco, coco_content, voc, write_sets, xml, yolo


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_sets(tmp_path / "set")


@pytest.mark.parametrize(
    ("declared", "actual"),
    [
        ("gbk", "gbk"),
        ("Shift_JIS", "shift_jis"),
        ("windows-1252", "cp1252"),
        ("UTF-16", "utf-16"),
        ("utf-16", "utf-16-le"),  # without a byte order mark
        ("utf-16", "utf-8"),  # as .NET writes a string's declaration into a UTF-8 file
        (None, "utf-8-sig"),
        (None, "utf-16"),
    ],
)
def test_xml_is_read_in_its_declared_encoding(root: Path, declared: str | None, actual: str) -> None:
    name = {"cp1252": "Kratzär", "shift_jis": "キズ"}.get(actual, "划痕")
    head = f'<?xml version="1.0" encoding="{declared}"?>\n' if declared else ""
    text = head + xml((50, 50), [("dent", 5, 5, 25, 45)]).replace("dent", name)
    (root / "xml" / "b.xml").write_bytes(text.encode(actual))
    index = voc(root).index()
    assert [index.classes[label] for label in index.splits["val"][0].labels] == [name]


def test_a_declared_encoding_hides_no_doctype(root: Path) -> None:
    bomb = '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE a [<!ENTITY b "boom">]><annotation/>'
    (root / "xml" / "b.xml").write_bytes(bomb.encode("utf-16"))
    with pytest.raises(DataError, match="has a DOCTYPE"):
        voc(root).index()


def test_labels_and_lists_with_a_byte_order_mark_are_read(root: Path) -> None:
    (root / "labels" / "b.txt").write_text("0 0.5 0.5 0.2 0.2\n", encoding="utf-16")
    (root / "splits" / "val.txt").write_text("b\n", encoding="utf-16")
    assert len(yolo(root).index().splits["val"][0].boxes) == 1


def test_a_name_that_is_not_utf8_is_refused_with_a_cure(root: Path) -> None:
    image = next(root.rglob("*.png"))
    named = os.fsencode(image.parent) + b"/gr\xf6n.png"
    try:
        Path(os.fsdecode(named)).write_bytes(image.read_bytes())
    except OSError:
        pytest.skip("this file system refuses such names")
    readers: list[Callable[[], object]] = [
        lambda: yolo(root).index(),
        lambda: sources.images([str(root)]),
        lambda: sources.images([os.fsdecode(named)]),
    ]
    for reader in readers:
        with pytest.raises(ValueError, match=r"gr\\xf6n\.png: the name is not UTF-8.*convmv"):
            reader()


def test_a_locale_of_another_encoding_changes_no_file_and_ends_no_command(tmp_path: Path) -> None:
    code = (
        "import os, sys, pathlib\n"
        "from gffpn.files.names import check_name\n"
        "from gffpn.files.writing import write_atomically\n"
        "from gffpn.machine.terminal import print_what_fits\n"
        "write_atomically(pathlib.Path(sys.argv[1]), '\\u00b1')\n"
        "print_what_fits()\n"
        "print('up \\u2191')\n"
        "try:\n    check_name(os.fsdecode('\\u00fc.png'.encode()))\n"
        "except ValueError as error:\n    print(error)\n"
    )
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-c", code, str(tmp_path / "file")]
    done = subprocess.run(command, env={**os.environ, **locale}, capture_output=True, text=True, check=True)
    assert (tmp_path / "file").read_bytes() == "±".encode()
    assert done.stdout.startswith("up ?")
    assert "names of files are read as ascii, as the locale says: set PYTHONUTF8=1" in done.stdout


def test_links_that_the_user_made_are_followed(root: Path) -> None:
    """Link the image folder, one annotation and one image to places outside of the root."""
    away = root.parent / "other disk"
    away.mkdir()
    for name in ("images", "xml/b.xml", "labels/b.txt"):
        (root / name).rename(away / Path(name).name)
        (root / name).symlink_to(away / Path(name).name)
    (away / "images" / "b.png").rename(away / "b.png")
    (away / "images" / "b.png").symlink_to(away / "b.png")
    for reader in (voc, coco, yolo):
        (record,) = reader(root).index().splits["val"]
        assert (record.name, record.path) == ("images/b.png", away / "b.png")


@pytest.mark.parametrize("name", ["../other/b.png", "link/../../other/b.png", "/etc/b.png"])
def test_no_name_in_an_annotation_leaves_the_root(root: Path, name: str) -> None:
    (root.parent / "other").mkdir()
    (root / "images" / "b.png").rename(root.parent / "other" / "b.png")
    (root / "images" / "link").symlink_to(root.parent / "other")
    content = coco_content()
    content["images"][1]["file_name"] = name
    (root / "all.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match="path that leaves the root"):
        coco(root).index()


def test_one_image_behind_two_links_is_not_in_two_splits(root: Path) -> None:
    (root / "images" / "c.png").unlink()
    (root / "images" / "c.png").symlink_to(root / "images" / "b.png")
    (root / "labels" / "c.txt").write_text("")
    with pytest.raises(DataError, match=r"image in two splits .*\n.*images/b\.png: in val and in test"):
        yolo(root).index()


def test_class_names_that_yaml_would_change_are_kept(root: Path) -> None:
    (root / "data.yaml").write_text("names: [no, 010]\n")
    assert yolo(root).index().classes == ("no", "010")
    (root / "data.yaml").write_text("names:\n  0: null\n  1: 1e3\n")
    assert yolo(root).index().classes == ("null", "1e3")


NAMES = ["Kratzer [/]", "[bold]dent[/bold]"]


def test_class_names_with_markup_are_printed_as_they_are(root: Path) -> None:
    (root / "data.yaml").write_text(f"names: {NAMES}\n")
    index = yolo(root).index()
    console = Console(width=120)
    with console.capture() as captured:
        print_card(card(index, (64, 64), [("AP_8_16", 8.0, 16.0, False)]), console)
    assert all(name in captured.get() for name in NAMES)


def test_overrides_with_markup_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"overrides": [f"data.classes=[{name}]"], "status": "failed", "record": None} for name in NAMES]
    print_table(rows, title="[/] title")
    printed = capsys.readouterr().out
    assert all(text in printed for text in (*NAMES, "[/] title"))


def test_images_over_179_megapixels_are_read_up_to_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("1", (16384, 11000)).save(tmp_path / "line.png")  # 180.2 million pixels
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert look(tmp_path / "line.png")[:2] == (11000, 16384)
    monkeypatch.setattr(images, "LIMIT", 180_000_000)
    with pytest.raises(DataError, match=r"line\.png: .*11000 x 16384 pixels .*at most 180,000,000"):
        look(tmp_path / "line.png")
