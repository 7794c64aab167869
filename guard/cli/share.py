"""`pretrade-guard share`: a guard's budgets out of the firm's table (`guard/CLUSTER_SLICES.md`).

A process beside a guard with `[cluster]`. It ends with exit code 1 where something keeps it from
going on, and is to be started again: it keeps nothing of its own.
"""

import argparse
import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Final

from guard.cli.base import EXIT_FAILED, EXIT_GOOD, Commands, UsageError, complain
from guard.cli.operator import add_endpoint_arguments, open_client

if TYPE_CHECKING:
    from guard.client.admin import AdminClient
    from guard.config.cluster_section import ClusterSection
    from guard.sharing.agent import Terms

EVERY_S: Final = 1.0
CONTACT_S: Final = 10
_NS_PER_S: Final = 1_000_000_000


def add(commands: Commands) -> None:
    """Adds the command."""
    text = "keep a guard's desks in budget out of the firm's table, in a process of its own"
    parser = commands.add_parser("share", help=text, description=text)
    add_endpoint_arguments(parser)
    parser.add_argument(
        "--desk", action="append", required=True, metavar="NAME", help="which desks; repeatable"
    )
    parser.add_argument(
        "--keep", required=True, metavar="MONEY", help="what each is to have free, such as 50000.00"
    )
    parser.add_argument(
        "--every-s",
        type=float,
        default=EVERY_S,
        metavar="S",
        help="how often it looks (default: 1)",
    )
    parser.add_argument("--once", action="store_true", help="look once, and end")
    parser.set_defaults(command=_share)


def _share(options: argparse.Namespace) -> int:
    from guard.client.admin import AdminTimeoutError
    from guard.cluster.errors import ClusterError
    from guard.config.file import load_config
    from guard.protocol.instruments import parse_money_microcents
    from guard.sharing.agent import SharingError, Terms

    if options.config is None:
        raise UsageError("--config FILE is needed: it names the cluster and the log")
    if not 0 < options.every_s <= 3_600:
        raise UsageError(f"--every-s: {options.every_s} is not allowed; allowed: above 0, to 3600")
    config = load_config(options.config)
    if config.cluster is None:
        raise UsageError(f"{options.config}: has no [cluster]")
    if config.cluster.durability == "follow":
        raise UsageError(
            f"{options.config}: cluster.durability is 'follow'; allowed: 'both', 'cluster': a log "
            "that may lose its end cannot hold slices"
        )
    try:
        keep = parse_money_microcents(options.keep, "--keep")
    except ValueError as error:
        raise UsageError(str(error)) from error
    terms = Terms(config.cluster.log, options.desk, keep, CONTACT_S * _NS_PER_S)
    log = Path(config.log.directory)
    try:
        with open_client(options) as admin:
            asyncio.run(_run(options, admin, config.cluster, log, terms))
    except (SharingError, ClusterError, AdminTimeoutError) as error:
        return complain(EXIT_FAILED, error)
    return EXIT_GOOD


async def _run(
    options: argparse.Namespace,
    admin: "AdminClient",
    cluster: "ClusterSection",
    log: Path,
    terms: "Terms",
) -> None:
    from guard.cluster.session import open_session
    from guard.sharing.agent import Sharer

    session = await open_session(cluster, f"pretrade-guard-share/{cluster.log}")
    try:
        sharer = Sharer(admin, session, terms)
        sharer.recover(log)
        print(f"shares: log {cluster.log}, desks {', '.join(terms.desks)}", flush=True)
        while True:
            await sharer.step()
            if options.once:
                print(f"movements: {sharer.movements}")
                return
            await asyncio.sleep(options.every_s)
    finally:
        session.terminate()
