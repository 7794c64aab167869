"""`pretrade-guard top`: a running guard in a terminal. Needs the extra `top`."""

import argparse
import sys
from importlib.util import find_spec
from typing import Final

from guard import clock
from guard.cli.base import EXIT_GOOD, Commands, UsageError
from guard.cli.observe import PATIENCE_S, source_of
from guard.cli.operator import add_endpoint_arguments, endpoint_of, open_client

NEEDED: Final = ("textual",)


def add(commands: Commands) -> None:
    """Adds the command."""
    text = "watch a running guard in a terminal; halt and resume desks by a key"
    parser = commands.add_parser("top", help=text, description=text)
    add_endpoint_arguments(parser, PATIENCE_S)
    parser.add_argument(
        "--feed",
        metavar="ENDPOINT",
        help="where its records are told (default: endpoints.feed of --config; else its log's "
        "files are read)",
    )
    parser.set_defaults(command=_top)


def _top(options: argparse.Namespace) -> int:
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise UsageError(f"top needs {', '.join(missing)}: pip install 'pretrade-guard[top]'")
    if not (sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("top needs a terminal; for scripts there is `status --json`")
    from guard.observe.asking import Asker
    from guard.top.app import Top

    endpoint = endpoint_of(options)
    asker = Asker(open_client(options))
    try:
        Top(asker, source_of(options), clock.system_ns, endpoint).run()
    finally:
        asker.close()
    return EXIT_GOOD
