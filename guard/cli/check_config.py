"""`pretrade-guard check-config`: check a configuration file."""

import argparse
from pathlib import Path

from guard.cli.base import EXIT_GOOD, Commands
from guard.config.file import load_config


def add(commands: Commands) -> None:
    """Adds the command."""
    parser = commands.add_parser("check-config", help="check a configuration file")
    parser.add_argument("--config", required=True, type=Path, metavar="FILE")
    parser.set_defaults(command=_check_config)


def _check_config(options: argparse.Namespace) -> int:
    config = load_config(options.config, takes_streams=True)
    print(
        f"{options.config}: good: policy epoch {config.policy.policy_epoch} "
        f"({config.policy_digest_hex}), {len(config.policy.models)} venues, "
        f"{len(config.instruments)} instruments, {len(config.desks)} desks"
    )
    return EXIT_GOOD
