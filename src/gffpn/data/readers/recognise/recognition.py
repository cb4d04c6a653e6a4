"""Recognition of the form of a folder by all recognisers."""

import logging
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from gffpn.data.index import DataError
from gffpn.data.readers.images import SUFFIXES
from gffpn.data.readers.listing import suffix_of
from gffpn.data.readers.quoting import override
from gffpn.data.readers.recognise.coco_form import coco
from gffpn.data.readers.recognise.deeppcb_form import deeppcb
from gffpn.data.readers.recognise.form import Form, NoForm, Recogniser
from gffpn.data.readers.recognise.labelme_form import labelme
from gffpn.data.readers.recognise.masks_form import masks
from gffpn.data.readers.recognise.tree import Tree
from gffpn.data.readers.recognise.voc_form import voc
from gffpn.data.readers.recognise.yolo_form import yolo
from gffpn.data.readers.root import ARCHIVES, Root, about_file, contents

logger = logging.getLogger(__name__)

RECOGNISERS: Mapping[str, Recogniser] = {
    "coco": coco,
    "voc": voc,
    "yolo": yolo,
    "labelme": labelme,
    "masks": masks,
    "deeppcb": deeppcb,
}
TABLES = (".csv", ".tsv", ".xlsx", ".ndjson", ".jsonl", ".parquet", ".tfrecord", ".record", ".mat")
"""Suffixes of other files in which programs write annotations."""


def recognise(root: Root) -> tuple[Form, Tree]:
    """Return the form of a folder, or of the only one in it that holds anything, and its files.

    Of several forms with different images, that of the most images is taken, and the others are logged.
    Raises DataError, with what each recogniser lacks, if there is none, and with the overrides of each form
    if there are several for the same images.
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
            reasons.append(f"data={name}: {error}")
    if not forms:
        raise DataError(_no_form(tree, reasons))
    first, *others = sorted(forms, key=lambda form: -_number(tree, form))
    ways = [
        f"{form.saw}: {overrides(form.reader, {'root': str(tree.root), **form.arguments})}" for form in forms
    ]
    if others and (_overlap(forms) or _number(tree, first) == _number(tree, others[0])):
        lines = [f"{tree.root}: has {len(forms)} forms; choose one of them:", *(f"  {way}" for way in ways)]
        raise DataError("\n".join(lines))
    for form, way in zip(forms, ways, strict=True):
        if form is not first:
            logger.info("not read, because it has fewer images than %s: %s", first.saw, way)
    return first, tree


def _no_form(tree: Tree, reasons: list[str]) -> str:
    if tables := tree.of(TABLES):
        what = f"{tables[0]}: annotations in {suffix_of(tables[0])} files are not read"
        reasons.append(f"{what}: export as COCO, Pascal VOC or YOLO")
    reasons.sort(key=_is_plain_lack)  # a near miss first
    number = len(tree.images)
    head = f"{tree.root}: no form that data=auto recognises, {number} image{'s' if number != 1 else ''}"
    cure = "Choose a reader and its folders yourself, see docs/data.md."
    if number:
        head += f"; {contents(tree.root)}"
    else:
        counts = Counter(suffix_of(name) or "no suffix" for name in tree.files)
        held = ", ".join(f"{count} of {suffix}" for suffix, count in counts.most_common(6))
        head += f"; it holds {f'files: {held}' if held else 'no file'}"
        reasons = [reason for reason in reasons if not _is_plain_lack(reason)]
        cure = f"Give the folder that holds the images, too, as {' '.join(sorted(SUFFIXES))}."
        if archives := tree.of(ARCHIVES):
            cure = f"{archives[0]}: {about_file(str(tree.root / archives[0]))}"
    return "\n".join([head, *(f"  {reason}" for reason in reasons), cure])


def _is_plain_lack(reason: str) -> bool:
    return reason.partition(": ")[2].startswith("no ")


def _overlap(forms: Sequence[Form]) -> bool:
    """Return True if a folder of images of one form contains one of another form."""
    fixed = [(k, folder.partition("*")[0]) for k, form in enumerate(forms) for folder in _folders(form)]
    return any(one != other and inner.startswith(outer) for one, outer in fixed for other, inner in fixed)


def _number(tree: Tree, form: Form) -> int:
    """Return the number of images below the folders of a form, in which a * stands for any one folder."""
    patterns = [re.escape(folder).replace(r"\*", "[^/]*") for folder in _folders(form)]
    below = re.compile("|".join(patterns))
    return sum(below.match(name) is not None for name in tree.images)


def _folders(form: Form) -> list[str]:
    """Return the folders of the images of a form, each with a slash at its end; empty for the root."""
    images = form.arguments["images"]
    places = images.values() if isinstance(images, Mapping) else [images]
    folders = [folder for place in places for folder in ([place] if isinstance(place, str) else place)]
    return ["" if folder == "." else f"{folder}/" for folder in folders]


def overrides(reader: str, arguments: Mapping[str, Any]) -> str:
    """Return the overrides for a reader and its arguments, ready to be pasted into a shell."""
    words = [override(f"data.{name}", value) for name, value in arguments.items()]
    return " ".join([f"data={reader}", *words])
