"""`python -m gffpn VERB`: what can be asked beside training."""

import argparse
import sys
from collections.abc import Sequence

from gffpn.data.index import DataError
from gffpn.suite.overrides import WRONG_OVERRIDE, refuse, unwrapped
from gffpn.verbs import benchmark, benchmark_train, cost, data, export, match, speed

VERBS = (cost, benchmark, benchmark_train, speed, match, export, data)


def parser() -> argparse.ArgumentParser:
    """The command line of `python -m gffpn`."""
    top = argparse.ArgumentParser(prog="python -m gffpn", description=__doc__)
    verbs = top.add_subparsers(metavar="VERB", required=True)
    for verb in VERBS:
        verb.add(verbs)
    return top


def main(argv: Sequence[str] | None = None) -> None:
    """Run a verb; a wrong value is one line on stderr and exit code 2, a faulty data set exit code 1.

    Ctrl-C is exit code 130.
    """
    # overrides may stand before and after options; argparse takes one run of them only
    arguments, rest = parser().parse_known_args(argv)
    if unknown := [word for word in rest if word.startswith("-")]:
        parser().error(f"unrecognized arguments: {' '.join(unknown)}")
    arguments.overrides += rest
    try:
        arguments.act(arguments)
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        raise SystemExit(130) from None
    except (ValueError, *WRONG_OVERRIDE) as raised:
        error = unwrapped(raised)
        if not isinstance(error, ValueError):
            raise
        refuse(error, code=1 if isinstance(error, DataError) else 2)


if __name__ == "__main__":
    main()
