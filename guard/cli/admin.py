"""`pretrade-guard admin`: what an operator does with a running daemon, and asks of it.

Owns the table of its verbs. An action is shown before it is done, and confirmed by a person at a
terminal, or by `--yes`; each has an id, under which it is done once, so that the same command line
may be run again where no answer came.
"""

import argparse
import json
import secrets
import sys
from pathlib import Path
from typing import Any, Final

from guard.cli.admin_accounts import ACCOUNT_VERBS
from guard.cli.admin_locates import LOCATE_VERBS
from guard.cli.admin_people import PEOPLE_VERBS, add_lasts, lasting
from guard.cli.admin_trading import TRADING_VERBS
from guard.cli.admin_verb import Verb, no_arguments
from guard.cli.base import EXIT_FAILED, EXIT_GOOD, Commands, UsageError, complain
from guard.cli.operator import add_endpoint_arguments, key_hint, open_client

EXIT_NOT_CONFIRMED: Final = 1

# The configuration's rule (`guard.protocol.instruments`): a comma may be a decimal one.
MONEY_HELP: Final = "money: a plain decimal such as 250000.00, no commas"


def add(commands: Commands) -> None:
    """Adds the command."""
    text = "halt and resume desks, change budgets and policies, free holds, ask what is open"
    parser = commands.add_parser("admin", help=text, description=text)
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    for name, verb in VERBS.items():
        one = verbs.add_parser(name, help=verb.help, description=verb.help)
        verb.arguments(one)
        add_endpoint_arguments(one)
        one.add_argument("--json", action="store_true", help="answer in JSON")
        if verb.is_action:
            _add_action_arguments(one)
        one.set_defaults(command=_act if verb.is_action else _ask, verb=verb)


def _add_action_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--why", required=True, metavar="TEXT", help="the reason: it is recorded")
    parser.add_argument(
        "--by", metavar="NAME", help="who acts, where it is not the user of this process"
    )
    parser.add_argument("--yes", action="store_true", help="do it without asking")
    parser.add_argument("--dry-run", action="store_true", help="show what would change, no more")
    parser.add_argument(
        "--action-id", metavar="ID", help="the action's own id (default: a new one)"
    )


def _ask(options: argparse.Namespace) -> int:
    from guard.client.admin import AdminRefusedError, AdminTimeoutError

    with open_client(options) as client:
        try:
            reply = client.ask(_built(options, {}))
        except AdminRefusedError as refused:
            return complain(EXIT_FAILED, f"{refused.code}: {refused}")
        except AdminTimeoutError as error:
            hint = key_hint(options)
            return complain(EXIT_FAILED, f"{error}: {hint}" if hint else error)
    print_reply(reply, options.json)
    return EXIT_GOOD


def _act(options: argparse.Namespace) -> int:
    from guard.client.admin import AdminRefusedError, AdminTimeoutError

    action_id = options.action_id or f"admin-{secrets.token_hex(8)}"
    common = {"action_id": action_id, "why": options.why, "by": options.by}
    action = _built(options, {**common, "dry_run": True})
    is_person = wants_question(options)
    with open_client(options) as client:
        try:
            if options.dry_run or is_person:
                planned = client.ask(action)
                print_reply(planned, options.json)
                if options.dry_run:
                    return EXIT_GOOD
                if getattr(planned, "repeat", False):
                    return EXIT_GOOD
                if not is_confirmed():
                    return complain(EXIT_NOT_CONFIRMED, "nothing was done")
            print_reply(client.ask(_built(options, common)), options.json)
        except AdminRefusedError as refused:
            return complain(EXIT_FAILED, f"{refused.code}: {refused}")
        except AdminTimeoutError as error:
            return complain(
                EXIT_FAILED,
                f"{error}; whether it was done is not known: the same command with --action-id "
                f"{action_id} does it once, and says so",
            )
    return EXIT_GOOD


