"""`match`: the width at which one neck costs what another costs."""

import argparse
import json

from gffpn.verbs.words import Verbs, add_classes, add_json, add_overrides


def add(verbs: "Verbs[argparse.ArgumentParser]") -> None:
    """The verb's words."""
    verb = verbs.add_parser(
        "match",
        help="the width at which a neck costs what another one costs",
        description="Finds the width at which one neck alone, without backbone and head, has the parameters "
        "or the GFLOPs of another: a control for a comparison, since a neck may win by its width alone. "
        "to=NECK is the other one, by=params (default) or by=gflops the cost. "
        "Further overrides are for both, those of neck.* and ablation for the first. "
        "Exit code 1 if no width comes within 2 %%.",
        epilog="example: python -m gffpn match neck=panet to=gffpn by=gflops size=l image_size=640",
    )
    add_json(verb, "print one JSON line")
    add_classes(verb)
    add_overrides(verb)
    verb.set_defaults(act=act)


def act(arguments: argparse.Namespace) -> None:
    """The width at which a neck costs what another costs; exit code 1 if none comes within 2 %."""
    from gffpn.benchmark.match import match

    own = ("neck=", "to=", "by=")
    asked = dict(word.split("=", 1) for word in arguments.overrides if word.startswith(own))
    if not {"neck", "to"} <= set(asked):
        raise ValueError("match: expected neck=NECK and to=NECK")
    rest = [word for word in arguments.overrides if not word.startswith(own)]
    found = match(asked["neck"], asked["to"], asked.get("by", "params"), rest, classes=arguments.classes)
    print(json.dumps(found.told()) if arguments.json else found.table())
    if not found.close:
        raise SystemExit(1)
