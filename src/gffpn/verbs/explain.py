"""`explain`: what a key, a group or a choice means."""

import argparse

from gffpn.verbs.words import Verbs, add_config_dir


def add(verbs: "Verbs[argparse.ArgumentParser]") -> None:
    """Add the verb and its arguments to the command line."""
    verb = verbs.add_parser(
        "explain",
        help="explain a key, a group or a choice of the configuration",
        description="Explains a key (optim.lr, or lr alone), a group (neck), a choice (neck=gffpn), or lists "
        "what contains a word: meaning, values, default, and the file and line where it is set. Without a "
        "name, lists all groups and choices.",
        epilog="example: gffpn explain neck.lpam.mix",
    )
    verb.add_argument("name", nargs="?", metavar="KEY", help="a key, a group, a choice or a word")
    add_config_dir(verb)
    verb.add_argument("--markdown", action="store_true", help="print docs/settings.md, with all settings")
    verb.set_defaults(act=act)


def act(arguments: argparse.Namespace) -> None:
    """Print an explanation."""
    from gffpn.config.overrides import search_path
    from gffpn.guide.catalogue import Catalogue
    from gffpn.guide.explanation import explanation
    from gffpn.guide.settings_page import settings_page
    from gffpn.guide.train_help import overview

    if arguments.markdown and (arguments.name or arguments.config_dir):
        raise ValueError("--markdown: prints all settings of conf/; leave out KEY and --config-dir")
    search_path(arguments.config_dir)
    catalogue = Catalogue(arguments.config_dir)
    if arguments.markdown:
        print(settings_page(), end="")
    elif arguments.name:
        print("\n".join(explanation(catalogue, arguments.name)))
    else:
        print("\n".join(overview(catalogue)).lstrip("\n"))
