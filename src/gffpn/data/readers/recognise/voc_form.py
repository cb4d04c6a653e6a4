"""Recognition of Pascal VOC's XML files."""

import re
from collections.abc import Sequence
from typing import Any

from gffpn.data.readers.recognise.form import Form, NoForm
from gffpn.data.readers.recognise.layout import layout
from gffpn.data.readers.recognise.lists import split_lists
from gffpn.data.readers.recognise.tree import Tree

LOOKED_AT = 200
"""Number of files from which the meaning of the coordinates is inferred."""
_NUMBER = re.compile(r"<(xmin|ymin|xmax|ymax)>\s*([^<]*?)\s*</")
_SIDE = re.compile(r"<(width|height)>\s*([^<]*?)\s*</")


def voc(tree: Tree) -> Form:
    """Return the form of a set with one XML file per image."""
    files = tree.beside_images(".xml")
    if not files:
        if any("<annotations>" in tree.start(name) for name in tree.of((".xml",))[:LOOKED_AT]):
            raise NoForm("one XML file for all images (CVAT for images): export as PASCAL VOC, COCO or YOLO")
        others = len(tree.of((".xml",)))
        raise NoForm(f"{others} XML files, none named like an image" if others else "no XML file")
    if not any("<annotation" in tree.start(name) for name in files[:LOOKED_AT]):
        raise NoForm(f"{files[0]} has no <annotation>")
    found = layout(tree, files)
    arguments: dict[str, Any] = {"images": found.images, "annotations": found.annotations}
    if isinstance(found.images, str) and isinstance(found.annotations, str) and (lists := split_lists(tree)):
        arguments["splits"] = lists
    why = _edges(tree, files)
    if why:
        arguments["corners"] = "edges"
    left = f", without the images in {found.left_out}" if found.left_out else ""
    return Form("voc", arguments, _tool(tree) + left + why)


def _tool(tree: Tree) -> str:
    if tree.has_file("labelmap.txt"):
        return "CVAT (or Datumaro) VOC export"
    roboflow = any(tree.has_file(name) for name in ("README.roboflow.txt", "README.dataset.txt"))
    return "Roboflow VOC export" if roboflow else "Pascal VOC"


def _edges(tree: Tree, files: Sequence[str]) -> str:
    """Return why the coordinates are edges and not pixels counted from 1; empty if that is not certain."""
    if tree.has_file("labelmap.txt"):
        return "; such exports write the edges of boxes"
    zero, far = "", ""
    step = max(1, len(files) // LOOKED_AT)
    for name in files[::step]:
        text = tree.start(name, 1 << 16)
        sides = dict(_SIDE.findall(text))
        for key, value in _NUMBER.findall(text):
            if re.fullmatch(r"\d*\.\d*[1-9]\d*", value):
                return f"; {key} {value} in {name} is an edge, no pixel"
            if key in ("xmin", "ymin") and value == "0":
                zero = f"{key} 0 in {name}"
            elif (key, value) in (("xmax", sides.get("width")), ("ymax", sides.get("height"))):
                far = f"{key} {value} in {name}"
    # pixels counted from 0 end at the width - 1, those counted from 1 begin at 1
    return f"; {zero} and {far} are edges" if zero and far else ""
