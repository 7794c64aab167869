"""`pretrade-guard status`: one screen for a person at night, an exit code for scripts.

Exit codes: 0 it serves and all is well; 3 it serves, and something is wrong, which the screen says
together with what to do; 1 it does not answer, or is stopping; 2 wrong use.
"""

import argparse
import json
from typing import TYPE_CHECKING, Final

from guard.cli.base import EXIT_FAILED, EXIT_GOOD, Commands, complain
from guard.cli.operator import add_endpoint_arguments, key_hint, open_client

if TYPE_CHECKING:
    from guard.admin.messages import UnchargedFill
    from guard.client.admin import AdminClient

EXIT_TROUBLE: Final = 3
DESKS_SHOWN: Final = 20
# Of fees that wait for a person: so many, and so many queries for them.
UNCHARGED_SHOWN: Final = 10
UNCHARGED_PAGES_MAX: Final = 25


def add(commands: Commands) -> None:
    """Adds the command."""
    text = "is the daemon serving, what is wrong, and what to do about it"
    parser = commands.add_parser("status", help=text, description=text)
    add_endpoint_arguments(parser)
    parser.add_argument("--json", action="store_true", help="answer in JSON")
    parser.set_defaults(command=_status)


def _status(options: argparse.Namespace) -> int:
    import msgspec

    from guard.admin.messages import Health, ListDesks, UnchargedFillsReply
    from guard.cli.operator_text import health_text, text_of
    from guard.client.admin import AdminTimeoutError

    with open_client(options) as client:
        try:
            health = client.ask(Health())
            desks = client.ask(ListDesks(limit=DESKS_SHOWN))
            waiting, next_cursor = _uncharged(client)
        except AdminTimeoutError as error:
            why = key_hint(options) or (
                "the daemon does not run, or its disk does not answer; look at its journal, and at "
                "the log's disk"
            )
            return complain(EXIT_FAILED, f"{error}: {why}")
    if options.json:
        print(
            json.dumps(
                {
                    "health": msgspec.to_builtins(health),
                    "desks": msgspec.to_builtins(desks)["desks"],
                    "uncharged_fills": msgspec.to_builtins(waiting),
                    "uncharged_next_cursor": next_cursor,
                }
            )
        )
    else:
        print(f"{health_text(health)}\n\n{text_of(desks)}")
        if waiting or next_cursor is not None:
            shown = text_of(UnchargedFillsReply(waiting, None, 0))
            print(f"\nfees that wait for a person (`pretrade-guard admin accept`):\n{shown}")
        if next_cursor is not None:
            print(f"perhaps more: `pretrade-guard admin uncharged --cursor {next_cursor}`")
    if not health.is_serving:
        return EXIT_FAILED
    return EXIT_TROUBLE if health.troubles else EXIT_GOOD


def _uncharged(client: "AdminClient") -> tuple[list["UnchargedFill"], int | None]:
    """The first fills whose fees wait for a person, and where a search for more goes on."""
    from guard.admin.messages import ListUncharged, UnchargedFillsReply

    found: list[UnchargedFill] = []
    cursor: int | None = 0
    for _ in range(UNCHARGED_PAGES_MAX):
        if cursor is None or len(found) >= UNCHARGED_SHOWN:
            break
        reply = client.ask(ListUncharged(cursor=cursor, limit=UNCHARGED_SHOWN - len(found)))
        assert isinstance(reply, UnchargedFillsReply)
        found += reply.fills
        cursor = reply.next_cursor
    return found, cursor