def wants_question(options: argparse.Namespace) -> bool:
    """Is a person at the terminal to be asked? Raises UsageError where nobody can be."""
    is_person = sys.stdin is not None and sys.stdin.isatty() and not options.yes
    if not (options.yes or options.dry_run or is_person):
        raise UsageError("nobody is at a terminal to confirm it; allowed: --yes, or --dry-run")
    return is_person


def is_confirmed() -> bool:
    """What the person at the terminal says."""
    sys.stdout.write("Do it? [y/N] ")
    sys.stdout.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _built(options: argparse.Namespace, common: dict[str, Any]) -> Any:
    """The request; what its types do not allow is wrong use."""
    from guard.admin.messages import AdminError, decode_request, encode_request

    try:
        return decode_request(encode_request(options.verb.build(options, common)))
    except AdminError as error:
        raise UsageError(str(error)) from error


def print_reply(reply: Any, as_json: bool) -> None:
    """Shows a reply, for people or in JSON."""
    import msgspec

    from guard.cli.operator_text import text_of

    if as_json:
        print(json.dumps(msgspec.to_builtins(reply)))
    else:
        print(text_of(reply))


def _money(text: str, name: str) -> int:
    from guard.protocol.instruments import parse_money_microcents

    try:
        return parse_money_microcents(text, name)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _cap(text: str) -> Any:
    return "none" if text == "none" else _money(text, "CAP")


# The arguments of the verbs.


def _amount_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("desk", metavar="DESK")
    parser.add_argument("amount", metavar="AMOUNT", help=MONEY_HELP)


def _top_up_arguments(parser: argparse.ArgumentParser) -> None:
    _amount_arguments(parser)
    add_lasts(parser)


def _cap_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("desk", metavar="DESK")
    parser.add_argument("cap", metavar="CAP", help=f'{MONEY_HELP}; or "none"')
    add_lasts(parser)


def _desk_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("desk", metavar="DESK")
    parser.add_argument("--budget", required=True, metavar="AMOUNT", help=MONEY_HELP)
    parser.add_argument("--cap", required=True, metavar="CAP", help=f'{MONEY_HELP}; or "none"')


def _instrument_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("symbol", metavar="SYMBOL")
    parser.add_argument("--tick-size", required=True, metavar="SIZE")
    parser.add_argument("--lot-size", required=True, metavar="SIZE")
    parser.add_argument("--multiplier", default="1", metavar="SIZE")


def _policy_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", metavar="FILE", type=Path, help="a configuration, or its [policy] alone"
    )
    add_lasts(parser)


def _limits_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", metavar="FILE", type=Path, help="a configuration; its [limits] are taken"
    )
    add_lasts(parser)


def _lift_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("latch", metavar="LATCH", help="its kind, as `health` shows it")
    parser.add_argument("desk", nargs="?", default="", metavar="DESK", help="none: of all desks")
    parser.add_argument("--symbol", default="", metavar="NAME", help="where it is of one symbol")


def _order_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("desk", metavar="DESK")
    parser.add_argument("order", metavar="ORDER", help="its client order id")


def _fill_arguments(parser: argparse.ArgumentParser) -> None:
    _order_arguments(parser)
    parser.add_argument("fill", metavar="FILL", help="its fill id")


def _correct_arguments(parser: argparse.ArgumentParser) -> None:
    _fill_arguments(parser)
    parser.add_argument("--quantity", type=int, metavar="LOTS")
    parser.add_argument("--price", type=int, metavar="TICKS")
    parser.add_argument("--fee", metavar="MONEY", help=f"{MONEY_HELP}; below zero a rebate")


def _orders_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--desk", metavar="NAME")
    parser.add_argument("--symbol", metavar="NAME")
    parser.add_argument("--older-than-s", type=int, default=0, metavar="S")
    parser.add_argument("--suspect", action="store_true", help="those that should be closed by now")
    parser.add_argument("--cursor", type=int, default=0, metavar="N", help="of an earlier answer")
    parser.add_argument("--limit", type=int, default=500, metavar="N")


def _positions_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--desk", metavar="NAME")
    parser.add_argument("--symbol", metavar="NAME")
    parser.add_argument("--cursor", type=int, default=0, metavar="N", help="of an earlier answer")
    parser.add_argument("--limit", type=int, default=500, metavar="N")


