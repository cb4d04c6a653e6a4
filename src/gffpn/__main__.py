"""Train detectors, measure their cost and speed, export them, and check data sets.

Run as `gffpn VERB` or `python -m gffpn VERB`.
"""

import argparse
import os
import sys
from collections.abc import Sequence

from gffpn.config.overrides import WRONG_OVERRIDE, check_words, refuse, search_path, unwrapped
from gffpn.data.index import DataError
from gffpn.machine.terminal import print_what_fits
from gffpn.verbs import (
    benchmark,
    benchmark_train,
    cost,
    data,
    draw,
    evaluate,
    explain,
    export,
    luck,
    match,
    parts,
    plan,
    predict,
    predictions,
    report,
    speed,
    train,
)

VERBS = (
    train,
    explain,
    plan,
    report,
    parts,
    luck,
    cost,
    draw,
    benchmark,
    benchmark_train,
    speed,
    match,
    export,
    predict,
    evaluate,
    predictions,
    data,
)


def parser() -> argparse.ArgumentParser:
    """Return the command-line parser of `gffpn`."""
    top = argparse.ArgumentParser(prog="gffpn", description=__doc__)
    top.set_defaults(config_dir=[])
    verbs = top.add_subparsers(metavar="VERB", required=True)
    for verb in VERBS:
        verb.add(verbs)
    return top


def main(argv: Sequence[str] | None = None) -> None:
    """Run a verb and turn errors into exit codes.

    A wrong value gives exit code 2, a faulty data set exit code 1, and what the system refuses exit code 4,
    each with one line on stderr. Ctrl-C gives exit code 130.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    print_what_fits()
    check_words(words)
    if words[:1] == ["train"]:
        train.start(words[1:])
        return
    if os.getcwd() not in sys.path:  # so that users can keep their own necks there
        sys.path.append(os.getcwd())
    # overrides may come before and after options, but argparse accepts only one uninterrupted group
    arguments, rest = parser().parse_known_args(words)
    takes_overrides = hasattr(arguments, "overrides")
    if unknown := [word for word in rest if word.startswith("-") or not takes_overrides]:
        parser().error(f"unrecognized arguments: {' '.join(unknown)}")
    if takes_overrides:
        arguments.overrides += [*rest, *search_path(arguments.config_dir)]
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
    except BrokenPipeError:  # `gffpn ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(141) from None
    except OSError as error:  # such as a full disk
        refuse(error, code=4)


if __name__ == "__main__":
    main()
