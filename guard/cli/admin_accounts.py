"""`pretrade-guard admin`: the verbs of accounts.

A part of `guard.cli.admin`, whose table names them with all others.
"""

import argparse
from typing import Any, Final

from guard.cli.admin_verb import Verb


def _set_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("account", metavar="ACCOUNT")
    parser.add_argument("desk", metavar="DESK", help="which has it, for good")
    parser.add_argument(
        "--customer", default="", metavar="NAME", help="whose it is (default: nobody's)"
    )


def _list_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--desk", metavar="NAME")
    parser.add_argument("--after", default="", metavar="NAME", help="of an earlier answer")
    parser.add_argument("--limit", type=int, default=500, metavar="N")


def _set(options: argparse.Namespace, common: dict[str, Any]) -> Any:
    from guard.admin.messages import SetAccount

    return SetAccount(
        account=options.account, desk=options.desk, customer=options.customer, **common
    )


def _list(options: argparse.Namespace, _common: dict[str, Any]) -> Any:
    from guard.admin.messages import ListAccounts

    return ListAccounts(desk=options.desk, after=options.after, limit=options.limit)


ACCOUNT_VERBS: Final[dict[str, Verb]] = {
    "accounts": Verb("desks' accounts, and whose they are", _list_arguments, _list, False),
    "set-account": Verb("add an account, or give it another customer", _set_arguments, _set),
}
