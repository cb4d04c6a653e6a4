"""`cost`: parameters and GFLOPs of one detector."""

import argparse
import dataclasses
import json

from gffpn.verbs.words import Verbs, add_classes, add_json, add_overrides


def add(verbs: "Verbs[argparse.ArgumentParser]") -> None:
    """Add the verb and its arguments to the command line."""
    verb = verbs.add_parser(
        "cost",
        help="count parameters and GFLOPs",
        description="Counts the parameters and GFLOPs (2 x MAC, batch 1) of backbone, neck and head. "
        "The last line is one JSON object.",
        epilog="example: python -m gffpn cost neck=gffpn head=yolov5 size=l image_size=640",
    )
    add_json(verb, "print the JSON line only")
    add_classes(verb)
    add_overrides(verb)
    verb.set_defaults(act=act)


def act(arguments: argparse.Namespace) -> None:
    """Print the parameters and GFLOPs of the detector that the overrides choose."""
    from gffpn.build.detector import build_detector
    from gffpn.config.check import compose_checked
    from gffpn.config.compose import image_size
    from gffpn.cost import cost

    config = compose_checked(arguments.overrides)
    height, width = image_size(config)
    price = dataclasses.asdict(cost(build_detector(config, arguments.classes), (height, width)))
    figures = {
        "neck": config.choice.neck,
        "backbone": config.choice.backbone,
        "head": config.choice.head,
        "size": config.size.name,
        "classes": arguments.classes,
        **price,
        "image_size": height if height == width else [height, width],
    }
    if not arguments.json:
        for key, value in figures.items():
            print(f"{key:18} {value}")
    print(json.dumps(figures))
