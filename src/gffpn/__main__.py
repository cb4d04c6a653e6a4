"""`python -m gffpn VERB`: what can be asked without training."""

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence


def cost_verb(arguments: argparse.Namespace) -> None:
    """Parameters and GFLOPs of the detector that the overrides choose."""
    from gffpn.build import build_detector, compose_config, image_size
    from gffpn.cost import cost
    from gffpn.suite.settings import check

    config = compose_config(arguments.overrides)
    check(config)
    height, width = image_size(config)
    price = dataclasses.asdict(cost(build_detector(config, arguments.classes), (height, width)))
    told = {
        "neck": config.choice.neck,
        "backbone": config.choice.backbone,
        "head": config.choice.head,
        "size": config.size.name,
        "classes": arguments.classes,
        **price,
        "image_size": height if height == width else [height, width],
    }
    if not arguments.json:
        for key, value in told.items():
            print(f"{key:18} {value}")
    print(json.dumps(told))


def parser() -> argparse.ArgumentParser:
    """The command line of `python -m gffpn`."""
    top = argparse.ArgumentParser(prog="python -m gffpn", description=__doc__)
    verbs = top.add_subparsers(metavar="VERB", required=True)
    verb = verbs.add_parser(
        "cost",
        help="parameters and GFLOPs",
        description="Parameters and GFLOPs (2 x MAC, batch 1) of backbone, neck and head. "
        "One JSON object stands on the last line.",
        epilog="example: python -m gffpn cost neck=gffpn head=yolov5 size=l image_size=640",
    )
    verb.add_argument(
        "overrides", nargs="*", metavar="KEY=VALUE", help="as for train.py: neck=panet size=l ..."
    )
    verb.add_argument("--classes", type=int, default=9, help="number of classes (default: 9, TinyIndus)")
    verb.add_argument("--json", action="store_true", help="print the JSON line only")
    verb.set_defaults(act=cost_verb)
    return top


def main(argv: Sequence[str] | None = None) -> None:
    """Run a verb; a wrong value is one line on standard error."""
    # overrides may stand before and after options; argparse takes one run of them only
    arguments, rest = parser().parse_known_args(argv)
    if unknown := [word for word in rest if word.startswith("-")]:
        parser().error(f"unrecognized arguments: {' '.join(unknown)}")
    arguments.overrides += rest
    try:
        arguments.act(arguments)
    except ValueError as error:
        print(f"ERROR: {error}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
