"""Reading of all masks of a data set, with results kept in a memo so that each is decoded only once."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import PIL

from gffpn.data.index import DataError
from gffpn.data.readers.mask_objects import Mask, Region, read_mask
from gffpn.data.readers.memo import read_memo, write_memo
from gffpn.files.content import stamp
from gffpn.machine.threads import in_threads

MEMO = "read-masks.json"
RULES = f"1, Pillow {PIL.__version__}"
"""Version of `read_mask` and of the decoder. A memo of another version is ignored."""


def read_masks(
    files: Mapping[str, Path], cache_dir: Path, *, threshold: int | None, connectivity: int | None
) -> dict[str, Mask | DataError]:
    """Return, for each file, its `read_mask`, or the DataError that it raised with its name in `files`.

    A mask is not decoded again while its `stamp` stays the same.
    """
    # a set may be read with one setting and then with another
    keys = {name: f"{connectivity} {threshold} {path}" for name, path in files.items()}
    memo, stamps = read_memo(cache_dir / MEMO, RULES), {name: _stamp(path) for name, path in files.items()}
    unknown = [name for name in files if memo.get(keys[name], ())[:1] != [stamps[name]]]

    def see(name: str) -> Mask | DataError:
        try:
            return read_mask(files[name], threshold=threshold, connectivity=connectivity)
        except DataError as error:
            return DataError(f"{name}{str(error).removeprefix(str(files[name]))}")

    found = dict(zip(unknown, in_threads(see, unknown, "Reading masks"), strict=True))
    new = {keys[name]: [stamps[name], *mask] for name, mask in found.items() if isinstance(mask, Mask)}
    if new:
        write_memo(cache_dir / MEMO, RULES, memo | new)
    return {name: found[name] if name in found else _mask(memo[keys[name]]) for name in files}


def _stamp(path: Path) -> list[int]:
    try:
        return stamp(path)
    except OSError:  # a link to nothing, which reading it reports
        return []


def _mask(entry: list[Any]) -> Mask:
    _, height, width, regions = entry
    found = tuple(Region(value, tuple(box), area) for value, box, area in regions)
    return Mask(height, width, found)
