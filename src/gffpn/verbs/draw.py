"""`draw`: a neck as a diagram."""

import argparse
from pathlib import Path

from gffpn.verbs.words import Verbs, add_overrides


def add(verbs: "Verbs[argparse.ArgumentParser]") -> None:
    """Add the verb and its arguments to the command line."""
    verb = verbs.add_parser(
        "draw",
        help="draw a neck as a diagram, from the built network",
        description="Builds a neck, traces a forward pass, and draws its modules with the shapes of their "
        "results, in a row per level, fine to coarse. The SVG file follows the reader's light or dark "
        "theme; point at a box for the path and the parameters of its module.",
        epilog="examples: python -m gffpn draw neck=gffpn size=l image_size=640; "
        "python -m gffpn draw neck=gffpn --part guided.8.lpam",
    )
    verb.add_argument(
        "--part", help="draw the inside of one module, by its dotted path in the neck or the end of it"
    )
    verb.add_argument(
        "--depth", type=int, help="how many times to open the boxes (default: 0, or 2 with --part)"
    )
    verb.add_argument(
        "--out", type=Path, help="the file to write (default: runs/diagrams/NECK.svg or NECK_PART.svg)"
    )
    add_overrides(verb)
    verb.set_defaults(act=act)


def act(arguments: argparse.Namespace) -> None:
    """Draw the neck that the overrides choose."""
    from gffpn.build.detector import rehearse
    from gffpn.config.check import compose_checked
    from gffpn.config.compose import image_size
    from gffpn.files.writing import check_file, write_atomically
    from gffpn.microscope.diagram import diagram, title_of
    from gffpn.report.diagram.svg import svg

    if arguments.depth is not None and arguments.depth < 0:
        raise ValueError(f"--depth: got {arguments.depth}, expected 0 or more")
    if arguments.out is not None and arguments.out.suffix != ".svg":
        raise ValueError(f"--out: got {arguments.out}, expected a file name that ends in .svg")
    if arguments.out is not None:
        check_file(arguments.out, setting="--out")
    config = compose_checked(arguments.overrides)
    detector, size = rehearse(config), image_size(config)
    name = config.choice.neck
    graph = diagram(
        detector.neck,
        detector.backbone.out_levels,
        size,
        title=title_of(detector.neck, name, config.size.name, size),
        part=arguments.part,
        depth=arguments.depth,
    )
    words = [name, *([arguments.part] if arguments.part else [])]
    path = arguments.out or Path("runs/diagrams") / f"{'_'.join(words)}.svg"
    write_atomically(path, svg(graph.chained()))
    print(path)
