"""Recognition of a clone of DeepPCB."""

from typing import Any

from gffpn.data.readers.recognise.form import Form, NoForm
from gffpn.data.readers.recognise.tree import Tree


def deeppcb(tree: Tree) -> Form:
    """Return the form of DeepPCB: groups with images *_test.jpg, and a folder *_not with their boxes."""
    if not tree.has_folder("PCBData") or not any(name.endswith("_test.jpg") for name in tree.images):
        raise NoForm("no folder PCBData")
    splits = "splits" if tree.has_file("splits/train.txt") else None
    # the publisher's lists share boards, and data=deeppcb has them; without lists, boards stay together
    arguments: dict[str, Any] = {"images": "PCBData", "splits": splits}
    return Form("deeppcb", arguments, "DeepPCB")
