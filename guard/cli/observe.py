"""`pretrade-guard observe`: a running guard as a page and as metrics, from a process of its own.

Needs the extra `observe`. Reads only, and listens on loopback unless told otherwise.
"""

import argparse
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from guard.cli.base import EXIT_GOOD, Commands, UsageError
from guard.cli.operator import (
    add_endpoint_arguments,
    curve_of,
    endpoint_of,
    key_hint,
    open_client,
)
from guard.process.operator_lines import alarm, announce, speaking

if TYPE_CHECKING:
    from guard.observe.watch import Source

LISTEN: Final = "127.0.0.1:9477"
PATIENCE_S: Final = 2.0  # it asks once a second: who waits longer for an answer knows less
NEEDED: Final = ("starlette", "uvicorn", "prometheus_client")


def add(commands: Commands) -> None:
    """Adds the command."""
    text = "show a running guard: a page for people, metrics and health for machines"
    parser = commands.add_parser("observe", help=text, description=text)
    add_endpoint_arguments(parser, PATIENCE_S)
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
    parser.add_argument(
        "--feed",
        metavar="ENDPOINT",
        help="where its records are told (default: endpoints.feed of --config; else its log's "
        "files are read)",
    )
    parser.set_defaults(command=_observe, speaking=speaking)


def source_of(options: argparse.Namespace) -> "Source":
    """Where the records come from. Raises UsageError, ConfigError."""
    from guard.config.endpoint import NO_ENDPOINT
    from guard.config.file import load_config
    from guard.observe.feed import Feed
    from guard.observe.log_files import LogFiles

    feed = options.feed
    # A key that may look need not have the records of all desks: such a feed has to be named.
    asks_for_keys = options.curve_key_file is not None
    if feed is None and options.config is not None and not asks_for_keys:
        configured = load_config(options.config).endpoints.feed
        feed = None if configured == NO_ENDPOINT else configured
    if feed is None:
        return LogFiles()
    return Feed(_checked("--feed", feed), curve_of(options))


def _checked(option: str, endpoint: str) -> str:
    """The endpoint, if a client can connect to such a one. Raises UsageError."""
    from guard.client.options import check_endpoint

    try:
        return check_endpoint(endpoint)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from error


def _observe(options: argparse.Namespace) -> int:
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"observe needs {', '.join(missing)}: pip install 'pretrade-guard[observe]'"
        )
    import uvloop

    from guard.observe.asking import Asker
    from guard.observe.door import DoorError, open_door, parse_listen
    from guard.observe.serve import observe

    endpoint, source = _checked("--endpoint", endpoint_of(options)), source_of(options)
    try:
        address, port = parse_listen(options.listen, allows_network=options.allow_network)
        listening = open_door(address, port)
    except DoorError as error:
        raise UsageError(str(error)) from error
    if options.allow_network:
        alarm(f"whoever reaches {address} port {port} reads balances and orders of every desk")

    if (hint := key_hint(options)) is not None:
        alarm(f"{endpoint}: {hint}")

    def ready(page: str) -> None:
        announce(f"pretrade-guard observe: {page} watches {endpoint}")

    with listening:
        asker = Asker(open_client(options))
        uvloop.run(observe(asker, source, listening, tuple(options.allow_host), ready))
    return EXIT_GOOD
