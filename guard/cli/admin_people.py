"""`pretrade-guard admin`: the verbs of what takes two people.

A part of `guard.cli.admin`, whose table names them with all others.
"""

import argparse
import json
from pathlib import Path
from typing import Any, Final

from guard.cli.admin_verb import Verb, no_arguments


def add_lasts(parser: argparse.ArgumentParser) -> None:
    """Of an action that may loosen."""
    parser.add_argument(
        "--lasts-s",
        type=int,
        metavar="S",
        help="where it takes two people: taken back after so long (default: as long as it may)",
    )


def lasting(options: argparse.Namespace, common: dict[str, Any]) -> dict[str, Any]:
    """What it says of that, with what every action says."""
    return {**common, "lasts_s": options.lasts_s}


def _proposal_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("proposal", metavar="ID", help="as `admin pending` shows it")


def _terms_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", metavar="FILE", type=Path, help="a configuration; its [approvals] are taken"
    )


def _approve(options: argparse.Namespace, common: dict[str, Any]) -> Any:
    from guard.admin.messages import Approve

    return Approve(proposal=options.proposal, **common)


def _withdraw(options: argparse.Namespace, common: dict[str, Any]) -> Any:
    from guard.admin.messages import Withdraw

    return Withdraw(proposal=options.proposal, **common)


def _pending(_options: argparse.Namespace, _common: dict[str, Any]) -> Any:
    from guard.admin.messages import ListPending

    return ListPending()


def _terms(options: argparse.Namespace, common: dict[str, Any]) -> Any:
    from guard.admin.messages import SetApprovals
    from guard.cli.base import UsageError
    from guard.config.file import load_config

    terms = load_config(options.file).approvals
    if terms is None:
        raise UsageError(f"{options.file}: has no [approvals]")
    return SetApprovals(
        proposal_ms=terms.proposal_ms,
        loosening_ms_max=terms.loosening_ms_max,
        ceiling=terms.ceiling,
        desks=terms.desks,
        **common,
    )


def _opening_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("desk", metavar="DESK")
    parser.add_argument("symbol", metavar="SYMBOL")
    parser.add_argument("lots", type=int, metavar="LOTS", help="below zero: it owes them")
    parser.add_argument("--cost", required=True, metavar="AMOUNT", help="what they were traded for")


def _opening(options: argparse.Namespace, common: dict[str, Any]) -> Any:
    from guard.admin.messages import OpenPosition
    from guard.cli.base import UsageError
    from guard.protocol.instruments import parse_money_microcents

    try:
        cost = parse_money_microcents(options.cost, "--cost")
    except ValueError as error:
        raise UsageError(str(error)) from error
    return OpenPosition(
        desk=options.desk,
        symbol=options.symbol,
        lots=options.lots,
        cost_microcents=cost,
        **common,
    )


def _override_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", type=Path, help="the order, in JSON, as it is sent")
    parser.add_argument(
        "--check",
        action="append",
        required=True,
        metavar="REASON",
        help="what it is to pass, such as quantity_above_max",
    )
    add_lasts(parser)


def _override(options: argparse.Namespace, common: dict[str, Any]) -> Any:
    import msgspec

    from guard.admin.messages import OverrideOrder
    from guard.cli.base import UsageError
    from guard.protocol.messages import Order

    try:
        order = msgspec.convert(json.loads(options.file.read_bytes()), Order)
    except (OSError, ValueError) as error:
        raise UsageError(f"{options.file}: {error}") from error
    return OverrideOrder(order=order, checks=options.check, **lasting(options, common))


PEOPLE_VERBS: Final[dict[str, Verb]] = {
    "pending": Verb("what waits for a second person", no_arguments, _pending, False),
    "approve": Verb("do what another person has proposed", _proposal_arguments, _approve),
    "withdraw": Verb("take a proposal away", _proposal_arguments, _withdraw),
    "override": Verb("let one order pass checks, once", _override_arguments, _override),
    "open-position": Verb("say what a desk has already", _opening_arguments, _opening),
    "approvals": Verb("set other terms of what takes two people", _terms_arguments, _terms),
}
