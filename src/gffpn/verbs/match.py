"""`match`: the width at which one neck costs as much as another."""

import argparse
import json

from gffpn.verbs.words import Verbs, add_classes, add_json, add_overrides


def add(verbs: "Verbs[argparse.ArgumentParser]") -> None:
    """Add the verb and its arguments to the command line."""
    verb = verbs.add_parser(
        "match",
        help="find the width at which a neck costs as much as another",
        description="Finds the width at which one neck, without backbone and head, has as many parameters "
        "or GFLOPs as another: a control for comparisons, since a neck may win by its width alone. "
        "to=NECK names the other neck; by=params (the default) or by=gflops selects the cost. "
        "Further overrides apply to both necks, but neck.* and ablation only to the first. "
        "The exit code is 1 if no width comes within 2 %.",
        epilog="example: python -m gffpn match neck=panet to=gffpn by=gflops size=l image_size=640",
    )
    add_json(verb, "print one JSON line")
    add_classes(verb)
    add_overrides(verb)
    verb.set_defaults(act=act)


def act(arguments: argparse.Namespace) -> None:
    """Print the width at which a neck costs as much as another; exit with code 1 if none comes within 2 %."""
    from gffpn.benchmark.match import match

    own = ("neck=", "to=", "by=")
    asked = dict(word.split("=", 1) for word in arguments.overrides if word.startswith(own))
    if not {"neck", "to"} <= set(asked):
        raise ValueError("match: expected neck=NECK and to=NECK")
    rest = [word for word in arguments.overrides if not word.startswith(own)]
    found = match(asked["neck"], asked["to"], asked.get("by", "params"), rest, classes=arguments.classes)
    print(json.dumps(found.record()) if arguments.json else found.table())
    if not found.close:
        raise SystemExit(1)
