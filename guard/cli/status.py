"""`pretrade-guard status`: one screen for a person at night, an exit code for scripts.

Exit codes: 0 it serves and all is well; 3 it serves, and something is wrong, which the screen says
together with what to do; 1 it does not answer, or is stopping; 2 wrong use.
"""

import argparse
import json
from typing import Final

from guard.cli.base import EXIT_FAILED, EXIT_GOOD, Commands, complain
from guard.cli.operator import add_endpoint_arguments, key_hint, open_client

EXIT_TROUBLE: Final = 3
DESKS_SHOWN: Final = 20


def add(commands: Commands) -> None:
    """Adds the command."""
    text = "is the daemon serving, what is wrong, and what to do about it"
    parser = commands.add_parser("status", help=text, description=text)
    add_endpoint_arguments(parser)
    parser.add_argument("--json", action="store_true", help="answer in JSON")
    parser.set_defaults(command=_status)


def _status(options: argparse.Namespace) -> int:
    import msgspec

    from guard.admin.messages import Health, ListDesks
    from guard.cli.operator_text import health_text, text_of
    from guard.client.admin import AdminTimeoutError

    with open_client(options) as client:
        try:
            health = client.ask(Health())
            desks = client.ask(ListDesks(limit=DESKS_SHOWN))
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
                }
            )
        )
    else:
        print(f"{health_text(health)}\n\n{text_of(desks)}")
    if not health.is_serving:
        return EXIT_FAILED
    return EXIT_TROUBLE if health.troubles else EXIT_GOOD
