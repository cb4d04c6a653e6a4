"""Recognition of LabelMe's JSON files."""

from typing import Any

from gffpn.data.readers.recognise.form import Form, NoForm
from gffpn.data.readers.recognise.layout import layout
from gffpn.data.readers.recognise.lists import split_lists
from gffpn.data.readers.recognise.tree import Tree

LOOKED_AT = 20


def labelme(tree: Tree) -> Form:
    """Return the form of a set with one LabelMe file per image."""
    files = tree.beside_images(".json")
    if not any('"shapes"' in tree.start(name, 1 << 16) for name in files[:LOOKED_AT]):
        others = len([name for name in tree.of((".json",))[:LOOKED_AT] if '"shapes"' in tree.start(name)])
        raise NoForm("LabelMe files, but no image of their names" if others else "no JSON file with shapes")
    found = layout(tree, files)
    arguments: dict[str, Any] = {"images": found.images, "annotations": found.annotations}
    if isinstance(found.images, str) and isinstance(found.annotations, str) and (lists := split_lists(tree)):
        arguments["splits"] = lists
    left = f", without the images in {found.left_out}" if found.left_out else ""
    return Form("labelme", arguments, f"LabelMe's files{left}")
