"""Reader that recognises the form of a folder and leaves reading to the reader of that form."""

import dataclasses
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gffpn.data.index import DataError, DataIndex
from gffpn.data.readers.coco import COCO
from gffpn.data.readers.crowd import Crowd
from gffpn.data.readers.deeppcb import DeepPCB
from gffpn.data.readers.labelme import LabelMe
from gffpn.data.readers.masks import Masks
from gffpn.data.readers.pairs import Unlabelled
from gffpn.data.readers.quoting import override
from gffpn.data.readers.reader import Reader
from gffpn.data.readers.recognise.coco import coco
from gffpn.data.readers.recognise.deeppcb import deeppcb
from gffpn.data.readers.recognise.form import Form, NoForm, Recogniser
from gffpn.data.readers.recognise.labelme import labelme
from gffpn.data.readers.recognise.masks import masks
from gffpn.data.readers.recognise.tree import Tree
from gffpn.data.readers.recognise.voc import voc
from gffpn.data.readers.recognise.yolo import yolo
from gffpn.data.readers.root import Root, contents
from gffpn.data.readers.shapes import Shapes
from gffpn.data.readers.voc import VOC, Corners
from gffpn.data.readers.yolo import YOLO

logger = logging.getLogger(__name__)

RECOGNISERS: Mapping[str, Recogniser] = {
    "coco": coco,
    "voc": voc,
    "yolo": yolo,
    "labelme": labelme,
    "masks": masks,
    "deeppcb": deeppcb,
}
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
    "deeppcb": {},
}
"""Values in conf/data of arguments that are null here."""
OWN = ("classes", "splits", "crowd", "corners", "unlabelled")
"""Arguments that follow from the form unless they are given."""


@dataclass(kw_only=True)
class Auto(Reader):
    """Reader of a folder that one of `RECOGNISERS` recognises.

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


def overrides(reader: str, arguments: Mapping[str, Any]) -> str:
    """Return the overrides for a reader and its arguments, ready to be pasted into a shell."""
    words = [override(f"data.{name}", value) for name, value in arguments.items()]
    return " ".join([f"data={reader}", *words])


def _splits(arguments: Mapping[str, Any]) -> str:
    """Say where the splits of a form come from."""
    for name in ("images", "annotations", "labels"):
        if isinstance(arguments.get(name), Mapping):
            return f"splits in separate folders or files: {', '.join(arguments[name])}"
    lists = arguments.get("splits")
    if lists is None:
        return "no splits: they are drawn by data.fractions"
    return f"split lists: {', '.join(lists.values()) if isinstance(lists, Mapping) else lists}"


def recognise(root: Root) -> tuple[Form, Tree]:
    """Return the form of a folder, or of the only one in it that holds anything, and its files.

    Raises DataError, with what each recogniser lacks, if there is none, and with the overrides of each form
    if there are several.
    """
    tree = Tree(root.path)
    while inner := tree.only_folder:
        tree = Tree(tree.root / inner)
    forms: list[Form] = []
    reasons: list[str] = []
    for name, recogniser in RECOGNISERS.items():
        try:
            forms.append(recogniser(tree))
        except NoForm as error:
            reasons.append(f"  data={name}: {error}")
    if len(forms) == 1:
        return forms[0], tree
    if forms:
        ways = [
            f"  {form.saw}: {overrides(form.reader, {'root': str(tree.root), **form.arguments})}"
            for form in forms
        ]
        raise DataError("\n".join([f"{tree.root}: has {len(forms)} forms; choose one of them:", *ways]))
    what = f"{len(tree.images)} images; {contents(tree.root)}"
    raise DataError("\n".join([f"{tree.root}: no form that data=auto recognises, {what}", *reasons]))
