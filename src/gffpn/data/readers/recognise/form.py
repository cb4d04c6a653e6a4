"""What a recogniser returns: the reader of a folder and its arguments."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gffpn.data.readers.recognise.tree import Tree


@dataclass(frozen=True)
class Form:
    """Reader that reads a folder."""

    reader: str
    """Name of the option: `data=NAME`."""
    arguments: Mapping[str, Any]
    """Those arguments that differ from one folder to the other."""
    saw: str
    """What was recognised, for a message."""


class NoForm(ValueError):
    """Raised by a recogniser that does not fit; the message says why, in a few words."""


Recogniser = Callable[[Tree], Form]
"""Function that returns the form of a folder or raises NoForm."""