def _waiting_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--desk", metavar="NAME")
    parser.add_argument("--cursor", type=int, default=0, metavar="N", help="of an earlier answer")
    parser.add_argument("--limit", type=int, default=500, metavar="N")


def _desks_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--after", default="", metavar="NAME", help="of an earlier answer")
    parser.add_argument("--limit", type=int, default=500, metavar="N")


# The requests.


def _top_up(options: argparse.Namespace, common: dict[str, Any]) -> Any:
    from guard.admin.messages import TopUp

    amount = _money(options.amount, "AMOUNT")
    return TopUp(desk=options.desk, amount_microcents=amount, **lasting(options, common))


def _lower(options: argparse.Namespace, common: dict[str, Any]) -> Any:
    from guard.admin.messages import LowerBudget

    amount = _money(options.amount, "AMOUNT")
    return LowerBudget(desk=options.desk, amount_microcents=amount, **common)


def _set_cap(options: argparse.Namespace, common: dict[str, Any]) -> Any:
    from guard.admin.messages import SetCap

    cap = _cap(options.cap)
    return SetCap(desk=options.desk, max_reserved_microcents=cap, **lasting(options, common))


def _open_desk(options: argparse.Namespace, common: dict[str, Any]) -> Any:
    from guard.admin.messages import OpenDesk

    return OpenDesk(
        desk=options.desk,
        budget_microcents=_money(options.budget, "--budget"),
        max_reserved_microcents=_cap(options.cap),
        **common,
    )


def _define(options: argparse.Namespace, common: dict[str, Any]) -> Any:
    from guard.admin.messages import DefineInstrument

    return DefineInstrument(
        symbol=options.symbol,
        tick_size=options.tick_size,
        lot_size=options.lot_size,
        multiplier=options.multiplier,
        **common,
    )


def _policy(options: argparse.Namespace, common: dict[str, Any]) -> Any:
    from guard.admin.messages import ActivatePolicy
    from guard.config.policy_file import load_policy

    return ActivatePolicy(policy=load_policy(options.file), **lasting(options, common))


def _limits(options: argparse.Namespace, common: dict[str, Any]) -> Any:
    from guard.admin.messages import SetLimits
    from guard.config.file import load_config

    return SetLimits(limits=load_config(options.file).limits, **lasting(options, common))


def _lift(options: argparse.Namespace, common: dict[str, Any]) -> Any:
    from guard.admin.messages import LiftLatch

    return LiftLatch(latch=options.latch, desk=options.desk, symbol=options.symbol, **common)


def _free(options: argparse.Namespace, common: dict[str, Any]) -> Any:
    from guard.admin.messages import FreeHold

    return FreeHold(desk=options.desk, client_order_id=options.order, **common)


def _fill_name(options: argparse.Namespace) -> dict[str, Any]:
    return {"desk": options.desk, "client_order_id": options.order, "fill_id": options.fill}


def _accept(options: argparse.Namespace, common: dict[str, Any]) -> Any:
    from guard.admin.messages import AcceptFill

    return AcceptFill(**_fill_name(options), **common)


def _bust(options: argparse.Namespace, common: dict[str, Any]) -> Any:
    from guard.admin.messages import BustFill

    return BustFill(**_fill_name(options), **common)


def _correct(options: argparse.Namespace, common: dict[str, Any]) -> Any:
    from guard.admin.messages import CorrectFill

    fee = options.fee
    sign = -1 if fee is not None and fee.startswith("-") else 1
    return CorrectFill(
        **_fill_name(options),
        quantity=options.quantity,
        price=options.price,
        fee_microcents=None if fee is None else sign * _money(fee.removeprefix("-"), "--fee"),
        **common,
    )


def _checkpoint(_options: argparse.Namespace, common: dict[str, Any]) -> Any:
    from guard.admin.messages import TakeCheckpoint

    return TakeCheckpoint(**common)


def _rotate(_options: argparse.Namespace, common: dict[str, Any]) -> Any:
    from guard.admin.messages import Rotate

    return Rotate(**common)


