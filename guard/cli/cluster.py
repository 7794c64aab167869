"""`pretrade-guard cluster`: how a log stands in the cluster; and the tables that it needs there.

Exit codes of `status`: 0 where somebody holds the log, 3 where nobody does or the settings of
synchronous replication are not as they must be, 1 where the cluster cannot be asked.
"""

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import Final

from guard.cli.base import EXIT_FAILED, EXIT_GOOD, Commands, UsageError, complain

EXIT_TROUBLE: Final = 3


def add(commands: Commands) -> None:
    """Adds the command."""
    text = "how a log stands in the cluster, and what the cluster's database needs"
    cluster = commands.add_parser("cluster", help=text, description=text)
    verbs = cluster.add_subparsers(metavar="VERB", required=True)
    status = verbs.add_parser("status", help="who holds the log, its head, its lag, the standbys")
    status.add_argument("--config", required=True, type=Path, metavar="FILE")
    status.add_argument("--json", action="store_true", help="answer in JSON")
    status.set_defaults(command=_status)
    schema = verbs.add_parser("schema", help="print the SQL that makes roles and tables")
    schema.add_argument(
        "--slices", action="store_true", help="instead: the firm's table of slices, behind those"
    )
    schema.set_defaults(command=_schema)


def _schema(options: argparse.Namespace) -> int:
    from importlib.resources import files

    name = "slices.sql" if options.slices else "cluster.sql"
    sys.stdout.write((files("guard") / "data" / name).read_text("utf-8"))
    return EXIT_GOOD


def _status(options: argparse.Namespace) -> int:
    from guard.cluster.errors import ClusterError
    from guard.cluster.status import look, text_of
    from guard.config.file import load_config

    config = load_config(options.config)
    if config.cluster is None:
        raise UsageError(f"{options.config}: has no [cluster]")
    try:
        found = asyncio.run(look(config.cluster, Path(config.log.directory)))
    except ClusterError as error:
        return complain(EXIT_FAILED, error)
    print(json.dumps(found._asdict()) if options.json else text_of(found))
    return EXIT_TROUBLE if found.troubles else EXIT_GOOD
