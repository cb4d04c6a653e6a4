"""Reader that recognises the form of a folder and leaves reading to the reader of that form."""

import dataclasses
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gffpn.data.index import DataIndex
from gffpn.data.readers.coco import COCO
from gffpn.data.readers.crowd import Crowd
from gffpn.data.readers.deeppcb import DeepPCB
from gffpn.data.readers.labelme import LabelMe
from gffpn.data.readers.masks import Masks
from gffpn.data.readers.pairs import Unlabelled
from gffpn.data.readers.reader import Reader
from gffpn.data.readers.recognise.recognition import overrides, recognise
from gffpn.data.readers.root import Root
from gffpn.data.readers.shapes import Shapes
from gffpn.data.readers.voc import VOC, Corners
from gffpn.data.readers.yolo import YOLO

logger = logging.getLogger(__name__)

READERS: Mapping[str, type[COCO | VOC | YOLO | LabelMe | Masks | DeepPCB]] = {
    "coco": COCO,
    "voc": VOC,
    "yolo": YOLO,
    "labelme": LabelMe,
    "masks": Masks,
    "deeppcb": DeepPCB,
}
DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "coco": {"unlabelled": "drop"},
    "voc": {"unlabelled": "refuse"},
    "yolo": {"unlabelled": "refuse"},
    "labelme": {"unlabelled": "refuse"},
    "masks": {
        "mask_suffix": "",
        "class_folders": False,
        "values": None,
        "threshold": None,
        "objects": None,
        "connectivity": 8,
        "min_area": 1,
        "unlabelled": "refuse",
    },
    "deeppcb": {"unlabelled": "refuse"},
}
"""Values in conf/data of arguments that are null here."""
OWN = ("classes", "splits", "crowd", "corners", "unlabelled")
"""Arguments that follow from the form unless they are given."""


@dataclass(kw_only=True)
class Auto(Reader):
    """Reader of a folder whose form is recognised.

    It logs what it saw, and the overrides that say the same; both read the same index. `crowd`, `corners`,
    `shapes` and `unlabelled` are those of the reader, or None for what the form suggests. For the other
    arguments, see `Reader`.

    Raises ValueError for an invalid argument; `index` raises DataError if the folder has none of the forms or
    several, and for faulty data.
    """

    crowd: Crowd | None
    corners: Corners | None
    shapes: Shapes
    unlabelled: Unlabelled | None

    def index(self) -> DataIndex:
        """Recognise, read and check the whole data set; each call reads the files again."""
        root = Root(self.root, "the images and annotations")
        form, inner = recognise(root)
        logger.info("%s: %s; %s", inner.root, form.saw, _splits(form.arguments))
        given = {name: value for name in OWN if (value := getattr(self, name)) is not None}
        taken = {field.name for field in dataclasses.fields(READERS[form.reader])}
        arguments = {**form.arguments, **{name: value for name, value in given.items() if name in taken}}
        where = root.given if inner.root == root.path else str(inner.root)
        logger.info("the same as: %s", overrides(form.reader, {"root": where, **arguments}))
        plain = {name: getattr(self, name) for name in taken if hasattr(self, name)}
        every = {**plain, **DEFAULTS[form.reader], **arguments, "root": where}
        return READERS[form.reader](every.pop("cache_dir"), every.pop("image_size"), **every).index()


def _splits(arguments: Mapping[str, Any]) -> str:
    """Say where the splits of a form come from."""
    for name in ("images", "annotations", "labels"):
        if isinstance(arguments.get(name), Mapping):
            return f"splits in separate folders or files: {', '.join(arguments[name])}"
    lists = arguments.get("splits")
    if lists is None:
        return "no splits: they are drawn by data.fractions"
    every = lists.values() if isinstance(lists, Mapping) else [lists]
    return (
        f"split lists: {', '.join(x for some in every for x in ([some] if isinstance(some, str) else some))}"
    )
