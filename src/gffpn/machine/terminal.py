"""The terminal to which results are printed."""

import io
import sys


def print_what_fits() -> None:
    """Let stdout print ? for a sign that its encoding lacks, such as the arrow of a table in Latin-1.

    It would raise an error otherwise, after all the work.
    """
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="replace")
