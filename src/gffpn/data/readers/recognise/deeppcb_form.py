"""Recognition of a clone of DeepPCB."""

import re
from typing import Any

from gffpn.data.readers.recognise.form import Form, NoForm
from gffpn.data.readers.recognise.tree import Tree

_IMAGE = re.compile(r"(.*?)/?group\d+/\d+/\d+_test\.jpg")


def deeppcb(tree: Tree) -> Form:
    """Return the form of DeepPCB: groups with images *_test.jpg, and a folder *_not with their boxes."""
    bases = {match[1] for name in tree.images if (match := _IMAGE.fullmatch(name))}
    if len(bases) != 1:
        raise NoForm("no folder of groups such as PCBData")
    splits = "splits" if tree.has_file("splits/train.txt") else None
    # the publisher's lists share boards, and data=deeppcb has them; without lists, boards stay together
    arguments: dict[str, Any] = {"images": bases.pop() or ".", "splits": splits}
    return Form("deeppcb", arguments, "DeepPCB")
