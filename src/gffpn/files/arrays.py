"""What reading a NumPy archive may raise."""

import zlib
from tokenize import TokenError
from zipfile import BadZipFile

UNREADABLE = (
    OSError,
    EOFError,
    BadZipFile,
    zlib.error,
    NotImplementedError,  # an unknown compression
    TokenError,  # of the header of an array, which is Python text
    SyntaxError,
    ValueError,
    KeyError,
    TypeError,
)
"""Errors of `numpy.load`, and of taking arrays from what it returns, for a missing or damaged file."""
