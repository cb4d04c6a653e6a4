"""Detection, by the names of files, of images with the same origin in different splits."""

import logging
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from gffpn.data.index import ImageRecord
from gffpn.data.readers.listing import stem_of
from gffpn.data.readers.quoting import override

logger = logging.getLogger(__name__)

PATTERNS: Mapping[str, str] = {
    "augmented copies of one image (.rf. and a hash, as Roboflow writes it)": r"^(.+)\.rf\.",
    "tiles of one image (_x_y)": r"^(.+)_\d+_\d+$",
}
"""Values of `data.group_pattern` by what they find."""
FEWEST = 3
"""Number of groups below which the first part of the names, such as a camera's `img`, is no origin."""


def warn_of_copies(root: Path, splits: Mapping[str, Sequence[ImageRecord]], *, drawn: bool) -> None:
    """Log a warning if images of different splits are named like copies or tiles of one image.

    `drawn` says that splits were drawn, which a group pattern influences.
    """
    for what, pattern in PATTERNS.items():
        find, homes = re.compile(pattern).search, defaultdict[str, list[str]](list)
        for split, records in splits.items():
            for record in records:
                if match := find(stem_of(record.name)):
                    homes[match[1]].append(split)
        torn = sum(len(found) for found in homes.values() if len(set(found)) > 1)
        if torn and len(homes) >= FEWEST:
            cure = f"keep them in one split by {override('data.group_pattern', pattern)}"
            if not drawn:
                cure = "the set's own splits separate them, so that its results are too good"
            logger.warning("%s: %d images are named like %s: %s", root, torn, what, cure)
