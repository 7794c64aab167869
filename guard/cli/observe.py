"""`pretrade-guard observe`: a running guard as a page and as metrics, from a process of its own.

Needs the extra `observe`. Reads only, and listens on loopback unless told otherwise.
"""

import argparse
from importlib.util import find_spec
from typing import Final

from guard.cli.base import EXIT_GOOD, Commands, UsageError
from guard.cli.operator import add_endpoint_arguments, endpoint_of
from guard.process.operator_lines import alarm, announce, speaking

LISTEN: Final = "127.0.0.1:9477"
NEEDED: Final = ("starlette", "uvicorn", "prometheus_client")


def add(commands: Commands) -> None:
    """Adds the command."""
    text = "show a running guard: a page for people, metrics and health for machines"
    parser = commands.add_parser("observe", help=text, description=text)
    add_endpoint_arguments(parser)
    parser.add_argument(
        "--listen",
        default=LISTEN,
        metavar="ADDRESS:PORT",
        help=f"where it is shown (default: {LISTEN}; port 0: any that is free)",
    )
    parser.add_argument(
        "--allow-network",
        action="store_true",
        help="listen on an address that is not loopback: whoever reaches it reads everything",
    )
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a name of this machine that browsers may use; addresses and localhost always may",
    )
    parser.set_defaults(command=_observe, speaking=speaking)


def _observe(options: argparse.Namespace) -> int:
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"observe needs {', '.join(missing)}: pip install 'pretrade-guard[observe]'"
        )
    import uvloop

    from guard.observe.door import DoorError, open_door, parse_listen
    from guard.observe.serve import observe

    endpoint = endpoint_of(options)
    try:
        address, port = parse_listen(options.listen, allows_network=options.allow_network)
        listening = open_door(address, port)
    except DoorError as error:
        raise UsageError(str(error)) from error
    if options.allow_network:
        alarm(f"whoever reaches {address} port {port} reads balances and orders of every desk")

    def ready(page: str) -> None:
        announce(f"pretrade-guard observe: {page} watches {endpoint}")

    with listening:
        uvloop.run(observe(endpoint, listening, tuple(options.allow_host), ready))
    return EXIT_GOOD