def _stop(_options: argparse.Namespace, common: dict[str, Any]) -> Any:
    from guard.admin.messages import Stop

    return Stop(**common)


def _health(_options: argparse.Namespace, _common: dict[str, Any]) -> Any:
    from guard.admin.messages import Health

    return Health()


def _desks(options: argparse.Namespace, _common: dict[str, Any]) -> Any:
    from guard.admin.messages import ListDesks

    return ListDesks(after=options.after, limit=options.limit)


def _orders(options: argparse.Namespace, _common: dict[str, Any]) -> Any:
    from guard.admin.messages import ListOpenOrders

    return ListOpenOrders(
        desk=options.desk,
        symbol=options.symbol,
        older_than_ns=options.older_than_s * 1_000_000_000,
        suspect=options.suspect,
        cursor=options.cursor,
        limit=options.limit,
    )


def _positions(options: argparse.Namespace, _common: dict[str, Any]) -> Any:
    from guard.admin.messages import ListPositions

    return ListPositions(
        desk=options.desk, symbol=options.symbol, cursor=options.cursor, limit=options.limit
    )


def _uncharged(options: argparse.Namespace, _common: dict[str, Any]) -> Any:
    from guard.admin.messages import ListUncharged

    return ListUncharged(desk=options.desk, cursor=options.cursor, limit=options.limit)


def _reconcile(options: argparse.Namespace, _common: dict[str, Any]) -> Any:
    from guard.admin.messages import ListUnreconciled

    return ListUnreconciled(desk=options.desk, cursor=options.cursor, limit=options.limit)


def _order(options: argparse.Namespace, _common: dict[str, Any]) -> Any:
    from guard.admin.messages import OrderStory

    return OrderStory(desk=options.desk, client_order_id=options.order)


def _configuration(_options: argparse.Namespace, _common: dict[str, Any]) -> Any:
    from guard.admin.messages import Configuration

    return Configuration()


VERBS: Final[dict[str, Verb]] = {
    "health": Verb("how the daemon is", no_arguments, _health, False),
    "desks": Verb("each desk's budget, holds and state", _desks_arguments, _desks, False),
    "orders": Verb("the open orders", _orders_arguments, _orders, False),
    "positions": Verb("what each desk has and works", _positions_arguments, _positions, False),
    "uncharged": Verb("fees that wait for a person", _waiting_arguments, _uncharged, False),
    "reconcile": Verb(
        "fills and executions that have not met", _waiting_arguments, _reconcile, False
    ),
    "order": Verb("all that is remembered of one order", _order_arguments, _order, False),
    "configuration": Verb("the policy and sizes in force", no_arguments, _configuration, False),
    **TRADING_VERBS,
    "top-up": Verb("add to a desk's budget", _top_up_arguments, _top_up),
    "lower": Verb("take from a desk's budget what is free", _amount_arguments, _lower),
    "cap": Verb("cap what a desk may hold", _cap_arguments, _set_cap),
    "open-desk": Verb("open a desk", _desk_arguments, _open_desk),
    "define": Verb("define an instrument", _instrument_arguments, _define),
    "policy": Verb("activate another policy", _policy_arguments, _policy),
    "limits": Verb("set other limits", _limits_arguments, _limits),
    "lift": Verb("lift a latch", _lift_arguments, _lift),
    "free": Verb("free the hold of an order that is dead", _order_arguments, _free),
    "accept": Verb("charge the fee of a fill that was not charged", _fill_arguments, _accept),
    "bust": Verb("say that a fill did not happen", _fill_arguments, _bust),
    "correct": Verb("say how a fill happened instead", _correct_arguments, _correct),
    **PEOPLE_VERBS,
    **LOCATE_VERBS,
    **ACCOUNT_VERBS,
    "checkpoint": Verb("begin a checkpoint", no_arguments, _checkpoint),
    "rotate": Verb("begin a new segment of the log", no_arguments, _rotate),
    "stop": Verb("answer what has arrived, close the log, end", no_arguments, _stop),
}
