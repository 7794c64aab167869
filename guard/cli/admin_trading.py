"""`pretrade-guard admin`: the verbs that stop trading somewhere, and let it on.

A part of `guard.cli.admin`, whose table names them with all others.
"""

import argparse
from typing import Any, Final

from guard.cli.admin_verb import Verb

# What has a name, beside the firm.
_SCOPES: Final = {
    "customer": "one customer, of whichever desk",
    "desk": "one desk",
    "account": "one account",
    "trader": "one trader, of whichever desk",
    "algo": "one algorithm, of whichever desk",
    "symbol": "one symbol",
}


def _scope_arguments(parser: argparse.ArgumentParser) -> None:
    scope = parser.add_mutually_exclusive_group(required=True)
    scope.add_argument("--firm", action="store_true", help="all desks")
    for kind, words in _SCOPES.items():
        scope.add_argument(f"--{kind}", metavar="NAME", help=words)


def _resume_arguments(parser: argparse.ArgumentParser) -> None:
    _scope_arguments(parser)
    parser.add_argument(
        "--forgive-fees",
        action="store_true",
        help="also where the desk owes fees: they are dropped",
    )


def _scope_of(options: argparse.Namespace) -> dict[str, Any]:
    if options.firm:
        return {"scope": "firm"}
    named = {kind: getattr(options, kind) for kind in _SCOPES}
    return next({"scope": kind, "name": name} for kind, name in named.items() if name is not None)


def _halt(options: argparse.Namespace, common: dict[str, Any]) -> Any:
    from guard.admin.messages import Halt

    return Halt(**_scope_of(options), **common)


def _reducing(options: argparse.Namespace, common: dict[str, Any]) -> Any:
    from guard.admin.messages import Reducing

    return Reducing(**_scope_of(options), **common)


def _resume(options: argparse.Namespace, common: dict[str, Any]) -> Any:
    from guard.admin.messages import Resume

    return Resume(**_scope_of(options), forgive_fees=options.forgive_fees, **common)


TRADING_VERBS: Final[dict[str, Verb]] = {
    "halt": Verb("stop all orders", _scope_arguments, _halt),
    "reducing": Verb("let positions but be reduced", _scope_arguments, _reducing),
    "resume": Verb("lift either", _resume_arguments, _resume),
}
