"""`pretrade-guard admin`: the verbs of locates.

A part of `guard.cli.admin`, whose table names them with all others.
"""

import argparse
from typing import Any, Final

from guard.cli.admin_verb import Verb


def _addition_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("locate", metavar="ID", help="as orders will name it (locate_id)")
    parser.add_argument("desk", metavar="DESK")
    parser.add_argument("symbol", metavar="SYMBOL")
    parser.add_argument("lots", type=int, metavar="LOTS", help="that may be sold short out of it")


def _removal_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("locate", metavar="ID")


def _list_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--desk", metavar="NAME")
    parser.add_argument("--after", metavar="ID", help="of an earlier answer")
    parser.add_argument("--limit", type=int, default=500, metavar="N")


def _add(options: argparse.Namespace, common: dict[str, Any]) -> Any:
    from guard.admin.messages import AddLocate

    return AddLocate(
        locate_id=options.locate,
        desk=options.desk,
        symbol=options.symbol,
        quantity_lots=options.lots,
        **common,
    )


def _remove(options: argparse.Namespace, common: dict[str, Any]) -> Any:
    from guard.admin.messages import RemoveLocate

    return RemoveLocate(locate_id=options.locate, **common)


def _list(options: argparse.Namespace, _common: dict[str, Any]) -> Any:
    from guard.admin.messages import ListLocates

    return ListLocates(desk=options.desk, after_locate=options.after, limit=options.limit)


LOCATE_VERBS: Final[dict[str, Verb]] = {
    "locates": Verb(
        "what desks may sell short, and what of it is used", _list_arguments, _list, False
    ),
    "add-locate": Verb("let a desk sell lots short", _addition_arguments, _add),
    "remove-locate": Verb("take such a promise away", _removal_arguments, _remove),
}
